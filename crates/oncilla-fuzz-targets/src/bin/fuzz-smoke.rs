//! Runs fuzz targets on stable Rust: each over its corpus, then over mutations of it for a while.
//!
//! ```text
//! fuzz-smoke                  every target
//! fuzz-smoke TARGET           one target
//! fuzz-smoke TARGET FILE...   a target on these inputs only, as a failure prints them
//! fuzz-smoke --list           the names of the targets
//! ```
//!
//! `ONCILLA_FUZZ_SECONDS` is how long each target runs (2 if not set). `ONCILLA_TEST_SEED` makes the
//! same inputs in the same order again; without it the seed is drawn from the clock and printed.

use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use oncilla_fuzz_targets::mutate::{Random, mutate};
use oncilla_fuzz_targets::{TARGETS, Target, corpus, find, fuzz_directory};

const SECONDS_DEFAULT: f64 = 2.0;

/// An input that takes longer is a failure. Inputs have a few KiB and take microseconds; the rest
/// is for a machine that is busy with something else.
const INPUT_SECONDS_MAX: u64 = 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.split_first() {
        None => smoke(TARGETS.iter()),
        Some((list, [])) if list == "--list" => {
            for target in TARGETS {
                println!("{}", target.name);
            }
            Ok(())
        }
        Some((name, files)) => match find(name) {
            None => Err(format!("there is no target {name}; --list shows them")),
            Some(target) if files.is_empty() => smoke([target].into_iter()),
            Some(target) => replay(target, files),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("fuzz-smoke: {message}");
            ExitCode::FAILURE
        }
    }
}

fn smoke<'t>(targets: impl Iterator<Item = &'t Target>) -> Result<(), String> {
    let seconds: f64 = setting("ONCILLA_FUZZ_SECONDS")?.unwrap_or(SECONDS_DEFAULT);
    let duration = Duration::try_from_secs_f64(seconds)
        .map_err(|error| format!("ONCILLA_FUZZ_SECONDS: {error}"))?;
    let seed = setting("ONCILLA_TEST_SEED")?.unwrap_or_else(seed_of_clock);
    println!("ONCILLA_TEST_SEED={seed}, {seconds} seconds for each target");
    let watchdog = Watchdog::start();
    let mut failed = Vec::new();
    for target in targets {
        match run(target, duration, seed, &watchdog) {
            Ok(executions) => println!("{:24} {executions:>9} executions", target.name),
            Err(message) => {
                eprintln!("{message}");
                failed.push(target.name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let failed = failed.join(", ");
    Err(format!(
        "failed: {failed}. Again with ONCILLA_TEST_SEED={seed}"
    ))
}

/// The number of inputs that were tried.
fn run(target: &Target, duration: Duration, seed: u64, watchdog: &Watchdog) -> Result<u64, String> {
    let corpus = corpus(target.name)
        .map_err(|error| format!("{}: the corpus cannot be read: {error}", target.name))?;
    if corpus.is_empty() {
        return Err(format!("{}: the corpus is empty", target.name));
    }
    for (file, input) in &corpus {
        watchdog
            .try_input(target, input)
            .map_err(|()| format!("{}: fails on {}", target.name, file.display()))?;
    }
    let seeds: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    let mut executions = seeds.len() as u64;
    let mut random = Random::new(seed, target.name);
    let start = Instant::now();
    while start.elapsed() < duration {
        let input = mutate(&mut random, &seeds);
        executions += 1;
        if watchdog.try_input(target, &input).is_err() {
            return Err(describe_failure(target.name, &input));
        }
    }
    Ok(executions)
}

fn replay(target: &Target, files: &[String]) -> Result<(), String> {
    let watchdog = Watchdog::start();
    for file in files {
        let input = std::fs::read(file).map_err(|error| format!("{file}: {error}"))?;
        watchdog
            .try_input(target, &input)
            .map_err(|()| format!("{}: fails on {file}", target.name))?;
        println!("{} holds on {file}", target.name);
    }
    Ok(())
}

/// Says what the input was, and keeps it in a file.
fn describe_failure(target: &str, input: &[u8]) -> String {
    let hex = oncilla_hash::hex::encode(input);
    let text = input.escape_ascii();
    let kept = match keep(target, input) {
        Ok(file) => format!(
            "kept in {}; run it again with: scripts/fuzz-smoke {target} {}",
            file.display(),
            file.display()
        ),
        Err(error) => format!("and could not be kept: {error}"),
    };
    format!(
        "{target} fails on {} bytes\n  hex  {hex}\n  text {text}\n  {kept}",
        input.len()
    )
}

fn keep(target: &str, input: &[u8]) -> std::io::Result<PathBuf> {
    let directory = fuzz_directory().join("artifacts").join(target);
    std::fs::create_dir_all(&directory)?;
    let directory = std::fs::canonicalize(directory)?;
    let digest = oncilla_hash::Sha256::digest(input);
    let file = directory.join(format!("smoke-{}", oncilla_hash::hex::encode(&digest[..8])));
    std::fs::write(&file, input)?;
    Ok(file)
}

fn setting<T: std::str::FromStr>(name: &str) -> Result<Option<T>, String> {
    match std::env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(format!("{name}: {text:?} is not a number")),
        },
        Err(_) => Ok(None),
    }
}

fn seed_of_clock() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// What is being tried, and since when.
type Current = Option<(Instant, &'static str, Vec<u8>)>;

/// Ends the process when an input takes too long, since nothing else would ever tell which it was.
struct Watchdog {
    current: Arc<Mutex<Current>>,
}

impl Watchdog {
    fn start() -> Self {
        let current: Arc<Mutex<Current>> = Arc::default();
        let watched = Arc::clone(&current);
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let current = watched.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((since, target, input)) = &*current
                    && since.elapsed() > Duration::from_secs(INPUT_SECONDS_MAX)
                {
                    eprintln!("{}", describe_failure(target, input));
                    eprintln!("fuzz-smoke: it takes more than {INPUT_SECONDS_MAX} seconds");
                    std::process::exit(1);
                }
            }
        });
        Self { current }
    }

    /// Runs the target; an error if it panicked, which has been printed.
    fn try_input(&self, target: &Target, input: &[u8]) -> Result<(), ()> {
        self.set(Some((Instant::now(), target.name, input.to_vec())));
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        self.set(None);
        outcome.map_err(|_| ())
    }

    fn set(&self, current: Current) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
    }
}
