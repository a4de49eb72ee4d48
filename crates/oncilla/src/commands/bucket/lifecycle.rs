//! `oncilla bucket lifecycle`.

use clap::Args;
use oncilla_client::{BucketConfiguration, BucketDocument};
use oncilla_wire::xml::lifecycle::{
    Expiration, LifecycleConfiguration, LifecycleFilter, LifecycleRule, NoncurrentExpiration,
};

use super::configuration::{self, ConfigurationArgs, Kind};
use crate::failure::Failure;

/// What becomes of objects with time. --expire-days and the other flags under Rule add one rule for a
/// prefix, in place of the one that they made for the same prefix before; other rules stay
#[derive(Args, Clone, Debug)]
pub struct LifecycleArgs {
    /// Remove objects so many days after they were written
    #[arg(long, value_name = "DAYS", value_parser = days, help_heading = "Rule")]
    pub expire_days: Option<u32>,

    /// Remove versions so many days after they were overwritten or removed
    #[arg(long, value_name = "DAYS", value_parser = days, help_heading = "Rule")]
    pub expire_noncurrent_days: Option<u32>,

    /// Give multipart uploads up that are not completed so many days after they were begun
    #[arg(long, value_name = "DAYS", value_parser = days, help_heading = "Rule")]
    pub abort_uploads_days: Option<u32>,

    /// Only what has a key that begins with this
    #[arg(long, value_name = "PREFIX", help_heading = "Rule")]
    pub prefix: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub configuration: ConfigurationArgs,
}

const LIFECYCLE: Kind = Kind {
    name: "lifecycle",
    document: BucketDocument::Lifecycle,
    how_to_set: "--expire-days 30 --prefix tmp/ adds a rule; --set FILE puts a LifecycleConfiguration",
};

fn days(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(days @ 1..) => Ok(days),
        _ => Err("a whole number of days from 1 is needed".to_owned()),
    }
}

/// Runs the command.
pub async fn run(args: LifecycleArgs) -> Result<(), Failure> {
    let Some(rule) = new_rule(&args)? else {
        return configuration::run(LIFECYCLE, args.configuration, None).await;
    };
    args.configuration.require_no_other_change()?;
    let bucket = args.configuration.bucket()?;
    let client = args.configuration.common.client()?;
    let present = client
        .bucket_document(bucket, BucketDocument::Lifecycle)
        .await?;
    let made = match present {
        None => with_rule(LifecycleConfiguration::default(), rule)
            .to_xml()
            .into(),
        Some(present) => BucketConfiguration {
            content: with_rule(parse(&present.content)?, rule).to_xml().into(),
            ..present
        },
    };
    configuration::run(LIFECYCLE, args.configuration, Some(made)).await
}

fn parse(present: &[u8]) -> Result<LifecycleConfiguration, Failure> {
    LifecycleConfiguration::parse(present).map_err(|error| {
        Failure::general(format!(
            "the present rules cannot be added to: {}",
            error.message
        ))
        .advise("print them, add the rule by hand, and put them back with --set")
    })
}

/// The rule that the flags ask for.
fn new_rule(args: &LifecycleArgs) -> Result<Option<LifecycleRule>, Failure> {
    let expiration = args.expire_days.map(Expiration::Days);
    let noncurrent_expiration = args
        .expire_noncurrent_days
        .map(|days| NoncurrentExpiration {
            days,
            newer_versions: None,
        });
    let has_action = expiration.is_some()
        || noncurrent_expiration.is_some()
        || args.abort_uploads_days.is_some();
    if !has_action {
        return match args.prefix {
            Some(_) => Err(Failure::usage("--prefix alone says nothing of what to do")
                .advise("add --expire-days DAYS")),
            None => Ok(None),
        };
    }
    let prefix = args.prefix.clone().unwrap_or_default();
    Ok(Some(LifecycleRule {
        id: format!("oncilla:{prefix}"),
        enabled: true,
        filter: LifecycleFilter {
            prefix: Some(prefix),
            ..LifecycleFilter::default()
        },
        expiration,
        noncurrent_expiration,
        abort_uploads_days: args.abort_uploads_days,
        ..LifecycleRule::default()
    }))
}

fn with_rule(mut present: LifecycleConfiguration, rule: LifecycleRule) -> LifecycleConfiguration {
    present.rules.retain(|other| other.id != rule.id);
    present.rules.push(rule);
    present
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: LifecycleArgs,
    }

    fn rule(flags: &str) -> Result<Option<LifecycleRule>, Failure> {
        let line = format!("lifecycle s3://b {flags}");
        new_rule(&Line::parse_from(line.split_whitespace()).args)
    }

    #[test]
    fn a_rule_takes_the_place_of_that_for_the_same_prefix() {
        let first = rule("--expire-days 30 --prefix tmp/").unwrap().unwrap();
        let other = rule("--abort-uploads-days 7").unwrap().unwrap();
        let again = rule("--expire-days 5 --prefix tmp/").unwrap().unwrap();
        let mut rules = LifecycleConfiguration::default();
        for rule in [first, other.clone(), again.clone()] {
            rules = with_rule(rules, rule);
        }
        assert_eq!(rules.rules, [other, again]);
        let read = LifecycleConfiguration::parse(&rules.to_xml()).unwrap();
        assert_eq!(read, rules);
    }

    #[test]
    fn a_rule_has_something_to_do() {
        assert!(rule("").unwrap().is_none());
        assert!(rule("--prefix tmp/").is_err());
        assert!(days("0").is_err() && days("-1").is_err() && days("1").is_ok());
    }
}
