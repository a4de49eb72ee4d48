//! The checksum elements that many documents share.

use std::borrow::Cow;

use oncilla_hash::ChecksumAlgorithm;

use super::reader::XmlReader;
use super::writer::XmlWriter;
use crate::error::S3Error;

/// The checksums of an object or a part, each in base64 (a composite one with its `-N`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checksums<'a> {
    /// `ChecksumCRC32`.
    pub crc32: Option<Cow<'a, str>>,
    /// `ChecksumCRC32C`.
    pub crc32c: Option<Cow<'a, str>>,
    /// `ChecksumCRC64NVME`.
    pub crc64nvme: Option<Cow<'a, str>>,
    /// `ChecksumSHA1`.
    pub sha1: Option<Cow<'a, str>>,
    /// `ChecksumSHA256`.
    pub sha256: Option<Cow<'a, str>>,
    /// `ChecksumType`: `COMPOSITE` or `FULL_OBJECT`, where the document has it.
    pub checksum_type: Option<Cow<'a, str>>,
}

impl<'a> Checksums<'a> {
    /// The value of an algorithm.
    pub fn get(&self, algorithm: ChecksumAlgorithm) -> Option<&str> {
        match algorithm {
            ChecksumAlgorithm::Crc32 => self.crc32.as_deref(),
            ChecksumAlgorithm::Crc32c => self.crc32c.as_deref(),
            ChecksumAlgorithm::Crc64Nvme => self.crc64nvme.as_deref(),
            ChecksumAlgorithm::Sha1 => self.sha1.as_deref(),
            ChecksumAlgorithm::Sha256 => self.sha256.as_deref(),
        }
    }

    /// Sets the value of an algorithm.
    pub fn set(&mut self, algorithm: ChecksumAlgorithm, base64: impl Into<Cow<'a, str>>) {
        let slot = match algorithm {
            ChecksumAlgorithm::Crc32 => &mut self.crc32,
            ChecksumAlgorithm::Crc32c => &mut self.crc32c,
            ChecksumAlgorithm::Crc64Nvme => &mut self.crc64nvme,
            ChecksumAlgorithm::Sha1 => &mut self.sha1,
            ChecksumAlgorithm::Sha256 => &mut self.sha256,
        };
        *slot = Some(base64.into());
    }

    /// The values that are present.
    pub fn iter(&self) -> impl Iterator<Item = (ChecksumAlgorithm, &str)> {
        let all = ChecksumAlgorithm::ALL.into_iter();
        all.filter_map(|algorithm| Some((algorithm, self.get(algorithm)?)))
    }

    pub(crate) fn write(&self, xml: &mut XmlWriter) {
        xml.optional_text("ChecksumCRC32", self.crc32.as_deref());
        xml.optional_text("ChecksumCRC32C", self.crc32c.as_deref());
        xml.optional_text("ChecksumCRC64NVME", self.crc64nvme.as_deref());
        xml.optional_text("ChecksumSHA1", self.sha1.as_deref());
        xml.optional_text("ChecksumSHA256", self.sha256.as_deref());
        xml.optional_text("ChecksumType", self.checksum_type.as_deref());
    }

    /// Reads the element just entered if it is one of these, which can be there once each; otherwise
    /// leaves it to the caller.
    pub(crate) fn read(&mut self, name: &str, xml: &mut XmlReader<'_>) -> Result<bool, S3Error> {
        let slot = match name {
            "ChecksumCRC32" => &mut self.crc32,
            "ChecksumCRC32C" => &mut self.crc32c,
            "ChecksumCRC64NVME" => &mut self.crc64nvme,
            "ChecksumSHA1" => &mut self.sha1,
            "ChecksumSHA256" => &mut self.sha256,
            "ChecksumType" => &mut self.checksum_type,
            _ => return Ok(false),
        };
        xml.once(slot, |xml| Ok(xml.value()?.into()))?;
        Ok(true)
    }
}
