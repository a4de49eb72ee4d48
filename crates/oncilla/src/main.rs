//! The `oncilla` command: a server, its administration, and an S3 client.

mod admin_client;
mod commands;
mod common_args;
mod configurations;
mod document;
mod failure;
mod filter;
mod jobs;
mod listing;
mod local_files;
mod location;
mod mime;
mod output;
mod progress;
mod question;
mod server;
mod sync_plan;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::commands::{
    abort, account, bench, bucket, cat, check, completions, cp, key, kms, ls, mb, presign, rb,
    reference, rm, stat, storage, sync, tag,
};
use crate::common_args::CommonArgs;
use crate::failure::Failure;

/// Many small allocations from many threads are what servers do, and this allocator does them in
/// less time and memory than the system's (3 to 18 % of a request, measured).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// An S3-compatible object store in one program: the server, its administration, and a client for
/// it and any other S3 endpoint.
#[derive(Parser, Debug)]
#[command(name = "oncilla", version, propagate_version = true, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit status: 0 done, 1 failed, 2 credentials or usage, 3 not found, 4 slow down, 5 network, \
130 interrupted.";

#[derive(Subcommand, Debug)]
enum Command {
    Server(Box<server::ServerArgs>),
    Storage(storage::StorageArgs),
    Account(account::AccountArgs),
    Key(key::KeyArgs),
    Kms(kms::KmsArgs),
    Ls(ls::LsArgs),
    Cp(cp::CpArgs),
    Mv(cp::MvArgs),
    Rm(rm::RmArgs),
    Abort(abort::AbortArgs),
    Sync(sync::SyncArgs),
    Cat(cat::CatArgs),
    Stat(stat::StatArgs),
    Presign(presign::PresignArgs),
    Mb(mb::MbArgs),
    Rb(rb::RbArgs),
    Bucket(bucket::BucketArgs),
    Tag(tag::TagArgs),
    Bench(bench::BenchArgs),
    /// Read every byte in a data directory and compare it with its checksums
    ///
    /// Lists what is damaged; exits 1 if anything is. The server must not be running.
    Scrub(check::CheckArgs),
    /// Compare the records in a data directory with each other and with the volumes
    ///
    /// Lists what is missing (damage) and what nothing refers to (leaks); exits 1 if anything is.
    /// Changes nothing. The server must not be running.
    Fsck(check::CheckArgs),
    Completions(completions::CompletionsArgs),
    /// Print the command reference as Markdown
    #[command(hide = true)]
    Reference,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Server(args) => return server::run(*args),
        Command::Storage(args) => client(&args.admin().common.clone(), storage::run(args)),
        Command::Account(args) => client(&args.admin().common.clone(), account::run(args)),
        Command::Key(args) => client(&args.admin().common.clone(), key::run(args)),
        Command::Kms(args) => client(&args.admin().common.clone(), kms::run(args)),
        Command::Scrub(args) => local(check::scrub(args)),
        Command::Fsck(args) => local(check::fsck(args)),
        Command::Completions(args) => completions::run(&args),
        Command::Reference => reference::run(),
        Command::Ls(args) => client(&args.common.clone(), ls::run(args)),
        Command::Cp(args) => client(&args.copy.common.clone(), cp::run_cp(args)),
        Command::Mv(args) => client(&args.copy.common.clone(), cp::run_mv(args)),
        Command::Rm(args) => client(&args.common.clone(), rm::run(args)),
        Command::Abort(args) => client(&args.common.clone(), abort::run(args)),
        Command::Sync(args) => client(&args.common.clone(), sync::run(args)),
        Command::Cat(args) => client(&args.common.clone(), cat::run(args)),
        Command::Stat(args) => client(&args.common.clone(), stat::run(args)),
        Command::Presign(args) => client(&args.common.clone(), presign::run(args)),
        Command::Mb(args) => client(&args.common.clone(), mb::run(args)),
        Command::Rb(args) => client(&args.common.clone(), rb::run(args)),
        Command::Bucket(args) => client(&args.common().clone(), bucket::run(args)),
        Command::Tag(args) => client(&args.common.clone(), tag::run(args)),
        Command::Bench(args) => client(&args.common.clone(), bench::run(args)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code)
        }
    }
}

/// Runs a client command on a runtime of its own.
fn client(
    common: &CommonArgs,
    command: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    start_logging(common.verbose);
    block_on(command)
}

/// Runs a command on a data directory.
fn local(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    start_logging(false);
    block_on(command)
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::general(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(command);
    // A read of a terminal or pipe may never return; nothing of it is needed any more.
    runtime.shutdown_background();
    outcome
}

/// Client commands are silent unless something is wrong, or RUST_LOG or --verbose asks.
fn start_logging(verbose: bool) {
    let default = if verbose {
        "oncilla=debug,oncilla_client=debug"
    } else {
        "warn"
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
