//! The documents of multipart uploads.

use std::borrow::Cow;

use super::list_objects::{
    decode, decode_optional, read_common_prefix, read_encoding, write_common_prefixes,
    write_encoding,
};
use super::reader::{XmlReader, malformed};
use super::writer::{KeyEncoding, XmlWriter};
use super::{Checksums, Owner};
use crate::checksum_headers::refuse_not_implemented;
use crate::digits::parse_digits;
use crate::error::{S3Error, S3ErrorCode};

/// The most parts an upload may have (S3's limit).
pub const MAX_PARTS: usize = 10_000;

/// The highest part number (S3's limit); the lowest is 1.
pub const MAX_PART_NUMBER: u32 = 10_000;

/// The largest body of a CompleteMultipartUpload worth reading: every part with all its elements
/// takes less than 400 bytes in the spelling of any SDK.
pub const MAX_COMPLETE_BODY_BYTES: usize = 4 * 1024 * 1024;

/// `InitiateMultipartUploadResult`: the answer of CreateMultipartUpload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitiateMultipartUpload<'a> {
    /// The bucket.
    pub bucket: Cow<'a, str>,
    /// The key.
    pub key: Cow<'a, str>,
    /// The upload's id.
    pub upload_id: Cow<'a, str>,
}

impl InitiateMultipartUpload<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(512 + self.key.len());
        xml.open_root("InitiateMultipartUploadResult");
        xml.text("Bucket", &self.bucket);
        xml.text("Key", &self.key);
        xml.text("UploadId", &self.upload_id);
        xml.close("InitiateMultipartUploadResult");
        xml.finish()
    }

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<InitiateMultipartUpload<'static>, S3Error> {
        let mut reader =
            XmlReader::open_with_any_character(xml, &["InitiateMultipartUploadResult"])?;
        let mut result = InitiateMultipartUpload::default();
        while let Some(name) = reader.child()? {
            match name {
                "Bucket" => result.bucket = reader.value()?.into(),
                "Key" => result.key = reader.value()?.into(),
                "UploadId" => result.upload_id = reader.value()?.into(),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(result)
    }
}

/// One part that the client wants in the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompletedPart<'a> {
    /// The part's number, 1 to [`MAX_PART_NUMBER`].
    pub part_number: u32,
    /// The part's entity tag without quotes.
    pub etag: Cow<'a, str>,
    /// The part's checksums, if the client sends them.
    pub checksums: Checksums<'a>,
}

/// `CompleteMultipartUpload`: the body of the request of that name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompleteMultipartUpload<'a> {
    /// The parts, as the client ordered them. The handler checks the order (`InvalidPartOrder`).
    pub parts: Vec<CompletedPart<'a>>,
}

impl CompleteMultipartUpload<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(256 + self.parts.len() * 160);
        xml.open_root("CompleteMultipartUpload");
        for part in &self.parts {
            xml.open("Part");
            xml.number("PartNumber", u64::from(part.part_number));
            xml.etag("ETag", &part.etag);
            part.checksums.write(&mut xml);
            xml.close("Part");
        }
        xml.close("CompleteMultipartUpload");
        xml.finish()
    }

    /// Reads the document. At least one part, at most [`MAX_PARTS`], each with a number and an
    /// entity tag: otherwise `MalformedXML`; a number out of range is an `InvalidArgument`.
    pub fn parse(xml: &[u8]) -> Result<CompleteMultipartUpload<'static>, S3Error> {
        // Some clients have sent the name of the result as the root; S3 and others take it.
        let mut reader = XmlReader::open_with_any_character(
            xml,
            &["CompleteMultipartUpload", "CompletedMultipartUpload"],
        )?;
        let mut parts = Vec::new();
        while let Some(name) = reader.child()? {
            match name {
                "Part" if parts.len() == MAX_PARTS => {
                    return Err(malformed("An upload has at most 10,000 parts."));
                }
                "Part" => parts.push(CompletedPart::read(&mut reader)?),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        if parts.is_empty() {
            return Err(malformed("You must specify at least one part."));
        }
        Ok(CompleteMultipartUpload { parts })
    }
}

impl CompletedPart<'_> {
    fn read(xml: &mut XmlReader<'_>) -> Result<CompletedPart<'static>, S3Error> {
        let mut number = None;
        let mut etag = None;
        let mut checksums = Checksums::default();
        while let Some(name) = xml.child()? {
            match name {
                "PartNumber" => xml.once(&mut number, XmlReader::number)?,
                "ETag" => xml.once(&mut etag, XmlReader::etag)?,
                _ if checksums.read(name, xml)? => {}
                _ => {
                    if let Some(algorithm) = name.strip_prefix("Checksum") {
                        refuse_not_implemented(algorithm)?;
                    }
                    xml.skip()?;
                }
            }
        }
        let (Some(number), Some(etag)) = (number, etag) else {
            return Err(malformed("Every part needs a PartNumber and an ETag."));
        };
        let part_number = check_part_number(number)?;
        Ok(CompletedPart {
            part_number,
            etag: etag.into(),
            checksums,
        })
    }
}

/// Reads `partNumber` from a query, or refuses it as S3 does.
pub fn parse_part_number(text: &str) -> Result<u32, S3Error> {
    let number = parse_digits(text).ok_or_else(|| part_number_error(text))?;
    check_part_number(number)
}

fn check_part_number(number: u64) -> Result<u32, S3Error> {
    match u32::try_from(number) {
        Ok(small @ 1..=MAX_PART_NUMBER) => Ok(small),
        _ => Err(part_number_error(&number.to_string())),
    }
}

fn part_number_error(value: &str) -> S3Error {
    S3Error::invalid_argument(
        "partNumber",
        value,
        "Part number must be an integer between 1 and 10000, inclusive",
    )
}

/// `CompleteMultipartUploadResult`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompleteMultipartUploadResult<'a> {
    /// The address of the object.
    pub location: Cow<'a, str>,
    /// The bucket.
    pub bucket: Cow<'a, str>,
    /// The key.
    pub key: Cow<'a, str>,
    /// The object's entity tag without quotes.
    pub etag: Cow<'a, str>,
    /// The object's checksum and its type.
    pub checksums: Checksums<'a>,
}

impl CompleteMultipartUploadResult<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(768 + 2 * self.key.len());
        xml.open_root("CompleteMultipartUploadResult");
        xml.text("Location", &self.location);
        xml.text("Bucket", &self.bucket);
        xml.text("Key", &self.key);
        xml.etag("ETag", &self.etag);
        self.checksums.write(&mut xml);
        xml.close("CompleteMultipartUploadResult");
        xml.finish()
    }

    /// Reads the answer of CompleteMultipartUpload, which can be an error under status 200, because
    /// S3 sends the head before it knows the outcome.
    pub fn parse(xml: &[u8]) -> Result<Result<Self, super::error::ErrorDocument>, S3Error> {
        let Ok(mut reader) =
            XmlReader::open_with_any_character(xml, &["CompleteMultipartUploadResult"])
        else {
            return super::error::ErrorDocument::parse(xml).map(Err);
        };
        let mut result = CompleteMultipartUploadResult::default();
        while let Some(name) = reader.child()? {
            match name {
                "Location" => result.location = reader.value()?.into(),
                "Bucket" => result.bucket = reader.value()?.into(),
                "Key" => result.key = reader.value()?.into(),
                "ETag" => result.etag = reader.etag()?.into(),
                _ if result.checksums.read(name, &mut reader)? => {}
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(Ok(result))
    }
}

/// One part of [`ListParts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartEntry<'a> {
    /// The part's number.
    pub part_number: u32,
    /// When it was uploaded, in Unix milliseconds.
    pub last_modified_ms: i64,
    /// The entity tag without quotes.
    pub etag: Cow<'a, str>,
    /// The size in bytes.
    pub size: u64,
    /// The part's checksums.
    pub checksums: Checksums<'a>,
}

/// `ListPartsResult`: the answer of ListParts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListParts<'a> {
    /// The bucket.
    pub bucket: Cow<'a, str>,
    /// The key, plain.
    pub key: Cow<'a, str>,
    /// The upload's id.
    pub upload_id: Cow<'a, str>,
    /// Who began the upload.
    pub initiator: Owner<'a>,
    /// Who will own the object.
    pub owner: Owner<'a>,
    /// The storage class asked for.
    pub storage_class: Cow<'a, str>,
    /// The part after which the page starts, 0 for the first page.
    pub part_number_marker: u32,
    /// The last part on this page, when there is another page.
    pub next_part_number_marker: Option<u32>,
    /// The page size in force.
    pub max_parts: u64,
    /// Whether there is another page.
    pub is_truncated: bool,
    /// Whether the client asked for `encoding-type=url`.
    pub encoding: KeyEncoding,
    /// The upload's checksum algorithm.
    pub checksum_algorithm: Option<Cow<'a, str>>,
    /// The upload's checksum type.
    pub checksum_type: Option<Cow<'a, str>>,
    /// The parts, ascending.
    pub parts: Vec<PartEntry<'a>>,
}

impl ListParts<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(1024 + self.parts.len() * 240);
        xml.open_root("ListPartsResult");
        xml.text("Bucket", &self.bucket);
        xml.key("Key", &self.key, self.encoding);
        xml.text("UploadId", &self.upload_id);
        self.initiator.write(&mut xml, "Initiator");
        self.owner.write(&mut xml, "Owner");
        xml.text("StorageClass", &self.storage_class);
        xml.number("PartNumberMarker", u64::from(self.part_number_marker));
        if let Some(next) = self.next_part_number_marker {
            xml.number("NextPartNumberMarker", u64::from(next));
        }
        xml.number("MaxParts", self.max_parts);
        write_encoding(&mut xml, self.encoding);
        xml.boolean("IsTruncated", self.is_truncated);
        xml.optional_text("ChecksumAlgorithm", self.checksum_algorithm.as_deref());
        xml.optional_text("ChecksumType", self.checksum_type.as_deref());
        for part in &self.parts {
            xml.open("Part");
            xml.number("PartNumber", u64::from(part.part_number));
            xml.time("LastModified", part.last_modified_ms);
            xml.etag("ETag", &part.etag);
            xml.number("Size", part.size);
            part.checksums.write(&mut xml);
            xml.close("Part");
        }
        xml.close("ListPartsResult");
        xml.finish()
    }

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<ListParts<'static>, S3Error> {
        let mut reader = XmlReader::open_with_any_character(xml, &["ListPartsResult"])?;
        let mut list = ListParts::default();
        while let Some(name) = reader.child()? {
            match name {
                "Bucket" => list.bucket = reader.value()?.into(),
                "Key" => list.key = reader.value()?.into(),
                "UploadId" => list.upload_id = reader.value()?.into(),
                "Initiator" => list.initiator = Owner::read(&mut reader)?,
                "Owner" => list.owner = Owner::read(&mut reader)?,
                "StorageClass" => list.storage_class = reader.value()?.into(),
                "PartNumberMarker" => list.part_number_marker = reader.small_number()?,
                "NextPartNumberMarker" => {
                    list.next_part_number_marker = Some(reader.small_number()?);
                }
                "MaxParts" => list.max_parts = reader.number()?,
                "EncodingType" => list.encoding = read_encoding(&mut reader)?,
                "IsTruncated" => list.is_truncated = reader.boolean()?,
                "ChecksumAlgorithm" => list.checksum_algorithm = Some(reader.value()?.into()),
                "ChecksumType" => list.checksum_type = Some(reader.value()?.into()),
                "Part" => list.parts.push(PartEntry::read(&mut reader)?),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        decode(&mut list.key, list.encoding)?;
        Ok(list)
    }
}

impl PartEntry<'_> {
    fn read(xml: &mut XmlReader<'_>) -> Result<PartEntry<'static>, S3Error> {
        let mut part = PartEntry::default();
        while let Some(name) = xml.child()? {
            match name {
                "PartNumber" => part.part_number = xml.small_number()?,
                "LastModified" => part.last_modified_ms = xml.time()?,
                "ETag" => part.etag = xml.etag()?.into(),
                "Size" => part.size = xml.number()?,
                _ if part.checksums.read(name, xml)? => {}
                _ => xml.skip()?,
            }
        }
        Ok(part)
    }
}

/// One upload of [`ListMultipartUploads`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadEntry<'a> {
    /// The key, plain.
    pub key: Cow<'a, str>,
    /// The upload's id.
    pub upload_id: Cow<'a, str>,
    /// Who began it.
    pub initiator: Owner<'a>,
    /// Who will own the object.
    pub owner: Owner<'a>,
    /// The storage class asked for.
    pub storage_class: Cow<'a, str>,
    /// When it began, in Unix milliseconds.
    pub initiated_ms: i64,
    /// The upload's checksum algorithm.
    pub checksum_algorithm: Option<Cow<'a, str>>,
    /// The upload's checksum type.
    pub checksum_type: Option<Cow<'a, str>>,
}

/// `ListMultipartUploadsResult`: the answer of ListMultipartUploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListMultipartUploads<'a> {
    /// The bucket.
    pub bucket: Cow<'a, str>,
    /// The key marker asked for, empty if none.
    pub key_marker: Cow<'a, str>,
    /// The upload marker asked for, empty if none.
    pub upload_id_marker: Cow<'a, str>,
    /// The key where the next page starts.
    pub next_key_marker: Option<Cow<'a, str>>,
    /// The upload where the next page starts.
    pub next_upload_id_marker: Option<Cow<'a, str>>,
    /// The prefix asked for, empty if none.
    pub prefix: Cow<'a, str>,
    /// The delimiter asked for.
    pub delimiter: Option<Cow<'a, str>>,
    /// The page size in force.
    pub max_uploads: u64,
    /// Whether the client asked for `encoding-type=url`.
    pub encoding: KeyEncoding,
    /// Whether there is another page.
    pub is_truncated: bool,
    /// The uploads by key, then by when they began.
    pub uploads: Vec<UploadEntry<'a>>,
    /// The groups, ascending.
    pub common_prefixes: Vec<Cow<'a, str>>,
}

impl ListMultipartUploads<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(1024 + self.uploads.len() * 640);
        xml.open_root("ListMultipartUploadsResult");
        xml.text("Bucket", &self.bucket);
        xml.key("KeyMarker", &self.key_marker, self.encoding);
        xml.text("UploadIdMarker", &self.upload_id_marker);
        xml.optional_key(
            "NextKeyMarker",
            self.next_key_marker.as_deref(),
            self.encoding,
        );
        xml.optional_text("NextUploadIdMarker", self.next_upload_id_marker.as_deref());
        xml.key("Prefix", &self.prefix, self.encoding);
        xml.optional_key("Delimiter", self.delimiter.as_deref(), self.encoding);
        xml.number("MaxUploads", self.max_uploads);
        write_encoding(&mut xml, self.encoding);
        xml.boolean("IsTruncated", self.is_truncated);
        for upload in &self.uploads {
            upload.write(&mut xml, self.encoding);
        }
        write_common_prefixes(&mut xml, &self.common_prefixes, self.encoding);
        xml.close("ListMultipartUploadsResult");
        xml.finish()
    }

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<ListMultipartUploads<'static>, S3Error> {
        let mut reader = XmlReader::open_with_any_character(xml, &["ListMultipartUploadsResult"])?;
        let mut list = ListMultipartUploads::default();
        while let Some(name) = reader.child()? {
            match name {
                "Bucket" => list.bucket = reader.value()?.into(),
                "KeyMarker" => list.key_marker = reader.value()?.into(),
                "UploadIdMarker" => list.upload_id_marker = reader.value()?.into(),
                "NextKeyMarker" => list.next_key_marker = Some(reader.value()?.into()),
                "NextUploadIdMarker" => list.next_upload_id_marker = Some(reader.value()?.into()),
                "Prefix" => list.prefix = reader.value()?.into(),
                "Delimiter" => list.delimiter = Some(reader.value()?.into()),
                "MaxUploads" => list.max_uploads = reader.number()?,
                "EncodingType" => list.encoding = read_encoding(&mut reader)?,
                "IsTruncated" => list.is_truncated = reader.boolean()?,
                "Upload" => list.uploads.push(UploadEntry::read(&mut reader)?),
                "CommonPrefixes" => list.common_prefixes.push(read_common_prefix(&mut reader)?),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        let encoding = list.encoding;
        decode(&mut list.key_marker, encoding)?;
        decode_optional(&mut list.next_key_marker, encoding)?;
        decode(&mut list.prefix, encoding)?;
        decode_optional(&mut list.delimiter, encoding)?;
        for upload in &mut list.uploads {
            decode(&mut upload.key, encoding)?;
        }
        for prefix in &mut list.common_prefixes {
            decode(prefix, encoding)?;
        }
        Ok(list)
    }
}

impl UploadEntry<'_> {
    fn write(&self, xml: &mut XmlWriter, encoding: KeyEncoding) {
        xml.open("Upload");
        xml.key("Key", &self.key, encoding);
        xml.text("UploadId", &self.upload_id);
        self.initiator.write(xml, "Initiator");
        self.owner.write(xml, "Owner");
        xml.text("StorageClass", &self.storage_class);
        xml.time("Initiated", self.initiated_ms);
        xml.optional_text("ChecksumAlgorithm", self.checksum_algorithm.as_deref());
        xml.optional_text("ChecksumType", self.checksum_type.as_deref());
        xml.close("Upload");
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<UploadEntry<'static>, S3Error> {
        let mut upload = UploadEntry::default();
        while let Some(name) = xml.child()? {
            match name {
                "Key" => upload.key = xml.value()?.into(),
                "UploadId" => upload.upload_id = xml.value()?.into(),
                "Initiator" => upload.initiator = Owner::read(xml)?,
                "Owner" => upload.owner = Owner::read(xml)?,
                "StorageClass" => upload.storage_class = xml.value()?.into(),
                "Initiated" => upload.initiated_ms = xml.time()?,
                "ChecksumAlgorithm" => upload.checksum_algorithm = Some(xml.value()?.into()),
                "ChecksumType" => upload.checksum_type = Some(xml.value()?.into()),
                _ => xml.skip()?,
            }
        }
        Ok(upload)
    }
}

/// Refuses a list of parts that is not strictly ascending (`InvalidPartOrder`).
pub fn check_part_order(parts: &[CompletedPart<'_>]) -> Result<(), S3Error> {
    let ascending = parts
        .windows(2)
        .all(|pair| pair[0].part_number < pair[1].part_number);
    if ascending {
        Ok(())
    } else {
        Err(S3ErrorCode::InvalidPartOrder.into())
    }
}
