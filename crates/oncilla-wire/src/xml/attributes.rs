//! `GetObjectAttributesResponse`: the answer of GetObjectAttributes.

use std::borrow::Cow;

use super::Checksums;
use super::writer::XmlWriter;
use crate::error::S3Error;

/// Which attributes a request wants (`x-amz-object-attributes`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WantedAttributes {
    /// `ETag`.
    pub etag: bool,
    /// `Checksum`.
    pub checksum: bool,
    /// `ObjectParts`.
    pub object_parts: bool,
    /// `StorageClass`.
    pub storage_class: bool,
    /// `ObjectSize`.
    pub object_size: bool,
}

impl WantedAttributes {
    /// Reads one value of the header, a list with commas; the header may occur several times.
    pub fn add(&mut self, value: &str) -> Result<(), S3Error> {
        for name in value.split(',').map(str::trim) {
            match name {
                "ETag" => self.etag = true,
                "Checksum" => self.checksum = true,
                "ObjectParts" => self.object_parts = true,
                "StorageClass" => self.storage_class = true,
                "ObjectSize" => self.object_size = true,
                _ => {
                    return Err(S3Error::invalid_argument(
                        "x-amz-object-attributes",
                        name,
                        "Invalid attribute name specified.",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// One part in [`ObjectParts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttributePart<'a> {
    /// The part's number.
    pub part_number: u32,
    /// The size in bytes.
    pub size: u64,
    /// The part's checksum.
    pub checksums: Checksums<'a>,
}

/// The parts of an object that was uploaded in parts. S3 lists single parts only if the object has
/// a checksum chosen by the client; otherwise only their count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectParts<'a> {
    /// How many parts the object has.
    pub total_parts_count: u32,
    /// The part after which the page starts.
    pub part_number_marker: u32,
    /// The last part on this page.
    pub next_part_number_marker: u32,
    /// The page size in force.
    pub max_parts: u64,
    /// Whether there is another page.
    pub is_truncated: bool,
    /// The parts, ascending.
    pub parts: Vec<AttributePart<'a>>,
}

/// The answer of GetObjectAttributes: the handler fills in what was wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectAttributes<'a> {
    /// The entity tag; this document alone shows it without quotes.
    pub etag: Option<Cow<'a, str>>,
    /// The object's checksum and its type.
    pub checksums: Option<Checksums<'a>>,
    /// The parts, if it has any.
    pub object_parts: Option<ObjectParts<'a>>,
    /// The storage class.
    pub storage_class: Option<Cow<'a, str>>,
    /// The size in bytes.
    pub object_size: Option<u64>,
}

impl ObjectAttributes<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let part_count = self
            .object_parts
            .as_ref()
            .map_or(0, |parts| parts.parts.len());
        let mut xml = XmlWriter::with_capacity(512 + part_count * 160);
        xml.open_root("GetObjectAttributesResponse");
        xml.optional_text("ETag", self.etag.as_deref());
        if let Some(checksums) = &self.checksums {
            xml.open("Checksum");
            checksums.write(&mut xml);
            xml.close("Checksum");
        }
        if let Some(parts) = &self.object_parts {
            parts.write(&mut xml);
        }
        xml.optional_text("StorageClass", self.storage_class.as_deref());
        if let Some(size) = self.object_size {
            xml.number("ObjectSize", size);
        }
        xml.close("GetObjectAttributesResponse");
        xml.finish()
    }
}

impl ObjectParts<'_> {
    fn write(&self, xml: &mut XmlWriter) {
        xml.open("ObjectParts");
        // The SDKs call it TotalPartsCount and read it from an element of this name.
        xml.number("PartsCount", u64::from(self.total_parts_count));
        xml.number("PartNumberMarker", u64::from(self.part_number_marker));
        xml.number(
            "NextPartNumberMarker",
            u64::from(self.next_part_number_marker),
        );
        xml.number("MaxParts", self.max_parts);
        xml.boolean("IsTruncated", self.is_truncated);
        for part in &self.parts {
            xml.open("Part");
            xml.number("PartNumber", u64::from(part.part_number));
            xml.number("Size", part.size);
            part.checksums.write(xml);
            xml.close("Part");
        }
        xml.close("ObjectParts");
    }
}
