//! Flags for the headers that are stored with an object.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use oncilla_client::ObjectAttributes;

use super::tag::parse_tag;
use crate::failure::Failure;
use crate::location::Location;
use crate::mime;

/// Headers of uploaded objects. On a copy from S3 to S3 what is not given stays as the source has it: see
/// [`oncilla_client::transfer::copy_object`].
#[derive(Args, Clone, Debug, Default)]
pub struct AttributeArgs {
    /// MIME type instead of a guess from the file's name
    #[arg(long, value_name = "TYPE", help_heading = "Object headers")]
    pub content_type: Option<String>,

    /// Do not guess the MIME type
    #[arg(long, help_heading = "Object headers")]
    pub no_guess_mime_type: bool,

    /// Cache-Control header
    #[arg(long, value_name = "TEXT", help_heading = "Object headers")]
    pub cache_control: Option<String>,

    /// Content-Disposition header
    #[arg(long, value_name = "TEXT", help_heading = "Object headers")]
    pub content_disposition: Option<String>,

    /// Content-Encoding header, for content that is stored compressed
    #[arg(long, value_name = "TEXT", help_heading = "Object headers")]
    pub content_encoding: Option<String>,

    /// Content-Language header
    #[arg(long, value_name = "TEXT", help_heading = "Object headers")]
    pub content_language: Option<String>,

    /// Storage class; on a copy within S3 the source's unless given
    #[arg(long, value_name = "CLASS", help_heading = "Object headers")]
    pub storage_class: Option<String>,

    /// Encrypt by keys of the endpoint's own (AES256) or by a KMS key (aws:kms)
    #[arg(
        long,
        value_name = "ALGORITHM",
        value_enum,
        help_heading = "Object headers"
    )]
    pub sse: Option<SseAlgorithm>,

    /// KMS key to encrypt by: id, alias/NAME or ARN; means --sse aws:kms
    #[arg(long, value_name = "KEY", help_heading = "Object headers")]
    pub sse_kms_key_id: Option<String>,

    /// Canned ACL: private, public-read, public-read-write, authenticated-read, aws-exec-read,
    /// bucket-owner-read, or bucket-owner-full-control, which gives another account's bucket its owner's
    /// rights on what is written
    #[arg(long, value_name = "ACL", help_heading = "Object headers")]
    pub acl: Option<String>,

    /// User metadata, added to the source's on a copy within S3; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_metadata, value_delimiter = ',', help_heading = "Object headers")]
    pub metadata: Vec<(String, String)>,

    /// Tags, in place of the source's on a copy within S3; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_tag, value_delimiter = ',', help_heading = "Object headers")]
    pub tags: Vec<(String, String)>,

    /// Fail where there is an object already instead of replacing it
    #[arg(long, help_heading = "Object headers")]
    pub no_overwrite: bool,
}

/// How an endpoint encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SseAlgorithm {
    /// By keys of the endpoint's own
    #[value(name = "AES256")]
    Aes256,
    /// By a KMS key
    #[value(name = "aws:kms")]
    AwsKms,
}

impl SseAlgorithm {
    /// The value of `x-amz-server-side-encryption`.
    fn as_str(self) -> &'static str {
        match self {
            Self::Aes256 => "AES256",
            Self::AwsKms => "aws:kms",
        }
    }
}

fn parse_metadata(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_ascii_lowercase(), value.to_owned())),
        _ => Err("metadata is given as KEY=VALUE".to_owned()),
    }
}

impl AttributeArgs {
    /// The headers of an upload of the file called `name`.
    pub fn for_upload(&self, name: &str) -> ObjectAttributes {
        let guessed = if self.no_guess_mime_type {
            None
        } else {
            mime::guess(name)
        };
        let mut attributes = self.named();
        attributes.content_type = attributes.content_type.or(guessed.map(str::to_owned));
        attributes
    }

    /// What the flags name, as a copy within S3 takes it; the source tells the rest.
    pub fn named(&self) -> ObjectAttributes {
        ObjectAttributes {
            content_type: self.content_type.clone(),
            cache_control: self.cache_control.clone(),
            content_disposition: self.content_disposition.clone(),
            content_encoding: self.content_encoding.clone(),
            content_language: self.content_language.clone(),
            expires: None,
            website_redirect: None,
            storage_class: self.storage_class.clone(),
            acl: self.acl.clone(),
            server_side_encryption: self.sse().map(|sse| sse.as_str().to_owned()),
            sse_kms_key_id: self.sse_kms_key_id.clone(),
            customer_key: None,
            tags: self.tags.clone(),
            metadata: self.metadata.iter().cloned().collect::<BTreeMap<_, _>>(),
        }
    }

    fn sse(&self) -> Option<SseAlgorithm> {
        self.sse
            .or(self.sse_kms_key_id.as_ref().map(|_| SseAlgorithm::AwsKms))
    }

    /// Whether a copy gets headers or metadata that its source does not have.
    pub fn replaces_metadata(&self) -> bool {
        self.content_type.is_some()
            || self.cache_control.is_some()
            || self.content_disposition.is_some()
            || self.content_encoding.is_some()
            || self.content_language.is_some()
            || !self.metadata.is_empty()
    }

    /// Whether an object copied onto itself would become another. Source: S3 API reference,
    /// CopyObject: metadata, storage class or encryption have to change.
    pub fn changes_object(&self) -> bool {
        self.replaces_metadata() || self.storage_class.is_some() || self.sse().is_some()
    }

    /// Refuses what makes no sense together, or for a transfer to this place: a flag without effect
    /// would leave its user in a belief.
    pub fn check(&self, destination: &Location) -> Result<(), Failure> {
        if self.sse == Some(SseAlgorithm::Aes256) && self.sse_kms_key_id.is_some() {
            return Err(Failure::usage("--sse-kms-key-id is for --sse aws:kms"));
        }
        let is_written = matches!(destination, Location::S3(_));
        if let (false, Some(flag)) = (is_written, self.first_given()) {
            let message = format!("{flag} is for what is written to S3, and {destination} is not");
            return Err(Failure::usage(message));
        }
        Ok(())
    }

    /// The first flag given of those that say how an object is to be written.
    fn first_given(&self) -> Option<&'static str> {
        let flags = [
            ("--content-type", self.content_type.is_some()),
            ("--cache-control", self.cache_control.is_some()),
            ("--content-disposition", self.content_disposition.is_some()),
            ("--content-encoding", self.content_encoding.is_some()),
            ("--content-language", self.content_language.is_some()),
            ("--storage-class", self.storage_class.is_some()),
            ("--sse", self.sse.is_some()),
            ("--sse-kms-key-id", self.sse_kms_key_id.is_some()),
            ("--acl", self.acl.is_some()),
            ("--metadata", !self.metadata.is_empty()),
            ("--tags", !self.tags.is_empty()),
            ("--no-overwrite", self.no_overwrite),
        ];
        let given = flags.into_iter().find(|(_, is_given)| *is_given);
        given.map(|(flag, _)| flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(args: &AttributeArgs, destination: &str) -> Result<(), Failure> {
        args.check(&destination.parse().unwrap())
    }

    #[test]
    fn flags_are_refused_where_they_would_do_nothing() {
        let tagged = AttributeArgs {
            tags: vec![("a".to_owned(), "b".to_owned())],
            ..AttributeArgs::default()
        };
        let careful = AttributeArgs {
            no_overwrite: true,
            ..AttributeArgs::default()
        };
        assert_eq!(tagged.for_upload("x").tags, tagged.tags);
        for (destination, is_written) in [("s3://b/k", true), ("f", false), ("-", false)] {
            for given in [&tagged, &careful] {
                let outcome = checked(given, destination);
                assert_eq!(outcome.is_ok(), is_written, "{destination}");
            }
            checked(&AttributeArgs::default(), destination).unwrap();
        }
    }

    #[test]
    fn a_kms_key_means_kms() {
        let args = AttributeArgs {
            sse_kms_key_id: Some("alias/photos".to_owned()),
            ..AttributeArgs::default()
        };
        checked(&args, "s3://b/k").unwrap();
        let attributes = args.for_upload("x");
        assert_eq!(
            attributes.server_side_encryption.as_deref(),
            Some("aws:kms")
        );
        assert_eq!(attributes.sse_kms_key_id.as_deref(), Some("alias/photos"));
        assert!(args.changes_object() && !args.replaces_metadata());
        let both = AttributeArgs {
            sse: Some(SseAlgorithm::Aes256),
            ..args
        };
        assert!(checked(&both, "s3://b/k").is_err());
    }
}
