//! `oncilla mb`: make a bucket.

use clap::Args;
use oncilla_client::{Client, Error};
use serde_json::json;

use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::location::S3Url;
use crate::output;

/// Make a bucket
#[derive(Args, Clone, Debug)]
pub struct MbArgs {
    /// The new bucket: s3://BUCKET
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// Canned ACL: private or public-read
    #[arg(long, value_name = "ACL")]
    pub acl: Option<String>,

    /// Succeed if the bucket is yours already
    #[arg(long)]
    pub exists_ok: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// Runs the command.
pub async fn run(args: MbArgs) -> Result<(), Failure> {
    let bucket = &args.url.require_bucket().map_err(Failure::usage)?.bucket;
    let client = args.common.client()?;
    let created = match client.create_bucket(bucket, args.acl.as_deref()).await {
        Ok(()) => true,
        Err(error) => {
            if !(args.exists_ok && is_own(&client, bucket, &error).await) {
                return Err(error.into());
            }
            false
        }
    };
    if args.common.json {
        return output::json_document(&json!({ "bucket": bucket, "created": created }));
    }
    if args.common.quiet {
        return Ok(());
    }
    output::line(&format!("make_bucket: {bucket}"))
}

/// Whether a bucket could not be made because it is the caller's already. An endpoint may tell its owner too
/// that it exists and no more, for instance where it has another ACL than the one asked for.
async fn is_own(client: &Client, bucket: &str, error: &Error) -> bool {
    if error.has_code("BucketAlreadyOwnedByYou") {
        return true;
    }
    // Where this cannot be found out, the refusal itself says more than why not.
    error.has_code("BucketAlreadyExists") && client.owns_bucket(bucket).await.unwrap_or(false)
}
