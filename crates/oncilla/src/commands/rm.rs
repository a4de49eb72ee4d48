//! `oncilla rm`: remove objects.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;
use oncilla_client::{Client, DELETE_OBJECTS_MAX, DeleteFailure, exit_code};
use serde_json::json;

use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::listing::for_each_batch;
use crate::location::S3Url;
use crate::output;

/// Remove objects. With --json prints one line of JSON per object.
#[derive(Args, Clone, Debug)]
pub struct RmArgs {
    /// The object, or with --recursive the prefix: s3://BUCKET/KEY
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// Remove every object whose key begins with KEY
    #[arg(long, short)]
    pub recursive: bool,

    /// Do not ask, also on a terminal
    #[arg(long, short)]
    pub yes: bool,

    /// Say what would be removed and remove nothing
    #[arg(long, alias = "dryrun")]
    pub dry_run: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub filter: Filter,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// Runs the command.
pub async fn run(args: RmArgs) -> Result<(), Failure> {
    let client = args.common.client()?;
    if !args.recursive {
        let url = args.url.require_key().map_err(|message| {
            Failure::usage(message).advise("--recursive removes everything below a prefix")
        })?;
        if !args.dry_run {
            client.delete_object(&url.bucket, &url.key).await?;
        }
        return report(&args, &url.key);
    }
    if !args.dry_run && !args.yes && !confirmed(&args.url)? {
        return Err(Failure::general("nothing was removed"));
    }
    let (bucket, prefix) = (&args.url.bucket, &args.url.key);
    // Patterns are relative to the prefix's last slash, as they are for cp and sync.
    let base = prefix.rfind('/').map_or(0, |slash| slash + 1);
    let chosen = |key: &str| args.filter.includes(key.get(base..).unwrap_or(key));
    if args.dry_run {
        return for_each_batch(
            &client,
            bucket,
            prefix,
            DELETE_OBJECTS_MAX,
            async |objects| {
                for object in objects.iter().filter(|object| chosen(&object.key)) {
                    report(&args, &object.key)?;
                }
                Ok(())
            },
        )
        .await;
    }
    let failures = delete_all(&client, bucket, prefix, chosen, |key| report(&args, key)).await?;
    for failure in &failures {
        let DeleteFailure { key, code, message } = failure;
        Failure::general(format!("s3://{bucket}/{key}: {code}: {message}")).report();
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::reported(exit_code::GENERAL))
    }
}

fn report(args: &RmArgs, key: &str) -> Result<(), Failure> {
    let url = args.url.with_key(key);
    if args.common.json {
        let (operation, source) = ("delete", url.to_string());
        return output::json_line(
            &json!({ "operation": operation, "source": source, "dry_run": args.dry_run }),
        );
    }
    if args.common.quiet && !args.dry_run {
        return Ok(());
    }
    let mark = if args.dry_run { "(dry run) " } else { "" };
    output::line(&format!("{mark}delete: {url}"))
}

/// Removes the chosen objects below a prefix in batches, and returns what could not be removed.
pub async fn delete_all(
    client: &Client,
    bucket: &str,
    prefix: &str,
    chosen: impl Fn(&str) -> bool,
    mut deleted: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Vec<DeleteFailure>, Failure> {
    let mut failures = Vec::new();
    for_each_batch(
        client,
        bucket,
        prefix,
        DELETE_OBJECTS_MAX,
        async |objects| {
            let keys: Vec<String> = objects
                .into_iter()
                .map(|object| object.key)
                .filter(|key| chosen(key))
                .collect();
            let failed = client.delete_objects(bucket, &keys).await?;
            for key in &keys {
                if !failed.iter().any(|failure| failure.key == *key) {
                    deleted(key)?;
                }
            }
            failures.extend(failed);
            Ok(())
        },
    )
    .await?;
    Ok(failures)
}

/// Asks a person; scripts are not asked.
fn confirmed(url: &S3Url) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(true);
    }
    let failed = |error: std::io::Error| Failure::general(format!("cannot ask: {error}"));
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "Remove every object below {url}? [y/N] ").map_err(failed)?;
    stderr.flush().map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(failed)?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}
