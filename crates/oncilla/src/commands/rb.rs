//! `oncilla rb`: remove a bucket.

use clap::Args;
use serde_json::json;

use super::rm::{delete_all, delete_all_versions};
use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::location::S3Url;
use crate::output;

/// Remove a bucket
#[derive(Args, Clone, Debug)]
pub struct RbArgs {
    /// The bucket: s3://BUCKET
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// Remove every object, all versions and unfinished uploads in it first
    #[arg(long)]
    pub force: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// Runs the command.
pub async fn run(args: RbArgs) -> Result<(), Failure> {
    let bucket = &args.url.require_bucket().map_err(Failure::usage)?.bucket;
    let client = args.common.client()?;
    if args.force {
        empty(&client, bucket).await?;
    }
    client.delete_bucket(bucket).await.map_err(|error| {
        let not_empty = error.has_code("BucketNotEmpty");
        let failure = Failure::from(error);
        if not_empty && !args.force {
            return failure.advise("rb --force removes the objects in it as well");
        }
        failure
    })?;
    if args.common.json {
        return output::json_document(&json!({ "bucket": bucket, "removed": true }));
    }
    if args.common.quiet {
        return Ok(());
    }
    output::line(&format!("remove_bucket: {bucket}"))
}

/// Removes all objects, their versions and unfinished uploads of a bucket.
async fn empty(client: &oncilla_client::Client, bucket: &str) -> Result<(), Failure> {
    // Every object is a version; only an endpoint or a key that does not know them needs another way.
    let failures = match delete_all_versions(client, bucket, "", |_| true, |_| Ok(())).await {
        Ok(failures) => failures,
        Err(failure) => {
            tracing::debug!(reason = failure.message, "versions cannot be removed");
            delete_all(client, bucket, "", |_| true, |_| Ok(())).await?
        }
    };
    if let Some(first) = failures.first() {
        return Err(Failure::general(format!(
            "{} objects of {bucket} could not be removed; the first: {}: {}: {}",
            failures.len(),
            first.key,
            first.code,
            first.message
        )));
    }
    for upload in client.list_multipart_uploads(bucket, "").await? {
        client
            .abort_multipart_upload(bucket, &upload.key, &upload.upload_id)
            .await?;
    }
    Ok(())
}
