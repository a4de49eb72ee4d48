//! The report for people.

use std::fmt::Write;

use oncilla_bench::report::{Percentiles, Report, Stats};

use crate::output::one_line;

/// Errors shown per target; the rest is in `--json`.
const ERRORS_SHOWN_MAX: usize = 5;

/// A rate in decimal units, with the binary one beside it.
pub fn rate_text(bytes_per_s: f64) -> String {
    let mib_per_s = bytes_per_s / (1024.0 * 1024.0);
    if bytes_per_s >= 1e9 {
        return format!("{:.2} GB/s ({mib_per_s:.0} MiB/s)", bytes_per_s / 1e9);
    }
    format!("{:.1} MB/s ({mib_per_s:.1} MiB/s)", bytes_per_s / 1e6)
}

/// The whole report.
pub fn report_text(report: &Report) -> String {
    let mut text = String::new();
    let settings = &report.settings;
    let _ = writeln!(
        text,
        "{}: {}, {}, {} of {}, seed {}",
        report.operation,
        counted(settings.concurrency as u64, "connection"),
        counted(settings.threads as u64, "thread"),
        counted(settings.objects, "object"),
        settings.size,
        settings.seed
    );
    for target in &report.targets {
        let rounds = match target.rounds.len() {
            1 => String::new(),
            count => format!(", {count} rounds together"),
        };
        let _ = writeln!(
            text,
            "\n{} ({}){rounds}",
            target.name,
            target.urls.join(", ")
        );
        stats_text(&mut text, &target.total);
    }
    if let Some(comparison) = &report.comparison {
        comparison_text(&mut text, comparison);
    }
    if report.interrupted {
        text.push_str("\ninterrupted\n");
    }
    text
}

fn stats_text(text: &mut String, stats: &Stats) {
    let _ = writeln!(
        text,
        "  operations  {} in {:.2} s, {:.1}/s",
        stats.operations, stats.elapsed_s, stats.operations_per_s
    );
    // Without an operation that succeeded, these are bytes of what failed.
    if stats.bytes > 0 && stats.operations > 0 {
        let _ = writeln!(text, "  throughput  {}", rate_text(stats.bytes_per_s));
    }
    percentiles_text(text, "latency", stats.latency_ms);
    percentiles_text(text, "first byte", stats.first_byte_ms);
    if stats.by_operation.len() > 1 {
        for (kind, one) in &stats.by_operation {
            let _ = writeln!(
                text,
                "  {kind:<10}  {:.1}/s, {}",
                one.operations_per_s,
                counted(one.errors, "error")
            );
            percentiles_text(text, "", one.latency_ms);
        }
    }
    if stats.reconnects > 0 {
        let _ = writeln!(text, "  reconnects  {}", stats.reconnects);
    }
    let _ = writeln!(text, "  errors      {}", stats.errors);
    for error in stats.errors_by_code.iter().take(ERRORS_SHOWN_MAX) {
        let _ = writeln!(
            text,
            "    {} x {}: {}",
            error.count,
            one_line(&error.code),
            one_line(&error.first_message)
        );
    }
    let more = stats.errors_by_code.len().saturating_sub(ERRORS_SHOWN_MAX);
    if more > 0 {
        let _ = writeln!(text, "    and {}", counted(more as u64, "other code"));
    }
}

fn percentiles_text(text: &mut String, title: &str, percentiles: Option<Percentiles>) {
    let Some(p) = percentiles else { return };
    let _ = writeln!(
        text,
        "  {title:<10}  p50 {}  p90 {}  p99 {}  p99.9 {}  max {} ms",
        figure(p.p50),
        figure(p.p90),
        figure(p.p99),
        figure(p.p999),
        figure(p.max)
    );
}

fn comparison_text(text: &mut String, comparison: &oncilla_bench::compare::Comparison) {
    let _ = writeln!(
        text,
        "\nmedians; ratio to {} per round: median (least..greatest)",
        comparison.baseline
    );
    for metric in &comparison.metrics {
        let mut line = format!("  {:<18}", metric.metric);
        for target in &metric.targets {
            let median = target.median.map_or("-".to_owned(), figure);
            let _ = write!(line, "  {} {median}", target.name);
            if target.name == comparison.baseline {
                continue;
            }
            if let (Some(ratio), Some(min), Some(max)) =
                (target.ratio, target.ratio_min, target.ratio_max)
            {
                let _ = write!(line, " = {ratio:.2} ({min:.2}..{max:.2})");
            }
        }
        let _ = writeln!(text, "{line}  [{} is better]", metric.better);
    }
}

/// A number of things, whose name ends in `s` if they are not one.
fn counted(count: u64, thing: &str) -> String {
    match count {
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}

/// Three or so significant digits.
fn figure(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ if value >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_several() {
        let texts = [0, 1, 2].map(|count| counted(count, "thread"));
        assert_eq!(texts, ["0 threads", "1 thread", "2 threads"]);
    }

    #[test]
    fn rates_and_figures() {
        assert_eq!(rate_text(1_048_576.0), "1.0 MB/s (1.0 MiB/s)");
        assert_eq!(rate_text(2.5e9), "2.50 GB/s (2384 MiB/s)");
        let figures = [1234.5, 12.34, 1.234, 0.01234].map(figure);
        assert_eq!(figures, ["1234", "12.3", "1.23", "0.012"]);
    }
}
