//! `oncilla ls`: list buckets, or what is below a prefix.

use clap::Args;
use futures_util::TryStreamExt;
use oncilla_client::{
    Client, ListObjectsRequest, ListedObject, ListedVersion, MultipartUpload, exit_code,
};
use serde_json::json;

use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::location::S3Url;
use crate::output::{self, human_size, iso8601, short_time};

/// List buckets, or objects and folders below a prefix. With --json prints one line of JSON per
/// bucket, folder, object, version or upload. Exits with status 1 if a prefix was given and nothing is
/// below it.
/// Characters of keys that do not print are escapes, such as \n and \x1b; --json has keys as they are.
#[derive(Args, Clone, Debug)]
pub struct LsArgs {
    /// s3://BUCKET/PREFIX; without it all buckets are listed
    #[arg(value_name = "S3_URL")]
    pub url: Option<S3Url>,

    /// Every object below the prefix instead of one level
    #[arg(long, short)]
    pub recursive: bool,

    /// Every version and delete marker, with its id
    #[arg(long, requires = "url")]
    pub versions: bool,

    /// Every multipart upload below the prefix that was begun and not ended, with its id;
    /// `oncilla abort` gives it up
    #[arg(long, requires = "url", conflicts_with_all = ["versions", "summarize"])]
    pub uploads: bool,

    /// Sizes in KiB, MiB, …
    #[arg(long, short = 'H')]
    pub human_readable: bool,

    /// Number and total size at the end
    #[arg(long)]
    pub summarize: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// Runs the command.
pub async fn run(args: LsArgs) -> Result<(), Failure> {
    let client = args.common.client()?;
    let Some(url) = &args.url else {
        for bucket in client.list_buckets().await? {
            if args.common.json {
                let created = iso8601(bucket.creation_date_ms);
                output::json_line(
                    &json!({ "type": "bucket", "name": bucket.name, "created": created }),
                )?;
            } else {
                let created = short_time(bucket.creation_date_ms);
                output::line(&format!("{created} {}", bucket.name))?;
            }
        }
        return Ok(());
    };
    let listed = if args.versions {
        list_versions(&args, &client, url).await?
    } else if args.uploads {
        list_uploads(&args, &client, url).await?
    } else {
        list_objects(&args, &client, url).await?
    };
    if args.summarize {
        print_summary(&args, listed.objects, listed.bytes)?;
    }
    if listed.objects + listed.prefixes == 0 && !url.key.is_empty() {
        return Err(Failure::reported(exit_code::GENERAL));
    }
    Ok(())
}

/// What a listing had.
#[derive(Default)]
struct Listed {
    objects: u64,
    bytes: u64,
    prefixes: u64,
}

async fn list_objects(args: &LsArgs, client: &Client, url: &S3Url) -> Result<Listed, Failure> {
    let request = ListObjectsRequest {
        bucket: url.bucket.clone(),
        prefix: url.key.clone(),
        delimiter: (!args.recursive).then(|| "/".to_owned()),
        ..ListObjectsRequest::default()
    };
    let mut listed = Listed::default();
    let mut pages = Box::pin(client.list_objects_pages(request));
    while let Some(page) = pages.try_next().await? {
        for prefix in &page.common_prefixes {
            listed.prefixes += 1;
            print_prefix(args, url, prefix)?;
        }
        for object in &page.objects {
            listed.objects += 1;
            listed.bytes += object.size;
            print_object(args, url, object)?;
        }
    }
    Ok(listed)
}

async fn list_versions(args: &LsArgs, client: &Client, url: &S3Url) -> Result<Listed, Failure> {
    let delimiter = (!args.recursive).then_some("/");
    let mut listed = Listed::default();
    let mut from = None;
    loop {
        let page = client
            .list_versions(&url.bucket, &url.key, delimiter, from.as_ref())
            .await?;
        for prefix in &page.common_prefixes {
            listed.prefixes += 1;
            print_prefix(args, url, prefix)?;
        }
        for version in &page.versions {
            listed.objects += 1;
            listed.bytes += version.size.unwrap_or_default();
            print_version(args, url, version)?;
        }
        from = page.next;
        if from.is_none() {
            return Ok(listed);
        }
    }
}

/// At any depth: there are few, and who looks for what was left does not know where.
async fn list_uploads(args: &LsArgs, client: &Client, url: &S3Url) -> Result<Listed, Failure> {
    let mut listed = Listed::default();
    for upload in client.list_multipart_uploads(&url.bucket, &url.key).await? {
        listed.objects += 1;
        print_upload(args, &upload)?;
    }
    Ok(listed)
}

/// The part of a key that a listing of one level shows.
fn shown<'k>(args: &LsArgs, url: &S3Url, key: &'k str) -> &'k str {
    if args.recursive {
        return key;
    }
    let base = url.key.rfind('/').map_or(0, |slash| slash + 1);
    key.get(base..).unwrap_or(key)
}

fn print_prefix(args: &LsArgs, url: &S3Url, prefix: &str) -> Result<(), Failure> {
    if args.common.json {
        return output::json_line(&json!({ "type": "prefix", "prefix": prefix }));
    }
    output::line(&format!("{:>30} {}", "PRE", shown(args, url, prefix)))
}

fn print_object(args: &LsArgs, url: &S3Url, object: &ListedObject) -> Result<(), Failure> {
    if args.common.json {
        return output::json_line(&json!({
            "type": "object",
            "key": object.key,
            "size": object.size,
            "last_modified": iso8601(object.last_modified_ms),
            "etag": object.etag,
            "storage_class": object.storage_class,
            "checksum_algorithm": object.checksum_algorithm,
            "checksum_type": object.checksum_type,
        }));
    }
    let size = size_text(args, object.size);
    let time = short_time(object.last_modified_ms);
    output::line(&format!(
        "{time} {size:>10} {}",
        shown(args, url, &object.key)
    ))
}

fn print_version(args: &LsArgs, url: &S3Url, version: &ListedVersion) -> Result<(), Failure> {
    if args.common.json {
        let kind = match version.size {
            Some(_) => "version",
            None => "delete_marker",
        };
        return output::json_line(&json!({
            "type": kind,
            "key": version.key,
            "version_id": version.version_id,
            "is_latest": version.is_latest,
            "size": version.size,
            "last_modified": iso8601(version.last_modified_ms),
            "etag": version.etag,
            "storage_class": version.storage_class,
        }));
    }
    let size = match version.size {
        Some(size) => size_text(args, size),
        None => "DELETED".to_owned(),
    };
    let time = short_time(version.last_modified_ms);
    let latest = if version.is_latest { "latest" } else { "" };
    output::line(&format!(
        "{time} {size:>10} {:<32} {latest:<6} {}",
        version.version_id,
        shown(args, url, &version.key)
    ))
}

fn print_upload(args: &LsArgs, upload: &MultipartUpload) -> Result<(), Failure> {
    if args.common.json {
        return output::json_line(&json!({
            "type": "upload",
            "key": upload.key,
            "upload_id": upload.upload_id,
            "initiated": iso8601(upload.initiated_ms),
        }));
    }
    let begun = short_time(upload.initiated_ms);
    output::line(&format!("{begun} {:<32} {}", upload.upload_id, upload.key))
}

fn print_summary(args: &LsArgs, objects: u64, bytes: u64) -> Result<(), Failure> {
    if args.common.json {
        return output::json_line(&json!({ "type": "summary", "objects": objects, "size": bytes }));
    }
    output::line("")?;
    output::line(&format!("Total Objects: {objects}"))?;
    output::line(&format!("   Total Size: {}", size_text(args, bytes)))
}

fn size_text(args: &LsArgs, bytes: u64) -> String {
    if args.human_readable {
        human_size(bytes)
    } else {
        bytes.to_string()
    }
}
