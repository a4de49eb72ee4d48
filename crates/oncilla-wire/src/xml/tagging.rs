//! `Tagging`: the body of the tagging requests and the answer of those that read tags.

use super::reader::{XmlReader, malformed};
use super::writer::XmlWriter;
use crate::error::S3Error;
use crate::tagging::{Tag, TagSet, TagTarget};

/// The largest body worth reading: 50 tags of the longest kind, every character written as a reference.
pub const MAX_TAGGING_BODY_BYTES: usize = 256 * 1024;

/// The most tags read before the rules are applied, so that a long list is refused by its count.
const MAX_TAGS_READ: usize = 1_000;

/// Writes the document.
pub fn to_xml(tags: &TagSet) -> Vec<u8> {
    let mut xml = XmlWriter::with_capacity(256 + tags.len() * 128);
    xml.open_root("Tagging");
    xml.open("TagSet");
    for tag in tags.iter() {
        xml.open("Tag");
        xml.text("Key", &tag.key);
        xml.text("Value", &tag.value);
        xml.close("Tag");
    }
    xml.close("TagSet");
    xml.close("Tagging");
    xml.finish()
}

/// Reads the document and applies the rules of [`TagSet::new`].
pub fn parse(xml: &[u8], target: TagTarget) -> Result<TagSet, S3Error> {
    let mut reader = XmlReader::open(xml, &["Tagging"])?;
    let mut tags = None;
    while let Some(name) = reader.child()? {
        match name {
            "TagSet" => reader.once(&mut tags, read_tags)?,
            _ => reader.skip()?,
        }
    }
    reader.finish()?;
    let tags = tags.ok_or_else(|| malformed("Tagging needs a TagSet."))?;
    TagSet::new(tags, target)
}

/// Reads `<Tag>` elements up to the end of the element that is open.
pub(crate) fn read_tags(xml: &mut XmlReader<'_>) -> Result<Vec<Tag>, S3Error> {
    let mut tags = Vec::new();
    while let Some(name) = xml.child()? {
        match name {
            "Tag" if tags.len() == MAX_TAGS_READ => {
                return Err(malformed("There are too many tags."));
            }
            "Tag" => tags.push(read_tag(xml)?),
            _ => xml.skip()?,
        }
    }
    Ok(tags)
}

/// Reads one `<Tag>`.
pub(crate) fn read_tag(xml: &mut XmlReader<'_>) -> Result<Tag, S3Error> {
    let (mut key, mut value) = (None, None);
    while let Some(name) = xml.child()? {
        match name {
            "Key" => xml.once(&mut key, XmlReader::value)?,
            "Value" => xml.once(&mut value, XmlReader::value)?,
            _ => xml.skip()?,
        }
    }
    match (key, value) {
        (Some(key), Some(value)) => Ok(Tag { key, value }),
        _ => Err(malformed("Every tag needs a Key and a Value.")),
    }
}
