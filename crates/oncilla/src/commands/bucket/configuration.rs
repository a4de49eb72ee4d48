//! What all configurations have in common: each is one document that is shown, put or taken away.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use http::HeaderValue;
use oncilla_client::{BucketConfiguration, BucketDocument, Client, Error, exit_code};
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

    /// Put the document in this file in place of what is set; - reads standard input. It is as the
    /// command prints it, or JSON as the AWS CLI prints or takes it
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
        Some(path) => Some(read_document(kind, path)?),
        None => made,
    };
    let client = args.common.client()?;
    if let Some(mut configuration) = given {
        if kind.document == BucketDocument::Lifecycle && configuration.transition_minimum.is_none()
        {
            configuration.transition_minimum = present_minimum(&client, &bucket).await?;
        }
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

/// What the bucket has beside its lifecycle document: a request without it would set S3's default. Source:
/// S3 API reference, PutBucketLifecycleConfiguration, x-amz-transition-default-minimum-object-size.
async fn present_minimum(client: &Client, bucket: &str) -> Result<Option<HeaderValue>, Failure> {
    let present = client
        .bucket_document(bucket, BucketDocument::Lifecycle)
        .await
        .map_err(|error| {
            let is_refused = matches!(error, Error::Auth(_));
            let failure = Failure::from(error);
            match is_refused {
                true => failure.advise(format!(
                    "{TRANSITION_MINIMUM} is to stay as it is, and has to be read for that; JSON that says it can be put without"
                )),
                false => failure,
            }
        })?;
    Ok(present.and_then(|present| present.transition_minimum))
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
            Err(_) => output::text(&String::from_utf8_lossy(content)),
        };
    }
    match json {
        true => print_json(content),
        false => output::text(&document::indented(content)),
    }
}

/// Prints a document of S3 as the AWS CLI does.
pub fn print_json(content: &[u8]) -> Result<(), Failure> {
    let value = document::to_json(content).ok_or_else(|| {
        Failure::general("the endpoint's document is no XML").advise("look at it without --json")
    })?;
    output::json_document(&value)
}

/// Says what was done.
pub fn report(
    operation: &str,
    kind: Kind,
    bucket: &str,
    common: &CommonArgs,
) -> Result<(), Failure> {
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

fn read_document(kind: Kind, path: &Path) -> Result<BucketConfiguration, Failure> {
    let content = if path == Path::new("-") {
        read_to_end(std::io::stdin().lock(), path)?
    } else {
        let file = std::fs::File::open(path).map_err(|error| Failure::io(path, &error))?;
        read_to_end(file, path)?
    };
    document_of(kind, path, content)
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

/// The document that a file holds. Refuses the wrong format before the endpoint does, which would only
/// say that it is malformed.
fn document_of(kind: Kind, path: &Path, content: Vec<u8>) -> Result<BucketConfiguration, Failure> {
    let file = path.display();
    // Editors of Windows put it before JSON and XML alike, and S3 takes neither then.
    let content = match content.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => rest.to_vec(),
        None => content,
    };
    if content.trim_ascii().is_empty() {
        let message = match path == Path::new("-") {
            true => "standard input is empty".to_owned(),
            false => format!("{file} is empty"),
        };
        return Err(Failure::usage(message)
            .advise("check the command that made it; --delete takes away what is set"));
    }
    let Some(root) = kind.document.root() else {
        return policy(content)
            .map(BucketConfiguration::from)
            .map_err(|problem| Failure::usage(format!("{file}: a policy is JSON: {problem}")));
    };
    if content.trim_ascii_start().starts_with(b"{") {
        return from_json(kind.document, root, &content)
            .map_err(|problem| Failure::usage(format!("{file}: {problem}")));
    }
    if document::to_json(&content).is_none() {
        return Err(Failure::usage(format!(
            "{file}: {} configuration is XML, as the S3 API has it, or JSON, as the AWS CLI has it, and this is neither",
            with_article(kind.name)
        ))
        .advise("begin with what the command prints"));
    }
    Ok(content.into())
}

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The member in which the AWS CLI has a policy, as text.
const POLICY_MEMBER: &str = "Policy";

/// The policy itself, of itself or of the forms that the AWS CLI prints it in: `{"Policy": "…"}`, and with
/// `--query Policy` the text of that.
fn policy(content: Vec<u8>) -> Result<Vec<u8>, String> {
    let parse =
        |text: &[u8]| serde_json::from_slice::<Value>(text).map_err(|error| error.to_string());
    let text = match parse(&content)? {
        Value::String(text) => text,
        Value::Object(mut members) => match document::member_alone(&mut members, POLICY_MEMBER) {
            Some(Value::String(text)) => text,
            _ => return Ok(content),
        },
        _ => return Err("an object is needed: {…}".to_owned()),
    };
    match parse(text.as_bytes())? {
        Value::Object(_) => Ok(text.into_bytes()),
        _ => Err("an object is needed: {…}".to_owned()),
    }
}

/// The member by which the AWS CLI tells what the S3 API has in a header.
const TRANSITION_MINIMUM: &str = "TransitionDefaultMinimumObjectSize";

fn from_json(
    kind: BucketDocument,
    root: &str,
    content: &[u8],
) -> Result<BucketConfiguration, String> {
    let mut json: Value =
        serde_json::from_slice(content).map_err(|error| format!("this is no JSON: {error}"))?;
    let transition_minimum = match json.as_object_mut() {
        Some(members) if kind == BucketDocument::Lifecycle => members.remove(TRANSITION_MINIMUM),
        _ => None,
    };
    let transition_minimum = transition_minimum
        .as_ref()
        .and_then(Value::as_str)
        .map(HeaderValue::from_str)
        .transpose()
        .map_err(|_| format!("{TRANSITION_MINIMUM} cannot be sent"))?;
    let content = document::from_json(root, json)?.into_bytes().into();
    Ok(BucketConfiguration {
        content,
        transition_minimum,
    })
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
    fn the_smallest_object_of_a_transition_is_no_element() {
        let json =
            format!("{{\"{TRANSITION_MINIMUM}\": \"varies_by_storage_class\", \"Rules\": []}}");
        let root = "LifecycleConfiguration";
        let read = from_json(BucketDocument::Lifecycle, root, json.as_bytes()).unwrap();
        let minimum = read.transition_minimum.unwrap();
        assert_eq!(minimum, "varies_by_storage_class");
        let document = String::from_utf8(read.content.to_vec()).unwrap();
        assert!(!document.contains("Transition"), "{document}");
    }

    #[test]
    fn the_wrong_format_is_refused_with_what_is_right() {
        let check = |document, content: &str| {
            let kind = Kind {
                name: "x",
                document,
                how_to_set: "",
            };
            document_of(kind, Path::new("f"), content.into())
        };
        check(BucketDocument::Policy, "{\"Statement\": []}").unwrap();
        check(BucketDocument::Cors, "<CORSConfiguration/>").unwrap();
        for form in [
            "{\"a\": 1}",
            "\u{feff}{\"a\": 1}",
            "{\"Policy\": \"{\\\"a\\\": 1}\"}",
            "{\"Bucket\": \"b\", \"Policy\": \"{\\\"a\\\": 1}\"}",
            "\"{\\\"a\\\": 1}\"",
        ] {
            let read = check(BucketDocument::Policy, form).unwrap();
            assert_eq!(read.content, "{\"a\": 1}", "{form}");
        }
        let marked = check(BucketDocument::Cors, "\u{feff}<CORSConfiguration/>").unwrap();
        assert_eq!(marked.content, "<CORSConfiguration/>");
        check(BucketDocument::Cors, " {\"CORSRules\": []}").unwrap();
        for (document, content, problem) in [
            (BucketDocument::Policy, "<Policy/>", "a policy is JSON"),
            (BucketDocument::Policy, "\"text\"", "a policy is JSON"),
            (BucketDocument::Policy, "[]", "an object is needed"),
            (
                BucketDocument::Policy,
                "{\"Policy\": \"1\"}",
                "an object is needed",
            ),
            (BucketDocument::Policy, "\u{feff}", "is empty"),
            (BucketDocument::Cors, "{", "no JSON"),
            (BucketDocument::Cors, "{\"a b\": 1}", "cannot be the name"),
            (BucketDocument::Cors, "[]", "is XML"),
            (BucketDocument::Cors, "<CORSConfiguration>", "is XML"),
            (BucketDocument::Cors, " \n", "is empty"),
        ] {
            let failure = check(document, content).unwrap_err();
            assert!(failure.message.contains(problem), "{}", failure.message);
        }
    }
}
