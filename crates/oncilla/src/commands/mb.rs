//! `oncilla mb`: make a bucket.

use clap::Args;
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
        Err(error) if args.exists_ok && error.has_code("BucketAlreadyOwnedByYou") => false,
        Err(error) => return Err(error.into()),
    };
    if args.common.json {
        return output::json_document(&json!({ "bucket": bucket, "created": created }));
    }
    if args.common.quiet {
        return Ok(());
    }
    output::line(&format!("make_bucket: {bucket}"))
}
