//! What operations cost in buckets of millions, as a ratio to what they cost at 10,000 objects.
//!
//! `cargo run --release -p oncilla-store --example scaling -- [--objects N] [--prefixes N]
//! [--versions N] [--rounds N] [--directory DIR] [--json] [--skip-background] [--listings]`
//!
//! Two stores on the real engine stand side by side in one process, one of them small; every
//! operation is done here and there by turns. Tables go to standard output (Markdown, or JSON with
//! `--json`), progress to standard error. The stores are made anew in `DIR` and removed at the end;
//! ten million objects take about 4 GB. `--listings` measures listings only (`make listings`).

mod background;
mod load;
mod measure;
mod report;
mod scenes;
mod site;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use background::Busy;
use measure::{memory_mib, percentile, sample};
use report::{Opening, Report};
use scenes::{Effort, NEIGHBOURS, PART_BYTES, Place, SMALL};
use site::{Outcome, Random, Site};

/// Reads after opening, before the memory is looked at.
const WARM_READS: usize = 20_000;

struct Arguments {
    objects: u64,
    prefixes: u64,
    versions: u64,
    rounds: usize,
    directory: PathBuf,
    json: bool,
    background: bool,
    /// Only listings, and nothing beside them.
    listings: bool,
    /// Only opens the store in this directory, for the parent process.
    open: Option<(PathBuf, u64)>,
}

fn arguments() -> Outcome<Arguments> {
    let mut parsed = Arguments {
        objects: 1_000_000,
        prefixes: 1_000_000,
        versions: 100_000,
        rounds: 7,
        directory: std::env::temp_dir(),
        json: false,
        background: true,
        listings: false,
        open: None,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().ok_or(format!("{name} wants a value"));
        match name.as_str() {
            "--objects" => parsed.objects = value()?.parse()?,
            "--prefixes" => parsed.prefixes = value()?.parse()?,
            "--versions" => parsed.versions = value()?.parse()?,
            "--rounds" => parsed.rounds = value()?.parse()?,
            "--directory" => parsed.directory = value()?.into(),
            "--json" => parsed.json = true,
            "--skip-background" => parsed.background = false,
            "--listings" => parsed.listings = true,
            "--open" => parsed.open = Some((value()?.into(), value()?.parse()?)),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    if parsed.objects < 2 * SMALL || parsed.rounds < 2 {
        return Err("at least 20,000 objects and 2 rounds".into());
    }
    Ok(parsed)
}

fn main() -> Outcome<()> {
    let arguments = arguments()?;
    // One thread for the requests: what they cost is not shared with another that waits.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    if let Some((directory, count)) = &arguments.open {
        return runtime.block_on(open_only(directory, *count));
    }
    let directory = arguments
        .directory
        .join(format!("oncilla-scaling-{}", std::process::id()));
    if arguments.listings {
        let outcome = runtime.block_on(listings(&arguments, &directory));
        std::fs::remove_dir_all(&directory)?;
        return outcome;
    }
    let outcome = runtime.block_on(run(&arguments, &directory));
    std::fs::remove_dir_all(&directory)?;
    let report = outcome?;
    if arguments.json {
        println!("{}", report.json());
    } else {
        print!("{}", report.markdown());
    }
    Ok(())
}

/// Listings of a bucket of many objects: what S3's users wait for.
async fn listings(arguments: &Arguments, directory: &Path) -> Outcome<()> {
    let site = Site::open(&directory.join("large")).await?;
    let bucket = scenes::load_objects(&site, arguments.objects).await?;
    background::settle().await;
    let place = Place {
        site: &site,
        bucket: &bucket,
        count: arguments.objects,
    };
    println!(
        "| {} objects | median, ms | p99, ms | first, ms |",
        arguments.objects
    );
    println!("|---|---:|---:|---:|");
    for (operation, sample) in scenes::listings(place, NEIGHBOURS, 200 * arguments.rounds).await? {
        let first = sample.wall_us.first().copied().unwrap_or_default();
        let [median, p99] = [0.5, 0.99].map(|share| percentile(&sample.wall_us, share));
        println!(
            "| {operation} | {:.3} | {:.3} | {:.3} |",
            median / 1e3,
            p99 / 1e3,
            first / 1e3
        );
    }
    site.close().await;
    Ok(())
}

async fn run(arguments: &Arguments, directory: &Path) -> Outcome<Report> {
    let effort = Effort {
        rounds: arguments.rounds,
        reads: 2_000,
        writes: 200,
        pages: 100,
    };
    let mut report = Report::default();
    let small = Site::open(&directory.join("small")).await?;
    let large = Site::open(&directory.join("large")).await?;
    let small_bucket = scenes::load_objects(&small, SMALL).await?;
    let began = Instant::now();
    let large_bucket = scenes::load_objects(&large, arguments.objects).await?;
    report.loaded(arguments.objects, began.elapsed());
    background::settle().await;
    {
        let (small, large) = (
            Place {
                site: &small,
                bucket: &small_bucket,
                count: SMALL,
            },
            Place {
                site: &large,
                bucket: &large_bucket,
                count: arguments.objects,
            },
        );
        let scene = format!("{} objects", arguments.objects);
        report.add(scenes::objects(&scene, small, large, effort).await?);
        report.add(scenes::deleted_neighbours(small, large, NEIGHBOURS, effort).await?);
    }
    report.add(scenes::prefixes(&small, &large, (SMALL, arguments.prefixes), effort).await?);
    report.add(scenes::parts(&small, PART_BYTES, effort).await?);
    report.add(scenes::versions(&small, arguments.versions, effort).await?);
    let large = Arc::new(large);
    if arguments.background {
        for busy in [Busy::Collection, Busy::Compaction] {
            let disturbed = background::disturb(&large, &large_bucket, arguments.objects, 3, busy);
            report.background.push(disturbed.await?);
        }
    }
    report.peak_mib = memory_mib("VmHWM");
    for (site, count) in [
        (small, SMALL),
        (
            Arc::into_inner(large).ok_or("the store is in use")?,
            arguments.objects,
        ),
    ] {
        let directory = site.directory.clone();
        site.close().await;
        report.openings.push(open_in_child(&directory, count)?);
    }
    Ok(report)
}

/// Opens a store in a process of its own, where nothing is in memory yet but what the operating
/// system keeps of the files.
fn open_in_child(directory: &Path, count: u64) -> Outcome<Opening> {
    let child = Command::new(std::env::current_exe()?)
        .arg("--open")
        .arg(directory)
        .arg(count.to_string())
        .output()?;
    if !child.status.success() {
        return Err(String::from_utf8_lossy(&child.stderr).into());
    }
    Opening::parse(&String::from_utf8(child.stdout)?)
}

async fn open_only(directory: &Path, count: u64) -> Outcome<()> {
    let site = Site::open(directory).await?;
    let opened_mib = memory_mib("VmRSS");
    let bucket = site.store.bucket("objects").await?;
    let mut random = Random(9);
    let mut index = 0;
    let mut get = async || {
        index += 1;
        let name = scenes::any_object(random.below(count), count);
        site.get(&bucket, name.as_bytes()).await.map(|_| ())
    };
    let first = sample(1, &mut get).await?;
    let cold = sample(1_000, &mut get).await?;
    sample(WARM_READS, &mut get).await?;
    let opening = Opening {
        objects: count,
        open_ms: site.open_time.as_secs_f64() * 1e3,
        opened_mib,
        first_get_us: percentile(&first.wall_us, 0.5),
        cold_get_us: percentile(&cold.wall_us, 0.5),
        warm_mib: memory_mib("VmHWM"),
    };
    println!("{}", opening.line());
    site.close().await;
    Ok(())
}
