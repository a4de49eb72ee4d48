//! `LocationConstraint`: the answer of GetBucketLocation.

use super::reader::XmlReader;
use super::writer::XmlWriter;
use crate::error::S3Error;

/// Writes the document. S3 sends an empty element for its first region, `us-east-1`.
pub fn to_xml(region: &str) -> Vec<u8> {
    let mut xml = XmlWriter::with_capacity(192);
    xml.open_root("LocationConstraint");
    xml.raw_escaped(if region == "us-east-1" { "" } else { region });
    xml.close("LocationConstraint");
    xml.finish()
}

/// Reads the document: the region, `us-east-1` if it names none.
pub fn parse(xml: &[u8]) -> Result<String, S3Error> {
    let mut reader = XmlReader::open(xml, &["LocationConstraint"])?;
    let region = reader.value()?;
    reader.finish()?;
    Ok(if region.is_empty() {
        "us-east-1".to_owned()
    } else {
        region
    })
}
