//! `oncilla rm`: remove objects.

use std::cell::Cell;
use std::collections::HashSet;

use clap::Args;
use oncilla_client::{
    Client, DELETE_OBJECTS_MAX, DeleteFailure, ListedObject, ListedVersion, exit_code,
};

use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::listing::{for_each_batch, for_each_batch_of_versions};
use crate::location::S3Url;
use crate::output;
use crate::question::confirmed;

/// Remove objects. With --json prints one line of JSON per object.
#[derive(Args, Clone, Debug)]
pub struct RmArgs {
    /// The object, or with --recursive the folder: s3://BUCKET/KEY
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// Remove every object below s3://BUCKET/KEY/, or in the bucket if there is no KEY
    #[arg(long, short)]
    pub recursive: bool,

    /// Remove this version for good instead of making the object disappear
    #[arg(long, value_name = "ID", conflicts_with = "recursive")]
    pub version_id: Option<String>,

    /// With --recursive: remove every version and delete marker for good
    #[arg(long, requires = "recursive")]
    pub versions: bool,

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
            Failure::usage(message).advise("--recursive removes everything in it")
        })?;
        if !args.dry_run {
            let version = args.version_id.as_deref();
            client
                .delete_version(&url.bucket, &url.key, version)
                .await?;
        }
        return report(&args, &url.key, args.version_id.as_deref());
    }
    // As for cp, mv and sync: what is to be removed lies in the folder, and is not just named like it.
    let (bucket, prefix) = (&args.url.bucket, &args.url.folder());
    let place = args.url.with_key(prefix);
    let question = format!("Remove every object below {place}?");
    if !args.dry_run && !args.yes && !confirmed(&question)? {
        return Err(Failure::general("nothing was removed"));
    }
    let is_empty = Cell::new(true);
    let chosen = |key: &str| {
        is_empty.set(false);
        args.filter
            .includes(key.strip_prefix(prefix).unwrap_or(key))
    };
    let failures = match (args.versions, args.dry_run) {
        (false, true) => {
            let say = async |objects: Vec<ListedObject>| {
                for object in objects.iter().filter(|object| chosen(&object.key)) {
                    report(&args, &object.key, None)?;
                }
                Ok(())
            };
            for_each_batch(&client, bucket, prefix, DELETE_OBJECTS_MAX, say).await?;
            Vec::new()
        }
        (false, false) => {
            let deleted = |key: &str| report(&args, key, None);
            delete_all(&client, bucket, prefix, chosen, deleted).await?
        }
        (true, true) => {
            let say = async |versions: Vec<ListedVersion>| {
                for version in versions.iter().filter(|version| chosen(&version.key)) {
                    report(&args, &version.key, Some(&version.version_id))?;
                }
                Ok(())
            };
            for_each_batch_of_versions(&client, bucket, prefix, say).await?;
            Vec::new()
        }
        (true, false) => {
            let deleted =
                |version: &ListedVersion| report(&args, &version.key, Some(&version.version_id));
            delete_all_versions(&client, bucket, prefix, chosen, deleted).await?
        }
    };
    if is_empty.get() && *prefix != args.url.key && !args.common.quiet {
        let nothing = format!("nothing is below {place}");
        let advice = "--recursive is for folders, not for all keys that begin alike";
        Failure::general(nothing).advise(advice).report();
    }
    for failure in &failures {
        let DeleteFailure {
            key, code, message, ..
        } = failure;
        Failure::general(format!("s3://{bucket}/{key}: {code}: {message}")).report();
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::reported(exit_code::GENERAL))
    }
}

fn report(args: &RmArgs, key: &str, version_id: Option<&str>) -> Result<(), Failure> {
    let id = version_id.map(|id| ("version", id));
    output::removed(
        &args.common,
        args.dry_run,
        "delete",
        &args.url.with_key(key),
        id,
    )
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

/// Removes the chosen versions and delete markers below a prefix for good, and returns what could not
/// be removed. Markers go after all versions, and those of keys of which a (locked) version stays, stay
/// too: without them, what was deleted would be there again.
pub async fn delete_all_versions(
    client: &Client,
    bucket: &str,
    prefix: &str,
    chosen: impl Fn(&str) -> bool,
    mut deleted: impl FnMut(&ListedVersion) -> Result<(), Failure>,
) -> Result<Vec<DeleteFailure>, Failure> {
    let mut failures = Vec::new();
    let mut found_markers = false;
    let objects = |version: &ListedVersion| {
        let is_marker = version.etag.is_none();
        found_markers |= is_marker;
        !is_marker && chosen(&version.key)
    };
    delete_chosen_versions(client, bucket, prefix, objects, &mut deleted, &mut failures).await?;
    if !found_markers {
        return Ok(failures);
    }
    let left: HashSet<String> = failures.iter().map(|left| left.key.clone()).collect();
    let markers = |version: &ListedVersion| {
        version.etag.is_none() && chosen(&version.key) && !left.contains(&version.key)
    };
    delete_chosen_versions(client, bucket, prefix, markers, &mut deleted, &mut failures).await?;
    Ok(failures)
}

async fn delete_chosen_versions(
    client: &Client,
    bucket: &str,
    prefix: &str,
    mut chosen: impl FnMut(&ListedVersion) -> bool,
    deleted: &mut impl FnMut(&ListedVersion) -> Result<(), Failure>,
    failures: &mut Vec<DeleteFailure>,
) -> Result<(), Failure> {
    for_each_batch_of_versions(client, bucket, prefix, async |mut versions| {
        versions.retain(&mut chosen);
        let failed = client.delete_versions(bucket, &versions).await?;
        for version in &versions {
            let is_it = |failure: &DeleteFailure| {
                failure.key == version.key
                    && failure.version_id.as_deref() == Some(version.version_id.as_str())
            };
            if !failed.iter().any(is_it) {
                deleted(version)?;
            }
        }
        failures.extend(failed);
        Ok(())
    })
    .await
}
