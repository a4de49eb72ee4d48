//! `Delete` and `DeleteResult`: request and answer of DeleteObjects.

use std::borrow::Cow;

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::conditions::{Conditions, EtagCondition};
use crate::error::S3Error;

/// The most keys one request may name (S3's limit).
pub const MAX_DELETE_KEYS: usize = 1_000;

/// The largest body worth reading: S3 allows 2 MB, which holds 1,000 of the longest keys.
pub const MAX_DELETE_BODY_BYTES: usize = 2 * 1024 * 1024;

/// One object to delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectIdentifier<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// A version to delete for good.
    pub version_id: Option<Cow<'a, str>>,
    /// Delete only if the entity tag is this one (`*`: any), without quotes.
    pub etag: Option<Cow<'a, str>>,
    /// Delete only if last modified then, in Unix milliseconds.
    pub last_modified_time_ms: Option<i64>,
    /// Delete only if of this size in bytes.
    pub size: Option<u64>,
}

impl ObjectIdentifier<'_> {
    /// The conditions of this object, to evaluate as those of a DeleteObject.
    pub fn conditions(&self) -> Conditions {
        Conditions {
            if_match: self
                .etag
                .as_deref()
                .map(|etag| EtagCondition::parse(etag.as_bytes())),
            if_match_last_modified_ms: self.last_modified_time_ms,
            if_match_size: self.size,
            ..Conditions::default()
        }
    }

    fn read(xml: &mut XmlReader<'_>) -> Result<ObjectIdentifier<'static>, S3Error> {
        let mut key = None;
        let mut object = ObjectIdentifier::default();
        while let Some(name) = xml.child()? {
            match name {
                "Key" => xml.once(&mut key, XmlReader::value)?,
                "VersionId" => xml.once(&mut object.version_id, |xml| Ok(xml.value()?.into()))?,
                "ETag" => xml.once(&mut object.etag, |xml| Ok(xml.etag()?.into()))?,
                "LastModifiedTime" => {
                    xml.once(&mut object.last_modified_time_ms, XmlReader::time)?;
                }
                "Size" => xml.once(&mut object.size, XmlReader::number)?,
                _ => xml.skip()?,
            }
        }
        let key = key.filter(|key| !key.is_empty());
        object.key = key
            .ok_or_else(|| malformed("Every object needs a Key."))?
            .into();
        Ok(object)
    }
}

/// `Delete`: the body of DeleteObjects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delete<'a> {
    /// The objects, 1 to [`MAX_DELETE_KEYS`].
    pub objects: Vec<ObjectIdentifier<'a>>,
    /// Whether the answer names failures only.
    pub quiet: bool,
}

impl Delete<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(256 + self.objects.len() * 96);
        xml.open_root("Delete");
        for object in &self.objects {
            xml.open("Object");
            xml.text("Key", &object.key);
            xml.optional_text("VersionId", object.version_id.as_deref());
            if let Some(etag) = &object.etag {
                xml.etag("ETag", etag);
            }
            if let Some(last_modified_time_ms) = object.last_modified_time_ms {
                xml.time("LastModifiedTime", last_modified_time_ms);
            }
            if let Some(size) = object.size {
                xml.number("Size", size);
            }
            xml.close("Object");
        }
        if self.quiet {
            xml.boolean("Quiet", true);
        }
        xml.close("Delete");
        xml.finish()
    }

    /// Reads the document. No object, more than [`MAX_DELETE_KEYS`] or one without a key is
    /// `MalformedXML`.
    pub fn parse(xml: &[u8]) -> Result<Delete<'static>, S3Error> {
        let mut reader = XmlReader::open_with_any_character(xml, &["Delete"])?;
        let mut objects = Vec::new();
        let mut quiet = None;
        while let Some(name) = reader.child()? {
            match name {
                "Object" if objects.len() == MAX_DELETE_KEYS => {
                    return Err(malformed("A request deletes at most 1,000 objects."));
                }
                "Object" => objects.push(ObjectIdentifier::read(&mut reader)?),
                "Quiet" => reader.once(&mut quiet, XmlReader::boolean)?,
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        if objects.is_empty() {
            return Err(malformed("You must specify at least one object."));
        }
        Ok(Delete {
            objects,
            quiet: quiet.unwrap_or_default(),
        })
    }
}

/// One object that was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletedObject<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// The version that was asked for and deleted.
    pub version_id: Option<Cow<'a, str>>,
    /// Whether a delete marker was made or, with a version, deleted.
    pub delete_marker: bool,
    /// The version id of that marker.
    pub delete_marker_version_id: Option<Cow<'a, str>>,
}

/// One object that was not deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteError<'a> {
    /// The key.
    pub key: Cow<'a, str>,
    /// The version that was asked for.
    pub version_id: Option<Cow<'a, str>>,
    /// The error code, such as `AccessDenied`.
    pub code: Cow<'a, str>,
    /// What went wrong.
    pub message: Cow<'a, str>,
}

/// `DeleteResult`: the answer of DeleteObjects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeleteResult<'a> {
    /// What was deleted; leave empty when the request was quiet.
    pub deleted: Vec<DeletedObject<'a>>,
    /// What was not.
    pub errors: Vec<DeleteError<'a>>,
}

impl DeleteResult<'_> {
    /// Writes the document. Keys stand in it as in a list without `encoding-type`: clients find those of
    /// their request by them.
    pub fn to_xml(&self) -> Vec<u8> {
        let entries = self.deleted.len() + self.errors.len();
        let mut xml = XmlWriter::with_capacity(256 + entries * 128);
        xml.open_root("DeleteResult");
        for deleted in &self.deleted {
            xml.open("Deleted");
            xml.text("Key", &deleted.key);
            xml.optional_text("VersionId", deleted.version_id.as_deref());
            if deleted.delete_marker {
                xml.boolean("DeleteMarker", true);
            }
            let marker = deleted.delete_marker_version_id.as_deref();
            xml.optional_text("DeleteMarkerVersionId", marker);
            xml.close("Deleted");
        }
        for error in &self.errors {
            xml.open("Error");
            xml.text("Key", &error.key);
            xml.optional_text("VersionId", error.version_id.as_deref());
            xml.text("Code", &error.code);
            xml.message(&error.message);
            xml.close("Error");
        }
        xml.close("DeleteResult");
        xml.finish()
    }

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<DeleteResult<'static>, S3Error> {
        let mut reader = XmlReader::open_with_any_character(xml, &["DeleteResult"])?;
        let mut result = DeleteResult::default();
        while let Some(name) = reader.child()? {
            match name {
                "Deleted" => result.deleted.push(DeletedObject::read(&mut reader)?),
                "Error" => result.errors.push(DeleteError::read(&mut reader)?),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(result)
    }
}

impl DeletedObject<'_> {
    fn read(xml: &mut XmlReader<'_>) -> Result<DeletedObject<'static>, S3Error> {
        let mut deleted = DeletedObject::default();
        while let Some(name) = xml.child()? {
            match name {
                "Key" => deleted.key = xml.value()?.into(),
                "VersionId" => deleted.version_id = Some(xml.value()?.into()),
                "DeleteMarker" => deleted.delete_marker = xml.boolean()?,
                "DeleteMarkerVersionId" => {
                    deleted.delete_marker_version_id = Some(xml.value()?.into());
                }
                _ => xml.skip()?,
            }
        }
        Ok(deleted)
    }
}

impl DeleteError<'_> {
    fn read(xml: &mut XmlReader<'_>) -> Result<DeleteError<'static>, S3Error> {
        let mut error = DeleteError::default();
        while let Some(name) = xml.child()? {
            match name {
                "Key" => error.key = xml.value()?.into(),
                "VersionId" => error.version_id = Some(xml.value()?.into()),
                "Code" => error.code = xml.value()?.into(),
                "Message" => error.message = xml.value()?.into(),
                _ => xml.skip()?,
            }
        }
        Ok(error)
    }
}
