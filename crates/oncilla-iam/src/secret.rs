//! Secret access keys that do not print themselves.

use std::fmt;

/// A secret access key. `Debug` and `Display` print a placeholder, so that it cannot reach a log
/// by accident; it does not serialise either. [`Secret::expose`] is the only way to the text.
///
/// The text is kept as is: Signature Version 4 derives its HMAC key from it (S3 reference,
/// "Deriving a signing key"), so a one-way hash would not do.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a secret. Whether it is a valid one is judged where it is stored.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text, for deriving a signing key or for showing it once to whoever created the key.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(redacted)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn neither_debug_nor_display_shows_the_text() {
        let secret = Secret::new("tsec_wombat");
        assert!(!format!("{secret:?} {secret:#?} {secret}").contains("wombat"));
        assert_eq!(secret.expose(), "tsec_wombat");
    }
}
