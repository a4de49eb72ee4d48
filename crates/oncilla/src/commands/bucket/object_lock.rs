//! `oncilla bucket object-lock`.

use clap::{Args, ValueEnum};
use oncilla_client::BucketDocument;
use oncilla_wire::object_lock::{
    DefaultRetention, RETENTION_DAYS_MAX, RETENTION_YEARS_MAX, RetentionMode, RetentionPeriod,
};
use oncilla_wire::xml::object_lock::ObjectLockConfiguration;

use super::configuration::{self, ConfigurationArgs, Kind};
use crate::failure::Failure;

/// Whether versions can be locked (Object Lock), and how long new ones are whose writer does not say.
/// What is locked stays locked, and a bucket that has Object Lock keeps it: --delete takes only the
/// retention of new versions away
#[derive(Args, Clone, Debug)]
pub struct ObjectLockArgs {
    /// Lock new versions, with --days or --years; enables Object Lock, which needs versioning
    #[arg(long, value_enum, ignore_case = true, help_heading = "Rule")]
    pub mode: Option<LockMode>,

    /// How many days new versions are locked
    #[arg(
        long,
        value_name = "DAYS",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(RETENTION_DAYS_MAX)),
        requires = "mode",
        conflicts_with = "years",
        help_heading = "Rule"
    )]
    pub days: Option<u32>,

    /// How many years new versions are locked
    #[arg(
        long,
        value_name = "YEARS",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(RETENTION_YEARS_MAX)),
        requires = "mode",
        help_heading = "Rule"
    )]
    pub years: Option<u32>,

    /// Enable Object Lock, which needs versioning, and lock no version unless its writer says so
    #[arg(long, conflicts_with = "mode", help_heading = "Rule")]
    pub enable: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub configuration: ConfigurationArgs,
}

/// Who may shorten a retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LockMode {
    /// Whoever may bypass it and says so
    Governance,
    /// Nobody
    Compliance,
}

const OBJECT_LOCK: Kind = Kind {
    name: "object-lock",
    document: BucketDocument::ObjectLock,
    how_to_set: "--enable, or --mode governance --days 30, sets it for good",
};

/// Runs the command.
pub async fn run(args: ObjectLockArgs) -> Result<(), Failure> {
    let made = made(&args)?.map(|lock| lock.to_xml().into());
    configuration::run(OBJECT_LOCK, args.configuration, made).await
}

/// What the flags ask for.
fn made(args: &ObjectLockArgs) -> Result<Option<ObjectLockConfiguration>, Failure> {
    let Some(mode) = args.mode else {
        return Ok(args.enable.then(ObjectLockConfiguration::default));
    };
    let mode = match mode {
        LockMode::Governance => RetentionMode::Governance,
        LockMode::Compliance => RetentionMode::Compliance,
    };
    let period = match (args.days, args.years) {
        (Some(days), _) => RetentionPeriod::Days(days),
        (None, Some(years)) => RetentionPeriod::Years(years),
        (None, None) => {
            let message = "--mode does not say how long versions are locked";
            return Err(Failure::usage(message).advise("add --days DAYS or --years YEARS"));
        }
    };
    Ok(Some(ObjectLockConfiguration {
        default_retention: Some(DefaultRetention { mode, period }),
    }))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ObjectLockArgs,
    }

    fn lock(flags: &str) -> Option<ObjectLockConfiguration> {
        let line = format!("object-lock s3://b {flags}");
        let line = Line::try_parse_from(line.split_whitespace()).ok()?;
        made(&line.args).ok()?
    }

    #[test]
    fn a_retention_has_a_mode_and_one_length() {
        let retention = |flags| lock(flags).unwrap().default_retention;
        let expected = |mode, period| Some(DefaultRetention { mode, period });
        assert_eq!(
            retention("--mode GOVERNANCE --days 3"),
            expected(RetentionMode::Governance, RetentionPeriod::Days(3))
        );
        assert_eq!(
            retention("--mode compliance --years 100"),
            expected(RetentionMode::Compliance, RetentionPeriod::Years(100))
        );
        assert_eq!(retention("--enable"), None);
        for wrong in [
            "--mode governance",
            "--days 3",
            "--mode governance --days 0",
            "--mode governance --years 101",
            "--mode governance --days 3 --years 1",
            "--mode governance --days 3 --enable",
        ] {
            assert_eq!(lock(wrong), None, "{wrong}");
        }
    }
}
