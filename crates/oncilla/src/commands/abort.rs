//! `oncilla abort`: give multipart uploads up that were begun and not ended.

use std::time::Duration;

use clap::Args;
use futures_util::{StreamExt, stream};
use oncilla_client::{Client, Error, MultipartUpload, exit_code};

use super::presign::parse_duration;
use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::location::S3Url;
use crate::output;
use crate::question::confirmed;

/// Give multipart uploads up that were begun and not ended, which frees the space of their parts;
/// `oncilla ls --uploads` lists them. With --json prints one line of JSON per upload.
#[derive(Args, Clone, Debug)]
pub struct AbortArgs {
    /// The object of the upload, or with --recursive the folder: s3://BUCKET/KEY
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// Give this upload up
    #[arg(
        long,
        value_name = "ID",
        required_unless_present = "recursive",
        conflicts_with = "recursive"
    )]
    pub upload_id: Option<String>,

    /// Give up every upload of KEY and of what is below KEY/, or of the whole bucket if there is no KEY;
    /// also those that somebody is at
    #[arg(long, short)]
    pub recursive: bool,

    /// With --recursive: only uploads that were begun so long ago: seconds, or 30m, 12h, 7d
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        requires = "recursive",
        // Which conflicts with --recursive, and clap does not require what a conflict rules out.
        conflicts_with = "upload_id"
    )]
    pub older_than: Option<Duration>,

    /// Do not ask, also on a terminal
    #[arg(long, short)]
    pub yes: bool,

    /// Say what would be given up and give nothing up. An --upload-id is not looked for then
    #[arg(long, alias = "dryrun")]
    pub dry_run: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// Runs the command.
pub async fn run(args: AbortArgs) -> Result<(), Failure> {
    let client = args.common.client()?;
    match &args.upload_id {
        Some(upload_id) => abort_one(&args, &client, upload_id).await,
        None => abort_all(&args, &client).await,
    }
}

async fn abort_one(args: &AbortArgs, client: &Client, upload_id: &str) -> Result<(), Failure> {
    let url = args.url.require_key().map_err(Failure::usage)?;
    if !abort(args, client, &url.key, upload_id).await? {
        let absent = Failure::general(format!("{url} has no upload {upload_id}"))
            .advise(format!("oncilla ls --uploads {url} lists what there is"));
        return Err(Failure {
            exit_code: exit_code::NOT_FOUND,
            ..absent
        });
    }
    report(args, &url.key, upload_id)
}

/// Goes on after failures, which are told as they happen.
async fn abort_all(args: &AbortArgs, client: &Client) -> Result<(), Failure> {
    let S3Url { bucket, key } = &args.url;
    let folder = args.url.folder();
    let question = format!(
        "Give up every upload below {}, also those under way?",
        args.url
    );
    if !args.dry_run && !args.yes && args.older_than.is_none() && !confirmed(&question)? {
        return Err(Failure::general("nothing was given up"));
    }
    let mut uploads = client.list_multipart_uploads(bucket, key).await?;
    let now_ms = oncilla_wire::time::now_ms();
    uploads.retain(|upload| {
        let is_there = upload.key == *key || upload.key.starts_with(&folder);
        is_there && is_old_enough(upload, args.older_than, now_ms)
    });
    let abort_listed = |upload: MultipartUpload| async move {
        let outcome = abort(args, client, &upload.key, &upload.upload_id).await;
        (upload, outcome)
    };
    let mut aborted = Box::pin(
        stream::iter(uploads)
            .map(abort_listed)
            .buffered(args.common.concurrency),
    );
    let mut has_failed = false;
    while let Some((upload, outcome)) = aborted.next().await {
        match outcome {
            Ok(true) => report(args, &upload.key, &upload.upload_id)?,
            // Somebody ended it since it was listed.
            Ok(false) => {}
            Err(error) => {
                has_failed = true;
                let url = args.url.with_key(upload.key);
                Failure::general(format!("abort of {url} failed: {error}")).report();
            }
        }
    }
    match has_failed {
        true => Err(Failure::reported(exit_code::GENERAL)),
        false => Ok(()),
    }
}

/// Gives an upload up, if this is no dry run. Returns whether it was there.
async fn abort(
    args: &AbortArgs,
    client: &Client,
    key: &str,
    upload_id: &str,
) -> Result<bool, Error> {
    if args.dry_run {
        return Ok(true);
    }
    let bucket = &args.url.bucket;
    client.abort_present_upload(bucket, key, upload_id).await
}

fn is_old_enough(upload: &MultipartUpload, age_min: Option<Duration>, now_ms: i64) -> bool {
    let Some(age_min) = age_min else {
        return true;
    };
    let age_min_ms = i64::try_from(age_min.as_millis()).unwrap_or(i64::MAX);
    upload.initiated_ms <= now_ms.saturating_sub(age_min_ms)
}

fn report(args: &AbortArgs, key: &str, upload_id: &str) -> Result<(), Failure> {
    let id = Some(("upload", upload_id));
    output::removed(
        &args.common,
        args.dry_run,
        "abort",
        &args.url.with_key(key),
        id,
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: AbortArgs,
    }

    fn is_taken(flags: &str) -> bool {
        let line = format!("abort s3://b/k {flags}");
        Line::try_parse_from(line.split_whitespace()).is_ok_and(|line| line.args.url.key == "k")
    }

    #[test]
    fn it_is_said_which_uploads_are_given_up() {
        assert!(is_taken("--upload-id x"));
        assert!(is_taken("-r"));
        assert!(is_taken("--recursive --older-than 7d --dry-run"));
        for wrong in [
            "",
            "--dry-run",
            "--older-than 7d",
            "--upload-id x --recursive",
            "--upload-id x --older-than 7d",
            "--recursive --older-than week",
        ] {
            assert!(!is_taken(wrong), "{wrong}");
        }
    }

    #[test]
    fn young_uploads_are_spared() {
        let upload = MultipartUpload {
            initiated_ms: 5_000,
            ..MultipartUpload::default()
        };
        let second = Some(Duration::from_secs(1));
        assert!(is_old_enough(&upload, None, 0));
        assert!(!is_old_enough(&upload, second, 5_999));
        assert!(is_old_enough(&upload, second, 6_000));
        assert!(!is_old_enough(&upload, Some(Duration::MAX), i64::MAX));
    }
}
