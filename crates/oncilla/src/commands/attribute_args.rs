//! Flags for the headers that are stored with an object.

use std::collections::BTreeMap;

use clap::Args;
use oncilla_client::ObjectAttributes;

use crate::mime;

/// Headers of uploaded objects. On a copy from S3 to S3 the source's are kept unless one is given.
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

    /// Storage class
    #[arg(long, value_name = "CLASS", help_heading = "Object headers")]
    pub storage_class: Option<String>,

    /// Canned ACL: private or public-read
    #[arg(long, value_name = "ACL", help_heading = "Object headers")]
    pub acl: Option<String>,

    /// User metadata; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_metadata, value_delimiter = ',', help_heading = "Object headers")]
    pub metadata: Vec<(String, String)>,

    /// Fail where there is an object already instead of replacing it (uploads only)
    #[arg(long, help_heading = "Object headers")]
    pub no_overwrite: bool,
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
        ObjectAttributes {
            content_type: self.content_type.clone().or(guessed.map(str::to_owned)),
            cache_control: self.cache_control.clone(),
            content_disposition: self.content_disposition.clone(),
            content_encoding: self.content_encoding.clone(),
            content_language: self.content_language.clone(),
            storage_class: self.storage_class.clone(),
            acl: self.acl.clone(),
            metadata: self.metadata.iter().cloned().collect::<BTreeMap<_, _>>(),
        }
    }

    /// The headers that replace the source's in a copy to `key`; `None` keeps the source's.
    pub fn replacement(&self, key: &str) -> Option<ObjectAttributes> {
        let given = self.content_type.is_some()
            || self.cache_control.is_some()
            || self.content_disposition.is_some()
            || self.content_encoding.is_some()
            || self.content_language.is_some()
            || !self.metadata.is_empty();
        given.then(|| self.for_upload(key))
    }
}
