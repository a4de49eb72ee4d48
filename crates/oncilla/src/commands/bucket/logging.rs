//! `oncilla bucket logging`.

use clap::Args;
use oncilla_client::BucketDocument;
use oncilla_wire::xml::XmlWriter;

use super::configuration::{self, ConfigurationArgs, Kind};
use crate::failure::Failure;
use crate::location::S3Url;

/// Where the access log of the bucket goes
#[derive(Args, Clone, Debug)]
pub struct LoggingArgs {
    /// Put the log into this bucket, in objects whose keys begin with PREFIX
    #[arg(long, value_name = "s3://BUCKET/PREFIX", help_heading = "Rule")]
    pub target: Option<S3Url>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub configuration: ConfigurationArgs,
}

const LOGGING: Kind = Kind {
    name: "logging",
    document: BucketDocument::Logging,
    how_to_set: "--target s3://LOGS/PREFIX sets it",
};

/// Runs the command.
pub async fn run(args: LoggingArgs) -> Result<(), Failure> {
    let made = args.target.as_ref().map(|target| to_xml(target).into());
    configuration::run(LOGGING, args.configuration, made).await
}

/// Without a key format: S3 has a default, and not every endpoint knows the element.
fn to_xml(target: &S3Url) -> Vec<u8> {
    let mut xml = XmlWriter::with_capacity(384);
    xml.open_root("BucketLoggingStatus");
    xml.open("LoggingEnabled");
    xml.text("TargetBucket", &target.bucket);
    xml.text("TargetPrefix", &target.key);
    xml.close("LoggingEnabled");
    xml.close("BucketLoggingStatus");
    xml.finish()
}
