//! Entity tags: the MD5 of a body, or of its parts' MD5s with the number of parts.

use oncilla_hash::hex;

/// An entity tag. Source: S3 API reference, "Object"; the form for multipart uploads is not
/// documented there but relied upon by every client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ETag {
    /// MD5 of the body, or of the parts' MD5s one after the other.
    pub md5: [u8; 16],
    /// Number of parts; 0 for an object that was not uploaded in parts.
    pub parts: u16,
}

impl ETag {
    /// The tag of a body that was written in one piece.
    pub fn of_md5(md5: [u8; 16]) -> Self {
        Self { md5, parts: 0 }
    }

    /// Reads a tag with or without its quotes.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().trim_matches('"');
        let (digest, parts) = match text.split_once('-') {
            Some((digest, parts)) => (digest, parts.parse().ok().filter(|&parts| parts > 0)?),
            None => (text, 0),
        };
        hex::decode(digest.as_bytes()).map(|md5| Self { md5, parts })
    }

    /// The field's bytes in records.
    pub fn encode(&self) -> [u8; 18] {
        let mut field = [0; 18];
        field[..16].copy_from_slice(&self.md5);
        field[16..].copy_from_slice(&self.parts.to_be_bytes());
        field
    }

    /// Reads what [`ETag::encode`] wrote.
    pub fn decode(field: &[u8]) -> Option<Self> {
        let field: &[u8; 18] = field.try_into().ok()?;
        let mut md5 = [0; 16];
        md5.copy_from_slice(&field[..16]);
        Some(Self {
            md5,
            parts: u16::from_be_bytes([field[16], field[17]]),
        })
    }
}

impl std::fmt::Display for ETag {
    /// Without quotes, as conditions compare it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Not by the formatter of numbers: a listing shows a thousand of them.
        let digits = hex::encode_16(&self.md5);
        f.write_str(std::str::from_utf8(&digits).map_err(|_| std::fmt::Error)?)?;
        match self.parts {
            0 => Ok(()),
            parts => write!(f, "-{parts}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trips(md5: [u8; 16], parts: u16) {
            let etag = ETag { md5, parts };
            prop_assert_eq!(ETag::parse(&etag.to_string()), Some(etag));
            prop_assert_eq!(ETag::parse(&format!("\"{etag}\"")), Some(etag));
            prop_assert_eq!(ETag::decode(&etag.encode()), Some(etag));
        }
    }

    #[test]
    fn refuses_what_is_no_tag() {
        for text in [
            "",
            "\"\"",
            "abc",
            "d41d8cd98f00b204e9800998ecf8427e-0",
            "d41d8cd98f00b204e9800998ecf8427g",
        ] {
            assert_eq!(ETag::parse(text), None, "{text}");
        }
    }
}
