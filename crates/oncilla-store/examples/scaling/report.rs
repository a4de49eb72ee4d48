//! The tables.

use std::fmt::Write;
use std::time::Duration;

use crate::background::Background;
use crate::measure::Line;
use crate::site::Outcome;

/// What stands above the tables.
const INTRODUCTION: &str = "# What operations cost in large buckets\n\n\
Made by `make scaling` (`crates/oncilla-store/examples/scaling`); what stands out is discussed in\n\
[docs/performance.md](../docs/performance.md#scaling-of-cost). Two stores with the server's settings stand side by side in\n\
one process, and every operation is called here and there by turns, without a network: wall time and processor time\n\
are medians per operation, the ratio is the median of the alternations' own. Processor time is the whole process's, flushes\n\
and compaction included. Writes are durable, one after the other, so their wall time is mostly that of the device's sync. Memory\n\
and opening are those of a process that only opens the store. Before it opens, the files are in the page cache as the\n\
run left them.\n\n";

/// What opening a store in a new process took.
pub struct Opening {
    pub objects: u64,
    pub open_ms: f64,
    pub opened_mib: f64,
    pub first_get_us: f64,
    pub cold_get_us: f64,
    pub warm_mib: f64,
}

impl Opening {
    /// As one process tells another.
    pub fn line(&self) -> String {
        format!(
            "{} {} {} {} {} {}",
            self.objects,
            self.open_ms,
            self.opened_mib,
            self.first_get_us,
            self.cold_get_us,
            self.warm_mib
        )
    }

    pub fn parse(line: &str) -> Outcome<Self> {
        let numbers: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        let [
            objects,
            open_ms,
            opened_mib,
            first_get_us,
            cold_get_us,
            warm_mib,
        ] = numbers?[..]
        else {
            return Err("the child process told something else".into());
        };
        Ok(Self {
            objects: objects as u64,
            open_ms,
            opened_mib,
            first_get_us,
            cold_get_us,
            warm_mib,
        })
    }
}

/// Everything that was measured.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
    pub background: Vec<Background>,
    pub openings: Vec<Opening>,
    /// Most memory that the measuring process had, with both stores open.
    pub peak_mib: f64,
    load: Option<(u64, Duration)>,
}

impl Report {
    pub fn add(&mut self, lines: Vec<Line>) {
        self.lines.extend(lines);
    }

    pub fn loaded(&mut self, objects: u64, took: Duration) {
        self.load = Some((objects, took));
    }

    pub fn markdown(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_markdown(&mut text);
        text
    }

    fn write_markdown(&self, text: &mut String) -> std::fmt::Result {
        text.write_str(INTRODUCTION)?;
        if let Some((objects, took)) = self.load {
            let per_second = objects as f64 / took.as_secs_f64();
            writeln!(
                text,
                "{objects} objects loaded in {:.0} s ({per_second:.0} per second). Most memory while \
                 measuring, both stores together: {:.0} MiB.\n",
                took.as_secs_f64(),
                self.peak_mib
            )?;
        }
        writeln!(
            text,
            "| Scene | Operation | at 10,000, µs | at many, µs | CPU, µs | CPU, µs | Ratio | Spread |\n\
             |---|---|---:|---:|---:|---:|---:|---|"
        )?;
        for line in &self.lines {
            writeln!(
                text,
                "| {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} to {:.2} |",
                line.scene,
                line.operation,
                line.small_us,
                line.large_us,
                line.small_cpu_us,
                line.large_cpu_us,
                line.ratio,
                line.spread.0,
                line.spread.1
            )?;
        }
        writeln!(
            text,
            "\n| Objects | Opening, ms | Memory then, MiB | First GET, µs | First 1,000 GETs, µs | \
             Memory after 20,000 GETs, MiB |\n|---:|---:|---:|---:|---:|---:|"
        )?;
        for opening in &self.openings {
            writeln!(
                text,
                "| {} | {:.0} | {:.0} | {:.0} | {:.1} | {:.0} |",
                opening.objects,
                opening.open_ms,
                opening.opened_mib,
                opening.first_get_us,
                opening.cold_get_us,
                opening.warm_mib
            )?;
        }
        for background in &self.background {
            writeln!(
                text,
                "\n{:?}: {} extents released; {:.1} s of processor time in flushes and compaction.\n\n\
                 | Operation | p99 quiet, µs | p99 busy, µs | Ratio |\n|---|---:|---:|---:|",
                background.busy,
                background.released_extents,
                background.library_cpu.as_secs_f64()
            )?;
            for line in &background.lines {
                writeln!(
                    text,
                    "| {} | {:.0} | {:.0} | {:.2} |",
                    line.operation, line.quiet_p99_us, line.busy_p99_us, line.ratio
                )?;
            }
        }
        Ok(())
    }

    /// The same as one JSON object. Names and numbers only, so nothing needs escaping.
    pub fn json(&self) -> String {
        let lines: Vec<String> = self
            .lines
            .iter()
            .map(|line| {
                format!(
                    "{{\"scene\":\"{}\",\"operation\":\"{}\",\"small_us\":{:.2},\"large_us\":{:.2},\
                     \"small_cpu_us\":{:.2},\"large_cpu_us\":{:.2},\"ratio\":{:.3},\
                     \"ratio_min\":{:.3},\"ratio_max\":{:.3}}}",
                    line.scene,
                    line.operation,
                    line.small_us,
                    line.large_us,
                    line.small_cpu_us,
                    line.large_cpu_us,
                    line.ratio,
                    line.spread.0,
                    line.spread.1
                )
            })
            .collect();
        let openings: Vec<String> = self
            .openings
            .iter()
            .map(|opening| {
                format!(
                    "{{\"objects\":{},\"open_ms\":{:.1},\"opened_mib\":{:.1},\"first_get_us\":{:.1},\
                     \"cold_get_us\":{:.1},\"warm_mib\":{:.1}}}",
                    opening.objects,
                    opening.open_ms,
                    opening.opened_mib,
                    opening.first_get_us,
                    opening.cold_get_us,
                    opening.warm_mib
                )
            })
            .collect();
        let disturbances = self.background.iter();
        let disturbances =
            disturbances.flat_map(|all| all.lines.iter().map(move |line| (all.busy, line)));
        let disturbances: Vec<String> = disturbances
            .map(|(busy, line)| {
                format!(
                    "{{\"background\":\"{busy:?}\",\"operation\":\"{}\",\"quiet_p99_us\":{:.1},\"busy_p99_us\":{:.1},\
                     \"ratio\":{:.3}}}",
                    line.operation, line.quiet_p99_us, line.busy_p99_us, line.ratio
                )
            })
            .collect();
        format!(
            "{{\"peak_mib\":{:.1},\"lines\":[{}],\"openings\":[{}],\"background\":[{}]}}",
            self.peak_mib,
            lines.join(","),
            openings.join(","),
            disturbances.join(",")
        )
    }
}
