//! Targets: what an ARN in a notification configuration means on this server.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderValue, Uri};

/// The longest name of a target.
const NAME_BYTES_MAX: usize = 64;

/// How long a target has to answer, by default. Tigris's web hooks have as long.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// The partitions of ARNs whose account names a target: ours, and that of MinIO, whose clients
/// write `arn:minio:sqs::NAME:webhook`.
const OWN_PARTITIONS: [&str; 2] = ["oncilla", "minio"];

/// What such an ARN ends with.
const WEBHOOK: &str = "webhook";

/// The form of messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MessageFormat {
    /// As S3 sends them.
    #[default]
    S3,
    /// As Tigris sends them.
    Tigris,
}

/// Where events are sent.
#[derive(Clone, Debug)]
pub struct Target {
    /// The URL that is posted to.
    pub url: Uri,
    /// The `Authorization` header.
    pub authorization: Option<HeaderValue>,
    /// How long a delivery may take.
    pub timeout: Duration,
    /// The form of messages.
    pub format: MessageFormat,
    /// A PEM file of certificates to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
}

/// Why a target cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The URL is none.
    #[error("{0:?} is not an http or https URL with a host")]
    Url(String),
    /// Its certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] oncilla_client::tls::TlsError),
}

impl Target {
    /// A target with the defaults.
    ///
    /// # Errors
    /// [`TargetError::Url`].
    pub fn new(url: &str) -> Result<Self, TargetError> {
        let refused = || TargetError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| refused())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_http || uri.host().is_none_or(str::is_empty) {
            return Err(refused());
        }
        Ok(Self {
            url: uri,
            authorization: None,
            timeout: TIMEOUT_DEFAULT,
            format: MessageFormat::S3,
            ca_bundle: None,
        })
    }
}

/// The targets of a server.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    /// By their names.
    pub by_name: BTreeMap<String, Target>,
    /// Whether a configuration may name a URL instead of an ARN. Then whoever may configure a bucket
    /// can make the server send requests to any address that it reaches.
    pub urls_allowed: bool,
}

impl Targets {
    /// What an ARN means here: `arn:oncilla:sqs::NAME:webhook` the target of that name, and the ARN of
    /// a topic, a queue or a function at AWS the target that is named like it. `None` if there is
    /// none.
    pub fn resolve(&self, arn: &str) -> Option<Target> {
        if is_url(arn) {
            return Target::new(arn).ok().filter(|_| self.urls_allowed);
        }
        self.by_name.get(target_name(arn)?).cloned()
    }
}

/// Whether an ARN can mean a target of any server: whatever the operator configures, others never do.
pub fn can_mean_target(arn: &str) -> bool {
    match is_url(arn) {
        true => Target::new(arn).is_ok(),
        false => target_name(arn).is_some_and(is_target_name),
    }
}

fn is_url(arn: &str) -> bool {
    arn.starts_with("http://") || arn.starts_with("https://")
}

/// The name of the target that an ARN means.
fn target_name(arn: &str) -> Option<&str> {
    let mut fields = arn.splitn(6, ':');
    let (arn, partition, service) = (fields.next()?, fields.next()?, fields.next()?);
    let (_region, account, resource) = (fields.next()?, fields.next()?, fields.next()?);
    if arn != "arn" {
        return None;
    }
    if OWN_PARTITIONS.contains(&partition) {
        return Some(account).filter(|_| resource == WEBHOOK);
    }
    match service {
        "sns" | "sqs" => Some(resource),
        "lambda" => resource.strip_prefix("function:"),
        _ => None,
    }
}

/// Whether a target may have this name: it is a field of ARNs.
pub fn is_target_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_mean_targets_by_name() {
        let mut targets = Targets::default();
        let target = Target::new("http://127.0.0.1:1/hook").unwrap();
        targets.by_name.insert("a".to_owned(), target);
        for arn in [
            "arn:oncilla:sqs::a:webhook",
            "arn:minio:sqs:us-east-1:a:webhook",
            "arn:aws:sqs:us-east-1:123456789012:a",
            "arn:aws:sns:us-east-1:123456789012:a",
            "arn:aws:lambda:us-east-1:123456789012:function:a",
        ] {
            assert!(targets.resolve(arn).is_some(), "{arn}");
            assert!(can_mean_target(arn), "{arn}");
        }
        for arn in [
            "arn:oncilla:sqs::b:webhook",
            "arn:oncilla:sqs::a:kafka",
            "arn:aws:sqs:us-east-1:123456789012:b",
            "arn:aws:s3:::a",
            "arn:aws:lambda:us-east-1:123456789012:a",
            "a",
            "",
            "http://127.0.0.1:1/hook",
        ] {
            assert!(targets.resolve(arn).is_none(), "{arn}");
        }
        targets.urls_allowed = true;
        assert!(targets.resolve("http://127.0.0.1:1/hook").is_some());
        assert!(targets.resolve("https://").is_none());
    }

    #[test]
    fn some_arns_can_never_mean_a_target() {
        for arn in [
            "arn:oncilla:sqs::b:webhook",
            "arn:aws:sqs:us-east-1:123456789012:b",
            "https://example.com/hook",
        ] {
            assert!(can_mean_target(arn), "{arn}");
        }
        let long = format!(
            "arn:oncilla:sqs::{}:webhook",
            "a".repeat(NAME_BYTES_MAX + 1)
        );
        for arn in [
            "a",
            "arn:oncilla:sqs::a:kafka",
            "arn:oncilla:sqs:::webhook",
            "arn:oncilla:sqs::a b:webhook",
            "arn:aws:s3:::a",
            "arn:aws:sqs:us-east-1:123456789012:a/b",
            "arn:aws:lambda:us-east-1:123456789012:a",
            "https://",
            &long,
        ] {
            assert!(!can_mean_target(arn), "{arn}");
        }
    }
}
