//! `oncilla stat`: everything that HEAD says.

use clap::Args;
use oncilla_client::GetObjectRequest;
use serde_json::json;

use super::customer_key_args::CustomerKeyArgs;
use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::jobs::{head_object, no_such_bucket};
use crate::location::S3Url;
use crate::output;

/// Show every header of an object, or whether a bucket exists. With --json prints one document.
#[derive(Args, Clone, Debug)]
pub struct StatArgs {
    /// s3://BUCKET/KEY or s3://BUCKET
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

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

/// Headers of the connection, which say nothing about the object.
const CONNECTION_HEADERS: [&str; 5] = [
    "connection",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
];

/// Runs the command.
pub async fn run(args: StatArgs) -> Result<(), Failure> {
    let client = args.common.client()?;
    let url = &args.url;
    if url.key.is_empty() {
        match client.head_bucket(&url.bucket).await {
            Err(error) if error.is_not_found() => return Err(no_such_bucket(&url.bucket, error)),
            outcome => outcome?,
        }
        if args.common.json {
            return output::json_document(&json!({ "bucket": url.bucket, "exists": true }));
        }
        return output::line(&format!("{url} exists"));
    }
    let request = GetObjectRequest {
        bucket: url.bucket.clone(),
        key: url.key.clone(),
        version_id: args.version_id.clone(),
        customer_key: args.customer_key.key(&client)?,
        ..GetObjectRequest::default()
    };
    let folder = url.with_key(url.folder());
    let advice = format!("if it is a folder, `oncilla ls {folder}` lists it");
    let info = head_object(&client, &request, &advice).await?;
    let headers: Vec<&(String, String)> = info
        .headers
        .iter()
        .filter(|(name, _)| !CONNECTION_HEADERS.contains(&name.as_str()))
        .collect();
    if args.common.json {
        let headers: serde_json::Map<String, serde_json::Value> = headers
            .into_iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        return output::json_document(&json!({
            "bucket": url.bucket,
            "key": url.key,
            "size": info.object_size,
            "etag": info.etag,
            "last_modified": info.last_modified_ms.map(output::iso8601),
            "content_type": info.content_type,
            "metadata": info.metadata,
            "checksums": info.checksums.iter().map(|(algorithm, value)| {
                (algorithm.to_string(), value.clone())
            }).collect::<std::collections::BTreeMap<_, _>>(),
            "headers": headers,
        }));
    }
    let width = headers
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    output::line(&url.to_string())?;
    for (name, value) in headers {
        output::line(&format!("  {name:<width$}  {value}"))?;
    }
    Ok(())
}
