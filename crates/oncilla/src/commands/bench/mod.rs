//! `oncilla bench`: measures S3 endpoints, one or several side by side.

mod bar;
mod endpoints;
mod print;
mod run;
mod subject;
mod units;

use std::time::Duration;

use clap::{Args, ValueEnum};
use oncilla_bench::keys::KeyPattern;
use oncilla_bench::sizes::{SizeDistribution, parse_size};
use oncilla_bench::workload::{Kind, Mix, Operation, PayloadSigning, Workload};

use self::endpoints::EndpointSpec;
use self::units::{parse_duration, parse_positive};
use crate::common_args::CommonArgs;
use crate::failure::Failure;

pub use self::run::run;

/// Measure S3 endpoints: throughput, operations per second, latencies
///
/// Prepares objects, warms up, measures, prints, and removes what it wrote. With --compare measures
/// several endpoints in turns and prints ratios. Exits 1 if any operation failed. What the figures
/// mean is described in docs/bench.md. With --json prints one document.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// What to measure
    #[arg(value_enum)]
    pub operation: OperationName,

    /// `[NAME=]URL[,OPTION]...`; repeatable. Options: profile=P, unsigned, region=R, path-style,
    /// insecure, ca-bundle=FILE, bucket=B, keys=PATTERN, no-prepare. Several spread the load; with
    /// --compare each name is measured for itself
    #[arg(
        long,
        value_name = "SPEC",
        help_heading = "Endpoint and credentials",
        conflicts_with = "endpoint_url"
    )]
    pub endpoint: Vec<EndpointSpec>,

    /// As --no-sign-request
    #[arg(long, help_heading = "Endpoint and credentials")]
    pub unsigned: bool,

    /// Bucket; made if it does not exist, and then removed at the end
    #[arg(long, value_name = "NAME", default_value = "oncilla-bench")]
    pub bucket: String,

    /// What all keys that are written begin with; nothing may lie below it yet
    /// [default: oncilla-bench/ and something random]
    #[arg(long, value_name = "TEXT")]
    pub prefix: Option<String>,

    /// Size of objects: 4KiB, or 4KiB..1MiB (every magnitude equally often), or 4KiB:80,1MiB:20
    /// (weighted) [default: 1MiB; range 256MiB, multipart 64MiB, list and delete 1KiB]
    #[arg(long, value_name = "SIZES")]
    pub size: Option<SizeDistribution>,

    /// Objects prepared [default: 1000; range 2, delete 20000]
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub objects: Option<u64>,

    /// Threads of the load generator [default: half the cores]
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub threads: Option<u64>,

    /// Measured time of a round, such as 500ms, 10s, 2m [default: 10s; 3s with --compare]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub duration: Option<Duration>,

    /// End a round after so many operations
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    pub operations: Option<u64>,

    /// Load before each round that is not measured [default: 1s; none for delete]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub warmup: Option<Duration>,

    /// Operations per second over all connections; latencies then count from the intended start
    #[arg(long, value_name = "N", value_parser = units::parse_rate)]
    pub rate: Option<f64>,

    /// Weights for mixed, of get, stat, put, delete and list
    #[arg(
        long,
        value_name = "WEIGHTS",
        default_value = "get=45,stat=30,put=15,delete=10"
    )]
    pub mix: Mix,

    /// Keys per page for list
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub page_keys: u64,

    /// Length of ranges
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = parse_size)]
    pub range_size: u64,

    /// Let ranges begin at multiples of their length
    #[arg(long)]
    pub range_aligned: bool,

    /// Length of the parts of uploads in parts
    #[arg(long, value_name = "SIZE", default_value = "8MiB", value_parser = parse_size)]
    pub part_size: u64,

    /// Parts of one upload at once
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u64).range(1..=64))]
    pub part_concurrency: u64,

    /// How the bodies of uploads are signed
    #[arg(long, value_enum, value_name = "MODE", default_value_t)]
    pub payload: PayloadName,

    /// Let PUTs go over the prepared objects instead of to new keys
    #[arg(long)]
    pub overwrite: bool,

    /// Compare every byte that is read with what was written; read back what uploads wrote
    #[arg(long)]
    pub verify: bool,

    /// Objects exist already: write nothing and remove nothing (get, stat, range, list)
    #[arg(long)]
    pub no_prepare: bool,

    /// Keys of objects that exist already, such as load/{n:08}: 0 to N - 1 in eight digits, and
    /// without the :08 in as few as there are
    #[arg(long, value_name = "PATTERN")]
    pub keys: Option<KeyPattern>,

    /// Remove nothing at the end
    #[arg(long)]
    pub keep: bool,

    /// The longest silence of a request
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Decides sizes, contents and the order of keys
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Measure the endpoints in turns (A B A B) and print ratios to the first
    #[arg(long)]
    pub compare: bool,

    /// Rounds of each endpoint [default: 1; 5 with --compare]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OperationName {
    /// Whole objects
    Get,
    /// New objects
    Put,
    /// HEAD of objects
    Stat,
    /// Pages of listings
    List,
    /// Every prepared object once
    Delete,
    /// Several kinds by --mix
    Mixed,
    /// Uploads in parts
    Multipart,
    /// Random ranges of large objects
    Range,
}

/// `--payload`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PayloadName {
    /// UNSIGNED-PAYLOAD
    #[default]
    Unsigned,
    /// SHA-256 of the body
    Signed,
    /// Signed chunks of 64 KiB
    Streaming,
}

/// Measured time of a round: long enough for a p99.9 at 1,000 operations per second; shorter for
/// comparisons, which take their certainty from the number of rounds.
const DURATION_DEFAULT: Duration = Duration::from_secs(10);
const DURATION_COMPARED: Duration = Duration::from_secs(3);

/// Long enough for connections to grow their windows and for caches to fill.
const WARMUP_DEFAULT: Duration = Duration::from_secs(1);

/// Rounds of a comparison: the fewest whose median survives two bad ones.
const ROUNDS_COMPARED: u32 = 5;

impl BenchArgs {
    /// The operation, with its weights if it is mixed.
    fn operation(&self) -> Operation {
        Operation::Only(match self.operation {
            OperationName::Get => Kind::Get,
            OperationName::Put => Kind::Put,
            OperationName::Stat => Kind::Stat,
            OperationName::List => Kind::List,
            OperationName::Delete => Kind::Delete,
            OperationName::Multipart => Kind::Multipart,
            OperationName::Range => Kind::Range,
            OperationName::Mixed => return Operation::Mixed(self.mix.clone()),
        })
    }

    /// Rounds of each target.
    fn rounds(&self) -> u32 {
        let default = if self.compare { ROUNDS_COMPARED } else { 1 };
        self.rounds.unwrap_or(default)
    }

    /// The load that these flags describe.
    fn workload(&self) -> Result<Workload, Failure> {
        let operation = self.operation();
        let only = |kind| operation == Operation::Only(kind);
        let size_default = match self.operation {
            OperationName::Range => 256 << 20,
            OperationName::Multipart => 64 << 20,
            OperationName::List | OperationName::Delete => 1 << 10,
            _ => 1 << 20,
        };
        let objects_default = match self.operation {
            OperationName::Range => 2,
            OperationName::Delete => 20_000,
            _ => 1_000,
        };
        let duration_default = if self.compare {
            DURATION_COMPARED
        } else {
            DURATION_DEFAULT
        };
        let concurrency = self.common.concurrency;
        let threads = match self.threads {
            Some(threads) => usize::try_from(threads).unwrap_or(usize::MAX),
            None => std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2),
        };
        let workload = Workload {
            sizes: self
                .size
                .clone()
                .unwrap_or(SizeDistribution::Fixed(size_default)),
            objects: self.objects.unwrap_or(objects_default),
            concurrency,
            threads: threads.clamp(1, concurrency),
            duration: match (self.duration, self.operations) {
                (None, Some(_)) => None,
                (duration, _) => Some(duration.unwrap_or(duration_default)),
            },
            operations: self.operations,
            // Objects deleted while warming up would be missing from the measurement.
            warmup: if only(Kind::Delete) {
                Duration::ZERO
            } else {
                self.warmup.unwrap_or(WARMUP_DEFAULT)
            },
            rate_per_s: self.rate,
            page_keys: self.page_keys,
            range_bytes: self.range_size,
            range_aligned: self.range_aligned,
            part_bytes: self.part_size,
            part_concurrency: usize::try_from(self.part_concurrency).unwrap_or(1),
            payload: match self.payload {
                PayloadName::Unsigned => PayloadSigning::Unsigned,
                PayloadName::Signed => PayloadSigning::Sha256,
                PayloadName::Streaming => PayloadSigning::Streaming,
            },
            overwrite: self.overwrite,
            verify: self.verify,
            timeout: self.timeout,
            seed: self.seed,
            operation,
        };
        if self.overwrite && !only_put(&workload) {
            return Err(Failure::usage("--overwrite is for put"));
        }
        if workload.operation.includes(Kind::Range)
            && (workload.range_bytes == 0 || workload.sizes.min() < workload.range_bytes)
        {
            return Err(Failure::usage(
                "--range-size has to be more than nothing and no more than --size",
            ));
        }
        if workload.lanes() > 1 && workload.part_bytes == 0 {
            return Err(Failure::usage("--part-size has to be more than nothing"));
        }
        check_limits_of_uploads(&workload)?;
        if workload.duration == Some(Duration::ZERO) || workload.timeout.is_zero() {
            return Err(Failure::usage(
                "--duration and --timeout have to be more than nothing",
            ));
        }
        Ok(workload)
    }
}

/// Refuses uploads that no endpoint takes, before anything is prepared for them.
fn check_limits_of_uploads(workload: &Workload) -> Result<(), Failure> {
    let longest = workload.sizes.max();
    if workload.operation.includes(Kind::Put) && longest > PUT_BYTES_MAX {
        return Err(Failure::usage(
            "one PUT takes at most 5GiB: measure multipart instead",
        ));
    }
    let parts = longest.div_ceil(workload.part_bytes.max(1));
    if workload.operation.includes(Kind::Multipart) && parts > PARTS_MAX {
        return Err(Failure::usage(format!(
            "--size {longest} in parts of {} are {parts} parts, and an upload has at most \
             {PARTS_MAX}: choose a larger --part-size",
            workload.part_bytes
        )));
    }
    Ok(())
}

/// Longest body of one PUT, in bytes. Source: S3 user guide, "Uploading objects".
const PUT_BYTES_MAX: u64 = 5 << 30;

/// Most parts of one upload. Source: S3 user guide, "Multipart upload limits".
const PARTS_MAX: u64 = 10_000;

fn only_put(workload: &Workload) -> bool {
    workload.operation == Operation::Only(Kind::Put)
}
