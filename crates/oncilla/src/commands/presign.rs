//! `oncilla presign`: a URL for somebody without credentials.

use std::time::Duration;

use clap::{Args, ValueEnum};
use oncilla_client::{PresignRequest, S3_EXPIRES_MAX};
use serde_json::json;

use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::location::S3Url;
use crate::output;

/// Print a URL that allows one kind of request without credentials until it expires. The object
/// need not exist. With --json prints one document.
#[derive(Args, Clone, Debug)]
pub struct PresignArgs {
    /// The object: s3://BUCKET/KEY
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// What the URL allows
    #[arg(long, value_enum, default_value_t = PresignMethod::Get, ignore_case = true)]
    pub method: PresignMethod,

    /// Version, when not the newest
    #[arg(long, value_name = "ID")]
    pub version_id: Option<String>,

    /// How long from now: seconds, or 30m, 12h, 7d
    #[arg(long, alias = "expires-in", value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub expires: Duration,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// What a URL can allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PresignMethod {
    /// Download
    Get,
    /// Upload
    Put,
    /// Read the headers
    Head,
    /// Remove
    Delete,
}

/// Runs the command.
pub async fn run(args: PresignArgs) -> Result<(), Failure> {
    let url = args.url.require_key().map_err(Failure::usage)?;
    let client = args.common.client()?;
    let method = match args.method {
        PresignMethod::Get => http::Method::GET,
        PresignMethod::Put => http::Method::PUT,
        PresignMethod::Head => http::Method::HEAD,
        PresignMethod::Delete => http::Method::DELETE,
    };
    let presigned = client.presign(&PresignRequest {
        method: method.clone(),
        bucket: url.bucket.clone(),
        key: url.key.clone(),
        expires: args.expires,
        query: args
            .version_id
            .iter()
            .map(|id| ("versionId".to_owned(), id.clone()))
            .collect(),
    })?;
    if args.expires > S3_EXPIRES_MAX && !args.common.quiet {
        let warning = "warning: S3 itself accepts at most 7 days; this endpoint may too";
        Failure::general(warning).report();
    }
    if args.common.json {
        let seconds = args.expires.as_secs();
        return output::json_document(&json!({
            "url": presigned, "method": method.as_str(), "expires_in_s": seconds,
        }));
    }
    output::line(&presigned)
}

/// Reads a number of seconds, or one with a unit: `30m`, `12h`, `7d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration is a number of seconds, or like 30m, 12h, 7d".to_owned();
    let (digits, unit_s) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 60 * 60),
        Some((at, 'd')) => (&text[..at], 24 * 60 * 60),
        _ => (text, 1),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = number
        .checked_mul(unit_s)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(wrong)?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let seconds = |text| parse_duration(text).map(|duration| duration.as_secs());
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("30m"), Ok(1800));
        assert_eq!(seconds("7d"), Ok(604_800));
        for bad in [
            "",
            "0",
            "h",
            "1w",
            "-1",
            "1.5h",
            "99999999999999999999",
            "1é",
        ] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
