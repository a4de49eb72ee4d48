//! `oncilla sync`: make a destination equal to a source.

use std::path::Path;

use clap::Args;
use futures_util::{StreamExt, stream};
use oncilla_client::transfer::{Verified, verify_file};
use oncilla_client::{GetObjectRequest, ObjectInfo};

use super::attribute_args::AttributeArgs;
use super::cp::{below, note_problems, require_folder};
use super::customer_key_args::TransferKeyArgs;
use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::jobs::{Job, Runner};
use crate::listing::{files_below, objects_below};
use crate::local_files::upload_records_folder;
use crate::location::Location;
use crate::sync_plan::{Action, Compare, Listing, plan};

/// Copy what is new or changed from one folder to another: to S3, from S3, or within S3. What is
/// equal already is left alone, so an interrupted sync goes on where it was. A file that fails does
/// not stop the others; the exit status is then 1. With --json prints one line of JSON per file.
#[derive(Args, Clone, Debug)]
pub struct SyncArgs {
    /// s3://BUCKET/PREFIX or a local folder
    pub source: Location,

    /// s3://BUCKET/PREFIX or a local folder, which is made if need be
    pub destination: Location,

    /// Remove from the destination what the source does not have
    #[arg(long)]
    pub delete: bool,

    /// Say what would be done and do nothing
    #[arg(long, alias = "dryrun")]
    pub dry_run: bool,

    /// Compare contents by checksum instead of modification times
    #[arg(long, conflicts_with = "size_only")]
    pub checksum: bool,

    /// Compare sizes alone
    #[arg(long)]
    pub size_only: bool,

    /// Leave symbolic links out instead of following them
    #[arg(long)]
    pub no_follow_symlinks: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub filter: Filter,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub attributes: AttributeArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub keys: TransferKeyArgs,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// Runs the command.
pub async fn run(args: SyncArgs) -> Result<(), Failure> {
    check_places(&args)?;
    args.attributes.check(&args.destination)?;
    let client = args.common.client()?;
    let keys = args.keys.keys(&args.source, &args.destination, &client)?;
    let mut runner = Runner::new(client, &args.common, args.attributes.clone());
    runner.keys = keys;
    runner.dry_run = args.dry_run;
    // The next sync goes on where this one was interrupted, within large files too.
    runner.options.resume = upload_records_folder();

    let source = Side::read(&runner, &args.source, &args, true).await?;
    let destination = Side::read(&runner, &args.destination, &args, false).await?;
    let compare = match (args.checksum, args.size_only) {
        (true, _) => Compare::Checksum,
        (_, true) => Compare::SizeOnly,
        _ => Compare::SizeAndTime,
    };
    // What could not be read in the source is not known to be gone.
    let delete = args.delete && source.complete;
    if args.delete && !delete {
        let message = "nothing is deleted, because the source could not be read completely";
        Failure::general(message).report();
    }
    let actions = plan(&source.listing, &destination.listing, compare, delete);
    carry_out(&runner, &args, actions).await;
    runner.finish()
}

fn check_places(args: &SyncArgs) -> Result<(), Failure> {
    let refuse = |why: &str| {
        Err(Failure::usage(format!(
            "{} to {}: {why}",
            args.source, args.destination
        )))
    };
    match (&args.source, &args.destination) {
        (Location::Standard, _) | (_, Location::Standard) => {
            refuse("standard input and output are no folders")
        }
        (Location::Local(_), Location::Local(_)) => {
            refuse("one side has to be an S3 URL (s3://BUCKET/PREFIX)")
        }
        (Location::S3(source), Location::S3(destination))
            if source.bucket == destination.bucket
                && (source.folder().starts_with(&destination.folder())
                    || destination.folder().starts_with(&source.folder())) =>
        {
            refuse("one folder lies within the other")
        }
        _ => Ok(()),
    }
}

/// One side's files, filtered.
struct Side {
    listing: Listing,
    /// Whether everything could be read.
    complete: bool,
}

impl Side {
    async fn read(
        runner: &Runner,
        place: &Location,
        args: &SyncArgs,
        is_source: bool,
    ) -> Result<Self, Failure> {
        let (mut listing, complete) = match place {
            Location::S3(url) => {
                let within_s3 = matches!(
                    (&args.source, &args.destination),
                    (Location::S3(_), Location::S3(_))
                );
                (objects_below(&runner.client, url, within_s3).await?, true)
            }
            Location::Local(path) if is_source || path.exists() => {
                require_folder(path)?;
                let folder = files_below(path, !args.no_follow_symlinks).await?;
                let complete = folder.problems.is_empty();
                note_problems(runner, folder.problems, folder.skipped);
                (folder.files, complete)
            }
            Location::Local(_) | Location::Standard => (Listing::new(), true),
        };
        listing.retain(|relative, _| args.filter.includes(relative));
        Ok(Self { listing, complete })
    }
}

/// Transfers first and deletions last, so that an interruption leaves too much and not too little.
async fn carry_out(runner: &Runner, args: &SyncArgs, actions: Vec<Action>) {
    let mut jobs = Vec::new();
    let mut checks = Vec::new();
    let mut deletions = Vec::new();
    for action in actions {
        let (path, size, list) = match action {
            Action::Transfer { path, size } => (path, size, Some(&mut jobs)),
            Action::Check { path, size } => (path, size, Some(&mut checks)),
            Action::Delete { path } => (path, 0, None),
        };
        let destination = below(&args.destination, &path);
        match (list, below(&args.source, &path), destination) {
            (Some(list), Ok(source), Ok(destination)) => {
                list.push(Job {
                    source,
                    destination,
                    size,
                });
            }
            (None, _, Ok(destination)) => deletions.push(destination),
            (_, Err(message), _) | (_, _, Err(message)) => {
                runner.note_failure(&Failure::general(message));
            }
        }
    }

    let differing = stream::iter(checks)
        .map(|job| async move {
            match same_content(runner, &job).await {
                Ok(true) => None,
                Ok(false) => Some(job),
                Err(failure) => {
                    runner.note_failure(&failure);
                    None
                }
            }
        })
        .buffer_unordered(args.common.concurrency)
        .filter_map(std::future::ready);
    jobs.extend(differing.collect::<Vec<Job>>().await);
    runner.run_all(jobs).await;

    stream::iter(deletions)
        .for_each_concurrent(args.common.concurrency, |place| async move {
            if runner.options.cancel.is_cancelled() {
                return;
            }
            let outcome = match runner.remove(&place).await {
                Ok(()) => runner.report("delete", &place, None, None),
                Err(failure) => Err(failure),
            };
            if let Err(failure) = outcome {
                runner.note_failure(&failure);
            }
        })
        .await;
}

/// Whether source and destination of a job hold the same bytes. Where nothing proves it they count
/// as different.
async fn same_content(runner: &Runner, job: &Job) -> Result<bool, Failure> {
    let _slot = runner
        .options
        .slots
        .acquire()
        .await
        .map_err(|error| Failure::general(error.to_string()))?;
    match (&job.source, &job.destination) {
        (Location::Local(path), Location::S3(url)) => {
            file_is_object(runner, path, &runner.destination_request(url)).await
        }
        (Location::S3(url), Location::Local(path)) => {
            file_is_object(runner, path, &runner.source_request(url)).await
        }
        (Location::S3(source), Location::S3(destination)) => {
            let (source, destination) = (
                runner.source_request(source),
                runner.destination_request(destination),
            );
            let one = runner.client.head_object(&source).await?;
            let other = runner.client.head_object(&destination).await?;
            Ok(same_object(&one, &other))
        }
        _ => Ok(false),
    }
}

async fn file_is_object(
    runner: &Runner,
    path: &Path,
    request: &GetObjectRequest,
) -> Result<bool, Failure> {
    let info = runner.client.head_object(request).await?;
    match verify_file(&runner.client, request, &info, path).await {
        Ok(Verified::LengthOnly) => Ok(false),
        Ok(_) => Ok(true),
        Err(oncilla_client::Error::Integrity { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// By a checksum that both carry, else by their ETags.
fn same_object(one: &ObjectInfo, other: &ObjectInfo) -> bool {
    let shared = one.checksums.iter().find_map(|(algorithm, value)| {
        // Composite values depend on how the parts were cut: equal ones prove, different ones don't.
        let theirs = other.checksums.get(algorithm)?;
        Some(value == theirs)
    });
    match shared {
        Some(true) => true,
        Some(false) | None => one.etag.is_some() && one.etag == other.etag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oncilla_hash::ChecksumAlgorithm;

    #[test]
    fn objects_are_equal_by_checksum_or_etag() {
        let info = |etag: &str, crc: Option<&str>| ObjectInfo {
            etag: Some(etag.to_owned()),
            checksums: crc
                .map(|value| (ChecksumAlgorithm::Crc32, value.to_owned()))
                .into_iter()
                .collect(),
            ..ObjectInfo::default()
        };
        assert!(same_object(&info("a", Some("x")), &info("b-2", Some("x"))));
        assert!(same_object(&info("a", None), &info("a", Some("x"))));
        assert!(!same_object(&info("a", Some("x")), &info("b", Some("y"))));
        assert!(!same_object(&ObjectInfo::default(), &ObjectInfo::default()));
    }
}
