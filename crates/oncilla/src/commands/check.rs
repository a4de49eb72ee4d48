//! `oncilla scrub` and `oncilla fsck`: is everything there, and is it what was written?

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Mutex;

use clap::Args;
use oncilla_client::exit_code;
use oncilla_keys::Keys;
use oncilla_store::check::{Finding, ScrubSummary, Severity};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output;
use crate::progress::TransferBar;
use crate::server::{Foundation, MasterKeyArgs};

/// What both commands need to know.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Data directory of a server that is not running
    #[arg(
        long,
        value_name = "DIR",
        env = "ONCILLA_DATA",
        default_value = "./oncilla-data"
    )]
    pub data: PathBuf,

    /// Print findings and the summary as JSON lines
    #[arg(long)]
    pub json: bool,

    /// Draw no progress bar
    #[arg(long)]
    pub no_progress: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub master: MasterKeyArgs,
}

/// Reads every byte and compares it with its checksums.
pub async fn scrub(args: CheckArgs) -> Result<(), Failure> {
    let foundation = open(&args).await?;
    let store = &foundation.store;
    let bar = TransferBar::new(!args.no_progress && std::io::stderr().is_terminal());
    bar.expect(total_bytes(store).await?);
    let sink = bar.sink();
    let mut read_before = 0;
    let reporter = Reporter::new(args.json, &bar);
    let mut report = |finding| reporter.print(finding);
    let mut progress = |summary: &ScrubSummary| {
        sink((summary.bytes - read_before) as i64);
        read_before = summary.bytes;
    };
    let outcome = store.scrub(&mut report, &mut progress).await;
    bar.finish();
    reporter.finish()?;
    let summary = outcome.map_err(|fault| Failure::general(format!("scrub stopped: {fault}")))?;
    foundation.store.close().await;
    if args.json {
        output::json_line(&json!({ "summary": {
            "objects": summary.objects, "past_versions": summary.past_versions,
            "parts": summary.parts,
            "bytes": summary.bytes, "damaged": summary.damaged,
        }}))?;
    } else {
        output::line(&format!(
            "{} objects, {} past versions, {} parts, {} read: {}",
            summary.objects,
            summary.past_versions,
            summary.parts,
            output::human_size(summary.bytes),
            count(summary.damaged, "damaged", "nothing is damaged"),
        ))?;
    }
    end(summary.damaged)
}

/// Compares records with each other and with the volumes.
pub async fn fsck(args: CheckArgs) -> Result<(), Failure> {
    let foundation = open(&args).await?;
    let bar = TransferBar::new(false);
    let reporter = Reporter::new(args.json, &bar);
    let outcome = foundation
        .store
        .fsck(&mut |finding| reporter.print(finding))
        .await;
    reporter.finish()?;
    let summary = outcome.map_err(|fault| Failure::general(format!("fsck stopped: {fault}")))?;
    foundation.store.close().await;
    if args.json {
        output::json_line(&json!({ "summary": {
            "buckets": summary.buckets, "objects": summary.objects,
            "past_versions": summary.past_versions, "delete_markers": summary.delete_markers,
            "parts": summary.parts,
            "extents": summary.extents, "damages": summary.damages, "leaks": summary.leaks,
        }}))?;
    } else {
        output::line(&format!(
            "{} buckets, {} objects, {} past versions, {} delete markers, {} parts, {} extents: {}, {}",
            summary.buckets,
            summary.objects,
            summary.past_versions,
            summary.delete_markers,
            summary.parts,
            summary.extents,
            count(summary.damages, "damages", "no damage"),
            count(summary.leaks, "leaks", "no leak"),
        ))?;
    }
    end(summary.damages + summary.leaks)
}

async fn open(args: &CheckArgs) -> Result<Foundation, Failure> {
    let master_key = args.master.source_of_tool(&args.data);
    let master_key = master_key.map_err(Failure::usage)?;
    let opened = Foundation::open_existing(&args.data, master_key).await;
    let foundation = opened.map_err(|error| {
        Failure::general(error)
            .advise("the server must not be running; name its directory with --data")
    })?;
    if let Some(reason) = foundation.store.keys().ok().and_then(Keys::locked) {
        if args.master.is_given() {
            // Whoever names a key wants to know whether it is the one. "Nothing is damaged" would say so.
            foundation.store.close().await;
            let message =
                format!("the master key given does not open the keys of this store: {reason}");
            return Err(Failure::general(message).advise(
                "nothing was read; name the key that the server has, or none, to compare checksums alone",
            ));
        }
        eprintln!(
            "encrypted bodies are not decrypted, only compared with the checksums of what is kept: \
             {reason}; give the master key that the server has"
        );
    }
    Ok(foundation)
}

/// What scrub will read of live objects, for the progress bar. Parts of open uploads come on top.
async fn total_bytes(store: &oncilla_store::Store) -> Result<u64, Failure> {
    let failed = |fault| Failure::general(format!("cannot list buckets: {fault}"));
    let list = oncilla_store::bucket::ListBuckets {
        limit: usize::MAX,
        ..Default::default()
    };
    let mut total = 0;
    for bucket in store.list_buckets(list).await.map_err(failed)?.buckets {
        total += store.usage(bucket.record.id).await.map_err(failed)?.bytes;
    }
    Ok(total)
}

/// Prints findings as they come, and remembers if that failed.
struct Reporter<'a> {
    json: bool,
    bar: &'a TransferBar,
    outcome: Mutex<Result<(), Failure>>,
}

impl<'a> Reporter<'a> {
    fn new(json: bool, bar: &'a TransferBar) -> Self {
        Self {
            json,
            bar,
            outcome: Mutex::new(Ok(())),
        }
    }

    fn print(&self, finding: Finding) {
        let mut outcome = self
            .outcome
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if outcome.is_ok() {
            *outcome = self.bar.pause(|| print_finding(&finding, self.json));
        }
    }

    fn finish(self) -> Result<(), Failure> {
        self.outcome
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn print_finding(finding: &Finding, json: bool) -> Result<(), Failure> {
    let key = finding
        .key
        .as_ref()
        .map(|key| String::from_utf8_lossy(key).into_owned());
    if json {
        return output::json_line(&json!({
            "severity": finding.severity.as_str(),
            "bucket": finding.bucket,
            "key": key.map_or(Value::Null, Value::from),
            "detail": finding.detail,
        }));
    }
    let place = match (&finding.bucket, &key) {
        (Some(bucket), Some(key)) => format!("s3://{bucket}/{key}: "),
        (Some(bucket), None) => format!("s3://{bucket}: "),
        (None, _) => String::new(),
    };
    let severity = match finding.severity {
        Severity::Damage => "DAMAGE",
        Severity::Leak => "leak",
    };
    output::line(&format!("{severity}  {place}{}", finding.detail))
}

fn count(number: u64, what: &str, none: &str) -> String {
    if number == 0 {
        none.to_owned()
    } else {
        format!("{number} {what}")
    }
}

/// Exit status 1 if anything was found; it has been printed.
fn end(findings: u64) -> Result<(), Failure> {
    match findings {
        0 => Ok(()),
        _ => Err(Failure::reported(exit_code::GENERAL)),
    }
}

#[cfg(test)]
mod tests {
    use oncilla_keys::MasterKeySource;
    use oncilla_server::data_directory::DataDirectory;

    use super::*;

    fn args(data: &std::path::Path, key: Option<&str>) -> CheckArgs {
        CheckArgs {
            data: data.to_owned(),
            json: false,
            no_progress: true,
            master: MasterKeyArgs {
                master_key: key.map(|digit| digit.repeat(64)),
                ..MasterKeyArgs::default()
            },
        }
    }

    async fn is_opened(args: CheckArgs) -> Result<(), Failure> {
        let foundation = open(&args).await?;
        foundation.store.close().await;
        Ok(())
    }

    /// A key is made under one master key; then each way to name one, or none, is tried.
    #[allow(
        clippy::unwrap_used,
        reason = "a test that cannot go on should fail there"
    )]
    async fn only_a_key_that_was_named_has_to_fit() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        drop(DataDirectory::open_or_create(&data).unwrap());
        let right = args(&data, Some("1")).master.source(&data).unwrap();
        assert!(matches!(right, MasterKeySource::Given(_)));
        let foundation = Foundation::open_existing(&data, right).await.unwrap();
        let keys = foundation.store.keys().unwrap();
        keys.sse_s3_key().await.unwrap();
        foundation.store.close().await;
        drop(foundation);

        is_opened(args(&data, Some("1"))).await.unwrap();
        is_opened(args(&data, None)).await.unwrap();
        let refused = is_opened(args(&data, Some("2"))).await.unwrap_err();
        assert_eq!(refused.exit_code, exit_code::GENERAL);
        let message = refused.message;
        assert!(message.contains("does not open the keys"), "{message}");
    }

    #[test]
    fn a_master_key_that_does_not_fit_is_an_error() {
        let runtime = tokio::runtime::Runtime::new();
        let runtime = runtime.expect("a runtime can be made");
        runtime.block_on(only_a_key_that_was_named_has_to_fit());
    }
}
