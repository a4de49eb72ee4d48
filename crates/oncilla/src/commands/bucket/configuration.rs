//! What all configurations have in common: each is one document that is shown, put or taken away.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Args;
use oncilla_client::{BucketConfiguration, BucketDocument, exit_code};
use serde_json::{Value, json};

use crate::common_args::CommonArgs;
use crate::document;
use crate::failure::Failure;
use crate::location::S3Url;
use crate::output;

/// Longer than any document that S3 takes: 1,000 lifecycle rules are below 4 MiB.
const DOCUMENT_BYTES_MAX: u64 = 8 << 20;

/// The flags that every configuration has. They stand behind a command's own, so that its help begins with
/// what is its own.
#[derive(Args, Clone, Debug)]
pub struct ConfigurationArgs {
    /// The bucket: s3://BUCKET
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// Put the document in this file in place of what is set; - reads standard input
    #[arg(long, value_name = "FILE", conflicts_with = "delete")]
    pub set: Option<PathBuf>,

    /// Take away what is set
    #[arg(long)]
    pub delete: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// A configuration.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What people call it.
    pub name: &'static str,
    /// Its document.
    pub document: BucketDocument,
    /// What to say to whoever has none.
    pub how_to_set: &'static str,
}

impl ConfigurationArgs {
    /// The name of the bucket.
    pub fn bucket(&self) -> Result<&str, Failure> {
        let url = self.url.require_bucket().map_err(Failure::usage)?;
        Ok(&url.bucket)
    }

    /// Refuses --set and --delete beside flags that make a document of their own.
    pub fn require_no_other_change(&self) -> Result<(), Failure> {
        if self.set.is_none() && !self.delete {
            return Ok(());
        }
        Err(Failure::usage(
            "--set and --delete are about the whole document; use them without flags that make one",
        ))
    }
}

/// Runs a command on a configuration. `made` is the document that the command's own flags ask for.
pub async fn run(
    kind: Kind,
    args: ConfigurationArgs,
    made: Option<BucketConfiguration>,
) -> Result<(), Failure> {
    let bucket = args.bucket()?.to_owned();
    if made.is_some() {
        args.require_no_other_change()?;
    }
    let given = match &args.set {
        Some(path) => Some(read_document(kind, path)?.into()),
        None => made,
    };
    let client = args.common.client()?;
    if let Some(configuration) = given {
        client
            .put_bucket_document(&bucket, kind.document, configuration)
            .await?;
        return report("set", kind, &bucket, &args.common);
    }
    if args.delete {
        client
            .delete_bucket_document(&bucket, kind.document)
            .await?;
        return report("delete", kind, &bucket, &args.common);
    }
    match client.bucket_document(&bucket, kind.document).await? {
        Some(present) => show(kind, &present.content, args.common.json),
        None => Err(absent(kind, &bucket)),
    }
}

fn absent(kind: Kind, bucket: &str) -> Failure {
    let message = format!("s3://{bucket} has no {} configuration", kind.name);
    Failure {
        exit_code: exit_code::NOT_FOUND,
        ..Failure::general(message).advise(kind.how_to_set)
    }
}

fn show(kind: Kind, content: &[u8], json: bool) -> Result<(), Failure> {
    if kind.document == BucketDocument::Policy {
        return match serde_json::from_slice::<Value>(content) {
            Ok(policy) => output::json_document(&policy),
            Err(_) => output::bytes(content),
        };
    }
    if !json {
        return output::bytes(document::indented(content).as_bytes());
    }
    let value = document::to_json(content).ok_or_else(|| {
        Failure::general("the endpoint's document is no XML").advise("look at it without --json")
    })?;
    output::json_document(&value)
}

/// Says what was done.
fn report(operation: &str, kind: Kind, bucket: &str, common: &CommonArgs) -> Result<(), Failure> {
    let name = kind.name;
    if common.json {
        return output::json_document(
            &json!({ "operation": operation, "configuration": name, "bucket": bucket }),
        );
    }
    if common.quiet {
        return Ok(());
    }
    output::line(&format!("{operation} {name}: s3://{bucket}"))
}

fn read_document(kind: Kind, path: &Path) -> Result<Bytes, Failure> {
    let content = if path == Path::new("-") {
        read_to_end(std::io::stdin().lock(), path)?
    } else {
        let file = std::fs::File::open(path).map_err(|error| Failure::io(path, &error))?;
        read_to_end(file, path)?
    };
    check_document(kind, path, &content)?;
    Ok(content.into())
}

fn read_to_end(source: impl Read, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    source
        .take(DOCUMENT_BYTES_MAX + 1)
        .read_to_end(&mut content)
        .map_err(|error| Failure::io(path, &error))?;
    if content.len() as u64 > DOCUMENT_BYTES_MAX {
        let message = format!("{}: more than {DOCUMENT_BYTES_MAX} bytes", path.display());
        return Err(Failure::usage(message));
    }
    Ok(content)
}

/// Refuses the other format before the endpoint does, which would only say that it is malformed.
fn check_document(kind: Kind, path: &Path, content: &[u8]) -> Result<(), Failure> {
    let file = path.display();
    if content.trim_ascii().is_empty() {
        return Err(
            Failure::usage(format!("{file} is empty")).advise("--delete takes away what is set")
        );
    }
    if kind.document == BucketDocument::Policy {
        let parsed = serde_json::from_slice::<Value>(content);
        return parsed
            .map(drop)
            .map_err(|error| Failure::usage(format!("{file}: a policy is JSON: {error}")));
    }
    if document::to_json(content).is_none() {
        return Err(Failure::usage(format!(
            "{file}: {} configuration is XML, as the S3 API has it, and this is not",
            with_article(kind.name)
        ))
        .advise("begin with what the command prints without --json"));
    }
    Ok(())
}

/// A name with "a" or "an" before it.
fn with_article(name: &str) -> String {
    let article = match name.starts_with(['a', 'e', 'i', 'o', 'u']) {
        true => "an",
        false => "a",
    };
    format!("{article} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_article() {
        assert_eq!(with_article("encryption"), "an encryption");
        assert_eq!(with_article("lifecycle"), "a lifecycle");
    }

    #[test]
    fn the_wrong_format_is_refused_with_what_is_right() {
        let check = |document, content: &str| {
            let kind = Kind {
                name: "x",
                document,
                how_to_set: "",
            };
            check_document(kind, Path::new("f"), content.as_bytes())
        };
        check(BucketDocument::Policy, "{\"Statement\": []}").unwrap();
        check(BucketDocument::Cors, "<CORSConfiguration/>").unwrap();
        for (document, content, problem) in [
            (BucketDocument::Policy, "<Policy/>", "a policy is JSON"),
            (BucketDocument::Cors, "{}", "is XML"),
            (BucketDocument::Cors, "<CORSConfiguration>", "is XML"),
            (BucketDocument::Cors, " \n", "is empty"),
        ] {
            let failure = check(document, content).unwrap_err();
            assert!(failure.message.contains(problem), "{}", failure.message);
        }
    }
}
