//! `ListBucketResult`: the answers of ListObjects and ListObjectsV2.

use std::borrow::Cow;
use std::convert::Infallible;

use super::Owner;
use super::reader::{XmlReader, decode_key};
use super::writer::{KeyEncoding, XmlWriter};
use crate::error::S3Error;

/// What an entry takes in the document, to size the buffer once if keys are not long: 300 bytes, and 130
/// more with an owner.
const ENTRY_BYTES: usize = 384;

/// One object of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectEntry<'a> {
    /// The key, plain.
    pub key: Cow<'a, str>,
    /// When it was written, in Unix milliseconds.
    pub last_modified_ms: i64,
    /// The entity tag without quotes.
    pub etag: Cow<'a, str>,
    /// The size in bytes.
    pub size: u64,
    /// The storage class, such as `STANDARD`.
    pub storage_class: Cow<'a, str>,
    /// The owner: always in ListObjects, in ListObjectsV2 with `fetch-owner=true`.
    pub owner: Option<Owner<'a>>,
    /// `CRC32`, `SHA256` and so on, if the object has a checksum.
    pub checksum_algorithm: Option<Cow<'a, str>>,
    /// `COMPOSITE` or `FULL_OBJECT`, if the object has a checksum.
    pub checksum_type: Option<Cow<'a, str>>,
    /// How far the restoration of an archived object is, if the client asked.
    pub restore_status: Option<RestoreStatus>,
}

/// How far the restoration of an archived object is.
/// Source: S3 API reference, `RestoreStatus`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RestoreStatus {
    /// It is not there yet.
    pub in_progress: bool,
    /// Until when the object can be read, in Unix milliseconds.
    pub expires_ms: Option<i64>,
}

/// The value of `x-amz-optional-object-attributes` by which a client asks for it.
pub const RESTORE_STATUS: &str = "RestoreStatus";

impl RestoreStatus {
    pub(super) fn write(&self, xml: &mut XmlWriter) {
        xml.open(RESTORE_STATUS);
        xml.boolean("IsRestoreInProgress", self.in_progress);
        if let Some(expires_ms) = self.expires_ms {
            xml.time("RestoreExpiryDate", expires_ms);
        }
        xml.close(RESTORE_STATUS);
    }

    pub(super) fn read(xml: &mut XmlReader<'_>) -> Result<Self, S3Error> {
        let mut status = Self::default();
        while let Some(name) = xml.child()? {
            match name {
                "IsRestoreInProgress" => status.in_progress = xml.boolean()?,
                "RestoreExpiryDate" => status.expires_ms = Some(xml.time()?),
                _ => xml.skip()?,
            }
        }
        Ok(status)
    }
}

/// The answer of ListObjects (version 1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListObjects<'a> {
    /// The bucket.
    pub name: Cow<'a, str>,
    /// The prefix asked for, empty if none.
    pub prefix: Cow<'a, str>,
    /// The marker asked for, empty if none.
    pub marker: Cow<'a, str>,
    /// Where the next page starts; S3 sends it only with a delimiter, and sending it always is allowed.
    pub next_marker: Option<Cow<'a, str>>,
    /// The delimiter asked for.
    pub delimiter: Option<Cow<'a, str>>,
    /// The page size in force.
    pub max_keys: u64,
    /// Whether the client asked for `encoding-type=url`.
    pub encoding: KeyEncoding,
    /// Whether there is another page.
    pub is_truncated: bool,
    /// The objects, ascending.
    pub contents: Vec<ObjectEntry<'a>>,
    /// The groups, ascending, each with prefix and delimiter.
    pub common_prefixes: Vec<Cow<'a, str>>,
}

/// The answer of ListObjectsV2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListObjectsV2<'a> {
    /// The bucket.
    pub name: Cow<'a, str>,
    /// The prefix asked for, empty if none.
    pub prefix: Cow<'a, str>,
    /// The delimiter asked for.
    pub delimiter: Option<Cow<'a, str>>,
    /// The page size in force.
    pub max_keys: u64,
    /// Objects and groups on this page.
    pub key_count: u64,
    /// Whether the client asked for `encoding-type=url`.
    pub encoding: KeyEncoding,
    /// Whether there is another page.
    pub is_truncated: bool,
    /// The token asked for. Never URL-encoded.
    pub continuation_token: Option<Cow<'a, str>>,
    /// The token for the next page.
    pub next_continuation_token: Option<Cow<'a, str>>,
    /// The `start-after` asked for.
    pub start_after: Option<Cow<'a, str>>,
    /// The objects, ascending.
    pub contents: Vec<ObjectEntry<'a>>,
    /// The groups, ascending, each with prefix and delimiter.
    pub common_prefixes: Vec<Cow<'a, str>>,
}

impl ListObjects<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        self.to_xml_of(self.contents.len(), |contents| contents.all(&self.contents))
            .unwrap_or_else(|never: Infallible| match never {})
    }

    /// Writes the document with the objects that `write` adds in place of [`ListObjects::contents`],
    /// about so many: one after the other, so that a page need not be held twice.
    ///
    /// # Errors
    /// That of `write`.
    pub fn to_xml_of<E>(
        &self,
        objects: usize,
        write: impl FnOnce(&mut Contents<'_>) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let mut xml = page_writer(objects, &self.common_prefixes);
        xml.open_root("ListBucketResult");
        xml.text("Name", &self.name);
        // Never URL-encoded here: botocore decodes the prefix of version 2 only, and takes this one
        // as it is (ceph/s3-tests, test_bucket_list_prefix_unreadable).
        xml.text("Prefix", &self.prefix);
        xml.key("Marker", &self.marker, self.encoding);
        xml.optional_key("NextMarker", self.next_marker.as_deref(), self.encoding);
        xml.optional_key("Delimiter", self.delimiter.as_deref(), self.encoding);
        xml.number("MaxKeys", self.max_keys);
        write_encoding(&mut xml, self.encoding);
        xml.boolean("IsTruncated", self.is_truncated);
        write(&mut Contents {
            xml: &mut xml,
            encoding: self.encoding,
        })?;
        write_common_prefixes(&mut xml, &self.common_prefixes, self.encoding);
        xml.close("ListBucketResult");
        Ok(xml.finish())
    }

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<ListObjects<'static>, S3Error> {
        let mut reader = XmlReader::open_with_any_character(xml, &["ListBucketResult"])?;
        let mut list = ListObjects::default();
        while let Some(name) = reader.child()? {
            match name {
                "Name" => list.name = reader.value()?.into(),
                "Prefix" => list.prefix = reader.value()?.into(),
                "Marker" => list.marker = reader.value()?.into(),
                "NextMarker" => list.next_marker = Some(reader.value()?.into()),
                "Delimiter" => list.delimiter = Some(reader.value()?.into()),
                "MaxKeys" => list.max_keys = reader.number()?,
                "EncodingType" => list.encoding = read_encoding(&mut reader)?,
                "IsTruncated" => list.is_truncated = reader.boolean()?,
                "Contents" => list.contents.push(ObjectEntry::read(&mut reader)?),
                "CommonPrefixes" => list.common_prefixes.push(read_common_prefix(&mut reader)?),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        // The encoding may be announced after the keys it applies to.
        decode(&mut list.marker, list.encoding)?;
        decode_optional(&mut list.next_marker, list.encoding)?;
        decode_optional(&mut list.delimiter, list.encoding)?;
        decode_page(&mut list.contents, &mut list.common_prefixes, list.encoding)?;
        Ok(list)
    }
}

impl ListObjectsV2<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        self.to_xml_of(self.contents.len(), |contents| contents.all(&self.contents))
            .unwrap_or_else(|never: Infallible| match never {})
    }

    /// Writes the document with the objects that `write` adds in place of [`ListObjectsV2::contents`],
    /// about so many: one after the other, so that a page need not be held twice.
    ///
    /// # Errors
    /// That of `write`.
    pub fn to_xml_of<E>(
        &self,
        objects: usize,
        write: impl FnOnce(&mut Contents<'_>) -> Result<(), E>,
    ) -> Result<Vec<u8>, E> {
        let mut xml = page_writer(objects, &self.common_prefixes);
        xml.open_root("ListBucketResult");
        xml.text("Name", &self.name);
        xml.key("Prefix", &self.prefix, self.encoding);
        xml.optional_text("ContinuationToken", self.continuation_token.as_deref());
        xml.optional_text(
            "NextContinuationToken",
            self.next_continuation_token.as_deref(),
        );
        xml.optional_key("StartAfter", self.start_after.as_deref(), self.encoding);
        xml.number("KeyCount", self.key_count);
        xml.number("MaxKeys", self.max_keys);
        xml.optional_key("Delimiter", self.delimiter.as_deref(), self.encoding);
        write_encoding(&mut xml, self.encoding);
        xml.boolean("IsTruncated", self.is_truncated);
        write(&mut Contents {
            xml: &mut xml,
            encoding: self.encoding,
        })?;
        write_common_prefixes(&mut xml, &self.common_prefixes, self.encoding);
        xml.close("ListBucketResult");
        Ok(xml.finish())
    }

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<ListObjectsV2<'static>, S3Error> {
        let mut reader = XmlReader::open_with_any_character(xml, &["ListBucketResult"])?;
        let mut list = ListObjectsV2::default();
        while let Some(name) = reader.child()? {
            match name {
                "Name" => list.name = reader.value()?.into(),
                "Prefix" => list.prefix = reader.value()?.into(),
                "ContinuationToken" => list.continuation_token = Some(reader.value()?.into()),
                "NextContinuationToken" => {
                    list.next_continuation_token = Some(reader.value()?.into());
                }
                "StartAfter" => list.start_after = Some(reader.value()?.into()),
                "KeyCount" => list.key_count = reader.number()?,
                "MaxKeys" => list.max_keys = reader.number()?,
                "Delimiter" => list.delimiter = Some(reader.value()?.into()),
                "EncodingType" => list.encoding = read_encoding(&mut reader)?,
                "IsTruncated" => list.is_truncated = reader.boolean()?,
                "Contents" => list.contents.push(ObjectEntry::read(&mut reader)?),
                "CommonPrefixes" => list.common_prefixes.push(read_common_prefix(&mut reader)?),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        decode(&mut list.prefix, list.encoding)?;
        decode_optional(&mut list.start_after, list.encoding)?;
        decode_optional(&mut list.delimiter, list.encoding)?;
        decode_page(&mut list.contents, &mut list.common_prefixes, list.encoding)?;
        Ok(list)
    }
}

/// Where the objects of a document are written.
pub struct Contents<'w> {
    xml: &'w mut XmlWriter,
    encoding: KeyEncoding,
}

impl Contents<'_> {
    /// Adds an object. They have to come in the order of their keys.
    pub fn add(&mut self, object: &ObjectEntry<'_>) {
        object.write(self.xml, self.encoding);
    }

    fn all<E>(&mut self, objects: &[ObjectEntry<'_>]) -> Result<(), E> {
        objects.iter().for_each(|object| self.add(object));
        Ok(())
    }
}

impl ObjectEntry<'_> {
    /// A page has a thousand of them, so markup is written in the largest pieces there are: element by
    /// element it took twice as long.
    fn write(&self, xml: &mut XmlWriter, encoding: KeyEncoding) {
        xml.raw("<Contents><Key>");
        xml.raw_key(&self.key, encoding);
        xml.raw("</Key><LastModified>");
        xml.raw_time(self.last_modified_ms);
        xml.raw("</LastModified><ETag>&quot;");
        xml.raw_escaped(&self.etag);
        xml.raw("&quot;</ETag>");
        if let Some(algorithm) = &self.checksum_algorithm {
            xml.raw("<ChecksumAlgorithm>");
            xml.raw_escaped(algorithm);
            xml.raw("</ChecksumAlgorithm>");
        }
        if let Some(kind) = &self.checksum_type {
            xml.raw("<ChecksumType>");
            xml.raw_escaped(kind);
            xml.raw("</ChecksumType>");
        }
        xml.raw("<Size>");
        xml.raw_number(self.size);
        xml.raw("</Size>");
        if let Some(owner) = &self.owner {
            owner.write(xml, "Owner");
        }
        xml.raw("<StorageClass>");
        xml.raw_escaped(&self.storage_class);
        xml.raw("</StorageClass>");
        if let Some(status) = self.restore_status {
            status.write(xml);
        }
        xml.raw("</Contents>");
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<ObjectEntry<'static>, S3Error> {
        let mut entry = ObjectEntry::default();
        while let Some(name) = xml.child()? {
            match name {
                "Key" => entry.key = xml.value()?.into(),
                "LastModified" => entry.last_modified_ms = xml.time()?,
                "ETag" => entry.etag = xml.etag()?.into(),
                "Size" => entry.size = xml.number()?,
                "StorageClass" => entry.storage_class = xml.value()?.into(),
                "Owner" => entry.owner = Some(Owner::read(xml)?),
                "ChecksumAlgorithm" => entry.checksum_algorithm = Some(xml.value()?.into()),
                "ChecksumType" => entry.checksum_type = Some(xml.value()?.into()),
                RESTORE_STATUS => entry.restore_status = Some(RestoreStatus::read(xml)?),
                _ => xml.skip()?,
            }
        }
        Ok(entry)
    }
}

fn page_writer(objects: usize, common_prefixes: &[Cow<'_, str>]) -> XmlWriter {
    let prefix_bytes: usize = common_prefixes.iter().map(|prefix| prefix.len() + 60).sum();
    XmlWriter::with_capacity(512 + objects * ENTRY_BYTES + prefix_bytes)
}

pub(super) fn write_common_prefixes(
    xml: &mut XmlWriter,
    common_prefixes: &[Cow<'_, str>],
    encoding: KeyEncoding,
) {
    for prefix in common_prefixes {
        xml.open("CommonPrefixes");
        xml.key("Prefix", prefix, encoding);
        xml.close("CommonPrefixes");
    }
}

pub(super) fn write_encoding(xml: &mut XmlWriter, encoding: KeyEncoding) {
    if encoding == KeyEncoding::Url {
        xml.text("EncodingType", "url");
    }
}

pub(super) fn read_encoding(xml: &mut XmlReader<'_>) -> Result<KeyEncoding, S3Error> {
    Ok(if xml.value()?.eq_ignore_ascii_case("url") {
        KeyEncoding::Url
    } else {
        KeyEncoding::Plain
    })
}

pub(super) fn read_common_prefix(xml: &mut XmlReader<'_>) -> Result<Cow<'static, str>, S3Error> {
    let mut prefix = String::new();
    while let Some(name) = xml.child()? {
        match name {
            "Prefix" => prefix = xml.value()?,
            _ => xml.skip()?,
        }
    }
    Ok(prefix.into())
}

pub(super) fn decode(text: &mut Cow<'static, str>, encoding: KeyEncoding) -> Result<(), S3Error> {
    if encoding == KeyEncoding::Url {
        *text = decode_key(std::mem::take(text).into_owned(), encoding)?.into();
    }
    Ok(())
}

pub(super) fn decode_optional(
    text: &mut Option<Cow<'static, str>>,
    encoding: KeyEncoding,
) -> Result<(), S3Error> {
    text.as_mut().map_or(Ok(()), |text| decode(text, encoding))
}

fn decode_page(
    contents: &mut [ObjectEntry<'static>],
    common_prefixes: &mut [Cow<'static, str>],
    encoding: KeyEncoding,
) -> Result<(), S3Error> {
    for entry in contents {
        decode(&mut entry.key, encoding)?;
    }
    for prefix in common_prefixes {
        decode(prefix, encoding)?;
    }
    Ok(())
}
