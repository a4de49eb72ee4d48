//! `oncilla bucket versioning`.

use clap::{Args, ValueEnum};
use oncilla_client::{BucketConfiguration, BucketDocument};
use oncilla_wire::xml::versioning::VersioningStatus;

use super::configuration;
use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::location::S3Url;
use crate::output;

/// Whether a bucket keeps what is overwritten and removed as versions: enabled, suspended or off, for which
/// --json has no Status
#[derive(Args, Clone, Debug)]
pub struct VersioningArgs {
    /// The bucket: s3://BUCKET
    #[arg(value_name = "S3_URL")]
    pub url: S3Url,

    /// What to do; without it the state is printed. Versioning that was enabled can only be suspended,
    /// and the versions stay
    #[arg(value_enum)]
    pub change: Option<VersioningChange>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// What can be done with versioning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VersioningChange {
    /// Keep versions from now on
    Enable,
    /// Keep no new ones
    Suspend,
}

/// Runs the command.
pub async fn run(args: VersioningArgs) -> Result<(), Failure> {
    let bucket = &args.url.require_bucket().map_err(Failure::usage)?.bucket;
    let client = args.common.client()?;
    let content = match args.change {
        Some(change) => {
            let status = match change {
                VersioningChange::Enable => VersioningStatus::Enabled,
                VersioningChange::Suspend => VersioningStatus::Suspended,
            };
            let made = BucketConfiguration::from(status.to_xml());
            client
                .put_bucket_document(bucket, BucketDocument::Versioning, made.clone())
                .await?;
            made.content
        }
        None => {
            let present = client
                .bucket_document(bucket, BucketDocument::Versioning)
                .await?;
            present.unwrap_or_default().content
        }
    };
    if args.common.json {
        return configuration::print_json(&content);
    }
    let status = VersioningStatus::parse(&content).map_err(|error| {
        Failure::general(format!(
            "the endpoint's answer makes no sense: {}",
            error.message
        ))
    })?;
    let word = match status {
        VersioningStatus::Unversioned => "off",
        VersioningStatus::Enabled => "enabled",
        VersioningStatus::Suspended => "suspended",
    };
    if args.common.quiet && args.change.is_some() {
        return Ok(());
    }
    output::line(word)
}
