//! `ListVersionsResult`: the answer of ListObjectVersions.

use std::borrow::Cow;

use super::Owner;
use super::list_objects::{
    RESTORE_STATUS, RestoreStatus, decode, decode_optional, read_common_prefix, read_encoding,
    write_common_prefixes, write_encoding,
};
use super::reader::XmlReader;
use super::writer::{KeyEncoding, XmlWriter};
use crate::error::S3Error;

/// The version id of an object written while versioning was off.
pub const NULL_VERSION_ID: &str = "null";

/// One version or delete marker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionEntry<'a> {
    /// The key, plain.
    pub key: Cow<'a, str>,
    /// The version id, `null` for the unversioned one.
    pub version_id: Cow<'a, str>,
    /// Whether it is the present state of the key.
    pub is_latest: bool,
    /// When it was written, in Unix milliseconds.
    pub last_modified_ms: i64,
    /// The owner.
    pub owner: Option<Owner<'a>>,
    /// What only a version has; `None` for a delete marker.
    pub content: Option<VersionContent<'a>>,
}

/// What a version has and a delete marker has not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionContent<'a> {
    /// The entity tag without quotes.
    pub etag: Cow<'a, str>,
    /// The size in bytes.
    pub size: u64,
    /// The storage class.
    pub storage_class: Cow<'a, str>,
    /// `CRC32`, `SHA256` and so on, if the object has a checksum.
    pub checksum_algorithm: Option<Cow<'a, str>>,
    /// `COMPOSITE` or `FULL_OBJECT`, if the object has a checksum.
    pub checksum_type: Option<Cow<'a, str>>,
    /// How far the restoration of an archived object is, if the client asked.
    pub restore_status: Option<RestoreStatus>,
}

/// The answer of ListObjectVersions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListVersions<'a> {
    /// The bucket.
    pub name: Cow<'a, str>,
    /// The prefix asked for, empty if none.
    pub prefix: Cow<'a, str>,
    /// The key marker asked for, empty if none.
    pub key_marker: Cow<'a, str>,
    /// The version marker asked for, empty if none.
    pub version_id_marker: Cow<'a, str>,
    /// The key where the next page starts.
    pub next_key_marker: Option<Cow<'a, str>>,
    /// The version where the next page starts.
    pub next_version_id_marker: Option<Cow<'a, str>>,
    /// The delimiter asked for.
    pub delimiter: Option<Cow<'a, str>>,
    /// The page size in force.
    pub max_keys: u64,
    /// Whether the client asked for `encoding-type=url`.
    pub encoding: KeyEncoding,
    /// Whether there is another page.
    pub is_truncated: bool,
    /// Versions and delete markers by key, newest first within a key.
    pub entries: Vec<VersionEntry<'a>>,
    /// The groups, ascending.
    pub common_prefixes: Vec<Cow<'a, str>>,
}

impl ListVersions<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(1024 + self.entries.len() * 480);
        xml.open_root("ListVersionsResult");
        xml.text("Name", &self.name);
        xml.key("Prefix", &self.prefix, self.encoding);
        xml.key("KeyMarker", &self.key_marker, self.encoding);
        xml.text("VersionIdMarker", &self.version_id_marker);
        xml.optional_key(
            "NextKeyMarker",
            self.next_key_marker.as_deref(),
            self.encoding,
        );
        xml.optional_text(
            "NextVersionIdMarker",
            self.next_version_id_marker.as_deref(),
        );
        xml.optional_key("Delimiter", self.delimiter.as_deref(), self.encoding);
        xml.number("MaxKeys", self.max_keys);
        write_encoding(&mut xml, self.encoding);
        xml.boolean("IsTruncated", self.is_truncated);
        for entry in &self.entries {
            entry.write(&mut xml, self.encoding);
        }
        write_common_prefixes(&mut xml, &self.common_prefixes, self.encoding);
        xml.close("ListVersionsResult");
        xml.finish()
    }

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<ListVersions<'static>, S3Error> {
        let mut reader = XmlReader::open_with_any_character(xml, &["ListVersionsResult"])?;
        let mut list = ListVersions::default();
        while let Some(name) = reader.child()? {
            match name {
                "Name" => list.name = reader.value()?.into(),
                "Prefix" => list.prefix = reader.value()?.into(),
                "KeyMarker" => list.key_marker = reader.value()?.into(),
                "VersionIdMarker" => list.version_id_marker = reader.value()?.into(),
                "NextKeyMarker" => list.next_key_marker = Some(reader.value()?.into()),
                "NextVersionIdMarker" => {
                    list.next_version_id_marker = Some(reader.value()?.into());
                }
                "Delimiter" => list.delimiter = Some(reader.value()?.into()),
                "MaxKeys" => list.max_keys = reader.number()?,
                "EncodingType" => list.encoding = read_encoding(&mut reader)?,
                "IsTruncated" => list.is_truncated = reader.boolean()?,
                "Version" => list.entries.push(VersionEntry::read(&mut reader, true)?),
                "DeleteMarker" => list.entries.push(VersionEntry::read(&mut reader, false)?),
                "CommonPrefixes" => list.common_prefixes.push(read_common_prefix(&mut reader)?),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        let encoding = list.encoding;
        decode(&mut list.prefix, encoding)?;
        decode(&mut list.key_marker, encoding)?;
        decode_optional(&mut list.next_key_marker, encoding)?;
        decode_optional(&mut list.delimiter, encoding)?;
        for entry in &mut list.entries {
            decode(&mut entry.key, encoding)?;
        }
        for prefix in &mut list.common_prefixes {
            decode(prefix, encoding)?;
        }
        Ok(list)
    }
}

impl VersionEntry<'_> {
    fn write(&self, xml: &mut XmlWriter, encoding: KeyEncoding) {
        let element = if self.content.is_some() {
            "Version"
        } else {
            "DeleteMarker"
        };
        xml.open(element);
        xml.key("Key", &self.key, encoding);
        xml.text("VersionId", &self.version_id);
        xml.boolean("IsLatest", self.is_latest);
        xml.time("LastModified", self.last_modified_ms);
        if let Some(content) = &self.content {
            xml.etag("ETag", &content.etag);
            xml.optional_text("ChecksumAlgorithm", content.checksum_algorithm.as_deref());
            xml.optional_text("ChecksumType", content.checksum_type.as_deref());
            xml.number("Size", content.size);
            xml.text("StorageClass", &content.storage_class);
            if let Some(status) = content.restore_status {
                status.write(xml);
            }
        }
        if let Some(owner) = &self.owner {
            owner.write(xml, "Owner");
        }
        xml.close(element);
    }

    fn read(xml: &mut XmlReader<'_>, has_content: bool) -> Result<VersionEntry<'static>, S3Error> {
        let mut entry = VersionEntry::default();
        let mut content = VersionContent::default();
        while let Some(name) = xml.child()? {
            match name {
                "Key" => entry.key = xml.value()?.into(),
                "VersionId" => entry.version_id = xml.value()?.into(),
                "IsLatest" => entry.is_latest = xml.boolean()?,
                "LastModified" => entry.last_modified_ms = xml.time()?,
                "Owner" => entry.owner = Some(Owner::read(xml)?),
                "ETag" => content.etag = xml.etag()?.into(),
                "Size" => content.size = xml.number()?,
                "StorageClass" => content.storage_class = xml.value()?.into(),
                "ChecksumAlgorithm" => content.checksum_algorithm = Some(xml.value()?.into()),
                "ChecksumType" => content.checksum_type = Some(xml.value()?.into()),
                RESTORE_STATUS => content.restore_status = Some(RestoreStatus::read(xml)?),
                _ => xml.skip()?,
            }
        }
        entry.content = has_content.then_some(content);
        Ok(entry)
    }
}
