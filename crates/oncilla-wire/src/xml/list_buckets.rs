//! `ListAllMyBucketsResult`: the answer of ListBuckets.

use std::borrow::Cow;

use super::Owner;
use super::reader::XmlReader;
use super::writer::XmlWriter;
use crate::error::S3Error;

/// One bucket of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketEntry<'a> {
    /// The name.
    pub name: Cow<'a, str>,
    /// When it was created, in Unix milliseconds.
    pub creation_date_ms: i64,
    /// The region, which S3 sends only to those who page or filter.
    pub region: Option<Cow<'a, str>>,
}

/// The answer of ListBuckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListBuckets<'a> {
    /// Whose buckets they are.
    pub owner: Owner<'a>,
    /// The buckets by name.
    pub buckets: Vec<BucketEntry<'a>>,
    /// The prefix asked for.
    pub prefix: Option<Cow<'a, str>>,
    /// The token for the next page, when `max-buckets` cut the list.
    pub continuation_token: Option<Cow<'a, str>>,
}

impl ListBuckets<'_> {
    /// Writes the document.
    pub fn to_xml(&self) -> Vec<u8> {
        let mut xml = XmlWriter::with_capacity(512 + self.buckets.len() * 160);
        xml.open_root("ListAllMyBucketsResult");
        self.owner.write(&mut xml, "Owner");
        xml.open("Buckets");
        for bucket in &self.buckets {
            xml.open("Bucket");
            xml.text("Name", &bucket.name);
            xml.time("CreationDate", bucket.creation_date_ms);
            xml.optional_text("BucketRegion", bucket.region.as_deref());
            xml.close("Bucket");
        }
        xml.close("Buckets");
        xml.optional_text("Prefix", self.prefix.as_deref());
        xml.optional_text("ContinuationToken", self.continuation_token.as_deref());
        xml.close("ListAllMyBucketsResult");
        xml.finish()
    }

    /// Reads the document.
    pub fn parse(xml: &[u8]) -> Result<ListBuckets<'static>, S3Error> {
        let mut reader = XmlReader::open_with_any_character(xml, &["ListAllMyBucketsResult"])?;
        let mut list = ListBuckets::default();
        while let Some(name) = reader.child()? {
            match name {
                "Owner" => list.owner = Owner::read(&mut reader)?,
                "Buckets" => read_buckets(&mut reader, &mut list.buckets)?,
                "Prefix" => list.prefix = Some(reader.value()?.into()),
                "ContinuationToken" => list.continuation_token = Some(reader.value()?.into()),
                _ => reader.skip()?,
            }
        }
        reader.finish()?;
        Ok(list)
    }
}

fn read_buckets(
    xml: &mut XmlReader<'_>,
    buckets: &mut Vec<BucketEntry<'static>>,
) -> Result<(), S3Error> {
    while let Some(name) = xml.child()? {
        if name != "Bucket" {
            xml.skip()?;
            continue;
        }
        let mut bucket = BucketEntry::default();
        while let Some(name) = xml.child()? {
            match name {
                "Name" => bucket.name = xml.value()?.into(),
                "CreationDate" => bucket.creation_date_ms = xml.time()?,
                "BucketRegion" => bucket.region = Some(xml.value()?.into()),
                _ => xml.skip()?,
            }
        }
        buckets.push(bucket);
    }
    Ok(())
}
