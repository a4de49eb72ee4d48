//! `oncilla cp` and `oncilla mv`: copy or move files and objects.

use std::path::{Path, PathBuf};

use clap::Args;

use super::attribute_args::AttributeArgs;
use super::customer_key_args::TransferKeyArgs;
use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::filter::Filter;
use crate::jobs::{Job, Runner, head_object};
use crate::listing::{files_below, objects_below};
use crate::local_files::{path_below, upload_records_folder};
use crate::location::{Location, S3Url};
use crate::sync_plan::Listing;

/// Copy files and objects: to S3, from S3, or within S3 (there the server copies). `-` is standard
/// input or output. With --json prints one line of JSON per file.
#[derive(Args, Clone, Debug)]
pub struct CpArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub copy: CopyArgs,

    /// Length of standard input, needed only above 150 GiB
    #[arg(long, value_name = "BYTES")]
    pub expected_size: Option<u64>,

    /// Version of the source, when not the newest
    #[arg(long, value_name = "ID", conflicts_with = "recursive")]
    pub version_id: Option<String>,
}

/// Move files and objects: copy as cp does, then remove each source that arrived. With --json
/// prints one line of JSON per file.
#[derive(Args, Clone, Debug)]
pub struct MvArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub copy: CopyArgs,
}

/// What copying and moving have in common.
#[derive(Args, Clone, Debug)]
pub struct CopyArgs {
    /// s3://BUCKET/KEY, a local path, or -
    pub source: Location,

    /// s3://BUCKET/KEY, a local path, or -; with a slash at its end, or a folder that exists, the
    /// source's name is added
    pub destination: Location,

    /// Everything below the source
    #[arg(long, short)]
    pub recursive: bool,

    /// Say what would be done and do nothing
    #[arg(long, alias = "dryrun")]
    pub dry_run: bool,

    /// Leave symbolic links out instead of following them
    #[arg(long)]
    pub no_follow_symlinks: bool,

    /// Continue a multipart upload that was interrupted, and leave one behind that can be continued: by
    /// the same user of this machine, with flags that give the object the same headers, ACL, encryption,
    /// tags and metadata. What is known of it is kept in ~/.local/state/oncilla (XDG_STATE_HOME)
    #[arg(long, help_heading = "Transfer")]
    pub resume: bool,

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

/// Runs `cp`.
pub async fn run_cp(args: CpArgs) -> Result<(), Failure> {
    if args.version_id.is_some() && !matches!(args.copy.source, Location::S3(_)) {
        return Err(Failure::usage(format!(
            "--version-id is of an object, and {} is none",
            args.copy.source
        )));
    }
    run(args.copy, args.expected_size, args.version_id, false).await
}

/// Runs `mv`.
pub async fn run_mv(args: MvArgs) -> Result<(), Failure> {
    run(args.copy, None, None, true).await
}

async fn run(
    args: CopyArgs,
    expected_bytes: Option<u64>,
    version_id: Option<String>,
    remove_source: bool,
) -> Result<(), Failure> {
    check_places(&args, remove_source)?;
    args.attributes.check(&args.destination)?;
    let client = args.common.client()?;
    let keys = args.keys.keys(&args.source, &args.destination, &client)?;
    let mut runner = Runner::new(client, &args.common, args.attributes.clone());
    runner.keys = keys;
    runner.remove_source = remove_source;
    runner.dry_run = args.dry_run;
    runner.expected_bytes = expected_bytes;
    runner.source_version = version_id;
    if args.resume {
        let folder = upload_records_folder().ok_or_else(|| {
            Failure::usage("--resume has no place to remember uploads")
                .advise("set HOME or XDG_STATE_HOME")
        })?;
        runner.options.resume = Some(folder);
    }
    if !args.recursive {
        let job = single_job(&runner, &args).await?;
        if let (Location::S3(source), Location::S3(destination)) = (&job.source, &job.destination)
            && source == destination
            && runner.source_version.is_none()
            && (remove_source || !(args.attributes.changes_object() || args.keys.changes_object()))
        {
            return Err(Failure::usage(format!(
                "{source} would be copied onto itself"
            )));
        }
        return runner.run_one(job).await;
    }
    let jobs = folder_jobs(&runner, &args).await?;
    runner.run_all(jobs).await;
    runner.finish()
}

fn check_places(args: &CopyArgs, remove_source: bool) -> Result<(), Failure> {
    let refuse = |why: &str| {
        Err(Failure::usage(format!(
            "{} to {}: {why}",
            args.source, args.destination
        )))
    };
    match (&args.source, &args.destination) {
        (Location::S3(_), _) | (_, Location::S3(_)) => {}
        _ => return refuse("one side has to be an S3 URL (s3://BUCKET/KEY)"),
    }
    let has_stream = [&args.source, &args.destination]
        .into_iter()
        .any(|place| *place == Location::Standard);
    if has_stream && args.recursive {
        return refuse("standard input and output hold one file, not a folder");
    }
    if has_stream && remove_source {
        return refuse("standard input and output cannot be moved; use cp");
    }
    if let (true, Location::S3(source), Location::S3(destination)) = (
        remove_source && args.recursive,
        &args.source,
        &args.destination,
    ) && source.bucket == destination.bucket
        && destination.folder().starts_with(&source.folder())
    {
        return refuse("a folder cannot be moved into itself");
    }
    Ok(())
}

async fn single_job(runner: &Runner, args: &CopyArgs) -> Result<Job, Failure> {
    let source = args.source.clone();
    let (name, size) = match &source {
        Location::Standard => (None, 0),
        Location::Local(path) => {
            let metadata = std::fs::metadata(path).map_err(|error| Failure::io(path, &error))?;
            if metadata.is_dir() {
                return Err(Failure::usage(format!("{} is a folder", path.display()))
                    .advise("--recursive copies everything in it"));
            }
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .map(str::to_owned);
            (name, metadata.len())
        }
        Location::S3(url) => {
            let url = url.require_key().map_err(|message| {
                Failure::usage(message).advise("--recursive copies everything below a prefix")
            })?;
            let name = url.key.rsplit('/').next().map(str::to_owned);
            let request = runner.source_request(url);
            let advice = "if it is a folder, add --recursive";
            let info = head_object(&runner.client, &request, advice).await?;
            (name, info.content_length)
        }
    };
    let destination = named_destination(&args.destination, name.as_deref())?;
    Ok(Job {
        source,
        destination,
        size,
    })
}

/// Adds the source's name to a destination that is a folder.
fn named_destination(destination: &Location, name: Option<&str>) -> Result<Location, Failure> {
    let need_name = || {
        Failure::usage(format!(
            "{destination} is a folder, and the source has no name to add"
        ))
        .advise("name the destination in full")
    };
    match destination {
        Location::S3(url) if url.key.is_empty() || url.key.ends_with('/') => {
            let name = name.filter(|name| !name.is_empty()).ok_or_else(need_name)?;
            Ok(Location::S3(url.with_key(format!("{}{name}", url.key))))
        }
        Location::Local(path) if is_folder(path) => {
            let name = name.filter(|name| !name.is_empty()).ok_or_else(need_name)?;
            Ok(Location::Local(
                path_below(path, name).map_err(Failure::general)?,
            ))
        }
        other => Ok(other.clone()),
    }
}

fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/')
}

async fn folder_jobs(runner: &Runner, args: &CopyArgs) -> Result<Vec<Job>, Failure> {
    let within_s3 = matches!(args.destination, Location::S3(_));
    let listing = match &args.source {
        Location::S3(url) => objects_below(&runner.client, url, within_s3).await?,
        Location::Local(path) => {
            require_folder(path)?;
            let folder = files_below(path, !args.no_follow_symlinks).await?;
            note_problems(runner, folder.problems, folder.skipped);
            folder.files
        }
        Location::Standard => Listing::new(),
    };
    let mut jobs = Vec::new();
    for (relative, entry) in &listing {
        if !args.filter.includes(relative) {
            continue;
        }
        let source = below(&args.source, relative);
        match (source, below(&args.destination, relative)) {
            (Ok(source), Ok(destination)) => {
                jobs.push(Job {
                    source,
                    destination,
                    size: entry.size,
                });
            }
            (Err(message), _) | (_, Err(message)) => {
                runner.note_failure(&Failure::general(message));
            }
        }
    }
    Ok(jobs)
}

/// The place of a relative path below a folder of either kind.
pub fn below(folder: &Location, relative: &str) -> Result<Location, String> {
    match folder {
        Location::S3(url) => Ok(Location::S3(key_below(url, relative))),
        Location::Local(root) => path_below(root, relative).map(Location::Local),
        Location::Standard => Err("standard input and output are no folders".to_owned()),
    }
}

fn key_below(url: &S3Url, relative: &str) -> S3Url {
    url.with_key(format!("{}{relative}", url.folder()))
}

/// Refuses a source that is missing or no folder before anything is done.
pub fn require_folder(path: &PathBuf) -> Result<(), Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| Failure::io(path, &error))?;
    if metadata.is_dir() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{} is not a folder",
        path.display()
    )))
}

/// Reports what a walk could not read; what is no file is only mentioned.
pub fn note_problems(runner: &Runner, problems: Vec<String>, skipped: Vec<String>) {
    for problem in problems {
        runner.note_failure(&Failure::general(problem));
    }
    for path in skipped {
        tracing::warn!(path, "left out: neither a file nor a folder");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Location {
        text.parse().unwrap()
    }

    #[test]
    fn folders_get_the_sources_name() {
        let named = |text: &str, name| named_destination(&place(text), name).unwrap().to_string();
        assert_eq!(named("s3://b", Some("x")), "s3://b/x");
        assert_eq!(named("s3://b/d/", Some("x")), "s3://b/d/x");
        assert_eq!(named("s3://b/d", Some("x")), "s3://b/d");
        assert_eq!(named("/tmp", Some("x")), "/tmp/x");
        assert_eq!(named("/nowhere/", Some("x")), "/nowhere/x");
        assert_eq!(named("/nowhere", Some("x")), "/nowhere");
        assert!(named_destination(&place("s3://b"), None).is_err());
        assert!(named_destination(&place("/tmp"), Some("..")).is_err());
    }

    #[test]
    fn relative_paths_go_below_folders() {
        assert_eq!(below(&place("s3://b/d"), "x/y"), Ok(place("s3://b/d/x/y")));
        assert_eq!(below(&place("s3://b"), "x"), Ok(place("s3://b/x")));
        assert_eq!(below(&place("dir"), "x/y"), Ok(place("dir/x/y")));
        assert!(below(&place("dir"), "../y").is_err());
    }
}
