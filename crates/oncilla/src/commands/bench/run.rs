//! The course of a run: claim, prepare, measure in turns, clean up, report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oncilla_bench::Task;
use oncilla_bench::compare::Comparison;
use oncilla_bench::contents::Contents;
use oncilla_bench::keys::ObjectName;
use oncilla_bench::report::{FORMAT, Report, Settings, Stats, TargetReport};
use oncilla_bench::round::{RoundError, RoundResult, run_round};
use oncilla_bench::stats::Record;
use oncilla_bench::workload::{Kind, Operation, Workload};
use oncilla_client::exit_code;
use tokio::signal::unix::{SignalKind, signal};

use super::BenchArgs;
use super::bar::RoundBar;
use super::endpoints::EndpointSpec;
use super::print::report_text;
use super::subject::Subject;
use crate::failure::{Failure, INTERRUPTED};
use crate::output;

/// Everything of a run that stays the same.
struct Course<'a> {
    args: &'a BenchArgs,
    workload: Arc<Workload>,
    contents: Contents,
    stop: Arc<AtomicBool>,
}

/// Runs the command.
pub async fn run(args: BenchArgs) -> Result<(), Failure> {
    let workload = args.workload()?;
    let prefix = match &args.prefix {
        Some(prefix) => prefix.clone(),
        None => format!("oncilla-bench/{:08x}/", random_u32()?),
    };
    let mut subjects = subjects(&args, &prefix)?;
    let course = Course {
        args: &args,
        contents: Contents::new(workload.seed),
        workload: Arc::new(workload),
        stop: Arc::new(AtomicBool::new(false)),
    };
    stop_on_signals(course.stop.clone())?;

    let outcome = course.measure(&mut subjects).await;
    let mut problems = Vec::new();
    if !args.keep {
        for subject in subjects.iter_mut().filter(|subject| subject.prepares) {
            problems.extend(subject.remove_objects().await);
        }
        // Two targets may share a bucket, which is empty only now.
        for subject in subjects.iter().filter(|subject| subject.made_bucket) {
            problems.extend(subject.remove_bucket().await);
        }
    }
    for problem in &problems {
        Failure::general(problem).report();
    }
    outcome?;

    let report = course.report(&subjects, &prefix);
    if args.common.json {
        output::json_document(&report)?;
    } else {
        output::text(&report_text(&report))?;
    }
    if report.interrupted {
        return Err(Failure::reported(INTERRUPTED));
    }
    let idle = report
        .targets
        .iter()
        .filter(|target| target.total.operations == 0);
    for target in idle.clone() {
        Failure::general(format!(
            "{}: no operation ended within the measured time: raise --duration, or use --operations",
            target.name
        ))
        .report();
    }
    let failed = idle.count() > 0 || report.targets.iter().any(|target| target.total.errors > 0);
    if failed || !problems.is_empty() {
        return Err(Failure::reported(exit_code::GENERAL));
    }
    Ok(())
}

/// The targets: one of all endpoints, or with --compare one of each name.
fn subjects(args: &BenchArgs, prefix: &str) -> Result<Vec<Subject>, Failure> {
    let specs = match args.endpoint.as_slice() {
        [] => vec![EndpointSpec::default()],
        specs => specs.to_vec(),
    };
    let mut named: Vec<(String, Vec<EndpointSpec>)> = Vec::new();
    for spec in specs {
        let name = match &spec.name {
            Some(name) => name.clone(),
            None if spec.url.is_empty() => "endpoint".to_owned(),
            None => {
                let host = spec.url.split("://").nth(1).unwrap_or_default();
                host.split('/').next().unwrap_or_default().to_owned()
            }
        };
        match named
            .iter_mut()
            .find(|(known, _)| !args.compare || *known == name)
        {
            Some((_, specs)) => specs.push(spec),
            None => named.push((name, vec![spec])),
        }
    }
    if args.compare && named.len() < 2 {
        return Err(Failure::usage(
            "--compare needs two endpoints: --endpoint a=URL --endpoint b=URL",
        ));
    }
    // Below the prefix each target has one of its own: a server can be compared with itself.
    let prefix_of = |index: usize| match args.compare {
        true => format!("{prefix}{index}/"),
        false => prefix.to_owned(),
    };
    let subjects = named.into_iter().enumerate();
    subjects
        .map(|(index, (name, specs))| Subject::new(name, &specs, args, &prefix_of(index)))
        .collect()
}

/// The first Ctrl-C, or a polite request to end, ends the measurement; the second does not wait for
/// cleaning up.
fn stop_on_signals(stop: Arc<AtomicBool>) -> Result<(), Failure> {
    let cannot = |error| Failure::general(format!("cannot handle signals: {error}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if stop.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(INTERRUPTED));
            }
        }
    });
    Ok(())
}

impl Course<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    async fn measure(&self, subjects: &mut [Subject]) -> Result<(), Failure> {
        let operation = &self.workload.operation;
        let only_new_objects = [Kind::Put, Kind::Multipart]
            .iter()
            .any(|kind| *operation == Operation::Only(*kind));
        let per_round = *operation == Operation::Only(Kind::Delete);
        for subject in subjects.iter_mut().filter(|subject| subject.prepares) {
            if self.is_stopped() {
                return Ok(());
            }
            subject.claim().await?;
            if per_round || (only_new_objects && !self.workload.overwrite) {
                continue;
            }
            self.prepare(subject)?;
        }
        for round in 0..self.args.rounds() {
            for subject in subjects.iter_mut() {
                if per_round && !self.is_stopped() {
                    self.prepare(subject)?;
                }
                if self.is_stopped() {
                    return Ok(());
                }
                let record = self.round(subject, round)?;
                subject.rounds.push(Stats::of(&record));
                subject.records.push(record);
            }
        }
        Ok(())
    }

    fn prepare(&self, subject: &mut Subject) -> Result<(), Failure> {
        let count = self.workload.objects;
        subject.will_prepare(count);
        let title = format!("{}: preparing", subject.target.name);
        let mut result = self.step(subject, Task::Prepare { count }, 0, title, Some(count))?;
        subject.remember(&mut result);
        Ok(())
    }

    fn round(&self, subject: &mut Subject, number: u32) -> Result<Record, Failure> {
        let title = format!("{}: round {}", subject.target.name, number + 1);
        let mut result = self.step(
            subject,
            Task::Measure,
            number,
            title,
            self.workload.operations,
        )?;
        let mut record = std::mem::take(&mut result.record);
        let written = std::mem::take(&mut result.left);
        if self.workload.verify && self.workload.operation.writes() && !result.interrupted {
            let mut objects = written.clone();
            if self.workload.overwrite {
                objects.extend((0..self.workload.objects).map(ObjectName::Prepared));
            }
            let count = objects.len() as u64;
            let title = format!("{}: reading back", subject.target.name);
            let task = Task::ReadBack(Arc::new(objects));
            let read = self.step(subject, task, number, title, Some(count))?;
            record.merge_errors(&read.record);
        }
        result.left = written;
        subject.remember(&mut result);
        Ok(record)
    }

    fn step(
        &self,
        subject: &Subject,
        task: Task,
        number: u32,
        title: String,
        operations: Option<u64>,
    ) -> Result<RoundResult, Failure> {
        let duration = match task {
            Task::Measure => self.workload.duration,
            _ => None,
        };
        let bar = RoundBar::new(
            self.args.common.shows_progress(),
            title,
            duration,
            operations,
        );
        let result = tokio::task::block_in_place(|| {
            run_round(
                &subject.target,
                &self.workload,
                &self.contents,
                task,
                number,
                &self.stop,
                &|progress| bar.show(progress),
            )
        });
        bar.finish();
        result.map_err(|error| failure(&subject.target.name, error))
    }

    fn report(&self, subjects: &[Subject], prefix: &str) -> Report {
        let targets = subjects.iter().map(|subject| {
            let mut total = Record::default();
            for record in &subject.records {
                total.merge(record);
            }
            TargetReport {
                name: subject.target.name.clone(),
                urls: subject.urls.clone(),
                signed: subject.signed,
                bucket: subject.bucket.clone(),
                prepared: subject.prepares,
                total: Stats::of(&total),
                rounds: subject.rounds.clone(),
            }
        });
        let compared: Vec<(&str, &[Stats])> = subjects
            .iter()
            .map(|subject| (subject.target.name.as_str(), subject.rounds.as_slice()))
            .collect();
        let args = self.args;
        Report {
            format: FORMAT,
            operation: self.workload.operation.name(),
            version: env!("CARGO_PKG_VERSION"),
            settings: Settings::new(&self.workload, &args.bucket, prefix, args.rounds()),
            interrupted: self.is_stopped(),
            targets: targets.collect(),
            comparison: args.compare.then(|| Comparison::of(&compared)).flatten(),
        }
    }
}

/// What ended a step, with the exit status that other commands have for it.
fn failure(target: &str, error: RoundError) -> Failure {
    let exit_code = match &error {
        RoundError::Prepare(cause) if cause.is_connection => exit_code::NETWORK,
        RoundError::Prepare(cause) => match cause.code.as_str() {
            "AccessDenied" | "SignatureDoesNotMatch" | "InvalidAccessKeyId" => exit_code::AUTH,
            "NoSuchBucket" => exit_code::NOT_FOUND,
            "SlowDown" => exit_code::RATE_LIMIT,
            _ => exit_code::GENERAL,
        },
        RoundError::Thread(_) | RoundError::ThreadLost => exit_code::GENERAL,
    };
    Failure {
        message: format!("{target}: {error}"),
        advice: None,
        exit_code,
    }
}

fn random_u32() -> Result<u32, Failure> {
    getrandom::u32().map_err(|error| Failure::general(format!("no random numbers: {error}")))
}
