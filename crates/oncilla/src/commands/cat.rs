//! `oncilla cat`: an object to standard output.

use clap::Args;
use oncilla_client::GetObjectRequest;

use super::customer_key_args::CustomerKeyArgs;
use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::jobs::print_object;
use crate::location::S3Url;

/// Print an object. A whole object is verified as it passes; a mismatch is reported at the end.
#[derive(Args, Clone, Debug)]
pub struct CatArgs {
    /// The object: s3://BUCKET/KEY
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// Only these bytes: FIRST-LAST, FIRST- or -COUNT (the last ones)
    #[arg(long, value_name = "RANGE", value_parser = parse_range, allow_hyphen_values = true)]
    pub range: Option<String>,

    /// Version, when not the newest
    #[arg(long, value_name = "ID")]
    pub version_id: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub customer_key: CustomerKeyArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// Runs the command.
pub async fn run(args: CatArgs) -> Result<(), Failure> {
    let url = args.url.require_key().map_err(Failure::usage)?;
    let client = args.common.client()?;
    let request = GetObjectRequest {
        bucket: url.bucket.clone(),
        key: url.key.clone(),
        version_id: args.version_id,
        range: args.range,
        customer_key: args.customer_key.key(&client)?,
        ..GetObjectRequest::default()
    };
    print_object(&client, &request, &args.common.transfer_options()).await
}

/// The value of a `Range` header from what the user wrote, with or without `bytes=`.
fn parse_range(text: &str) -> Result<String, String> {
    let wrong = || "a range is FIRST-LAST, FIRST- or -COUNT, in bytes from 0".to_owned();
    let range = text.strip_prefix("bytes=").unwrap_or(text);
    let (first, last) = range.split_once('-').ok_or_else(wrong)?;
    let number = |digits: &str| digits.parse::<u64>().map_err(|_| wrong());
    match (first, last) {
        ("", "") => return Err(wrong()),
        ("", count) => drop(number(count)?),
        (first, "") => drop(number(first)?),
        (first, last) if number(first)? > number(last)? => return Err(wrong()),
        _ => {}
    }
    Ok(format!("bytes={range}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for good in ["0-0", "5-", "-3", "bytes=1-2"] {
            let bare = good.trim_start_matches("bytes=");
            assert_eq!(parse_range(good), Ok(format!("bytes={bare}")));
        }
        for bad in ["", "-", "5", "2-1", "a-b", "1-2,4-5", "+1-2x"] {
            assert!(parse_range(bad).is_err(), "{bad}");
        }
    }
}
