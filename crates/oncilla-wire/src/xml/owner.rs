//! `Owner` and `Initiator`.

use std::borrow::Cow;

use super::reader::XmlReader;
use super::writer::XmlWriter;
use crate::error::S3Error;

/// An account as documents show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner<'a> {
    /// The canonical user id.
    pub id: Cow<'a, str>,
    /// The name for people.
    pub display_name: Cow<'a, str>,
}

impl Owner<'_> {
    pub(crate) fn write(&self, xml: &mut XmlWriter, element: &str) {
        xml.open(element);
        self.write_content(xml);
        xml.close(element);
    }

    pub(crate) fn write_content(&self, xml: &mut XmlWriter) {
        xml.text("ID", &self.id);
        xml.text("DisplayName", &self.display_name);
    }

    pub(crate) fn read(xml: &mut XmlReader<'_>) -> Result<Owner<'static>, S3Error> {
        let mut owner = Owner::default();
        while let Some(name) = xml.child()? {
            match name {
                "ID" => owner.id = xml.value()?.into(),
                "DisplayName" => owner.display_name = xml.value()?.into(),
                _ => xml.skip()?,
            }
        }
        Ok(owner)
    }
}
