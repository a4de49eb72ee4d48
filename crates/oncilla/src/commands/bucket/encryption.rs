//! `oncilla bucket encryption`.

use clap::Args;
use oncilla_client::BucketDocument;
use oncilla_wire::xml::encryption::{DefaultEncryption, EncryptionConfiguration};

use super::configuration::{self, ConfigurationArgs, Kind};
use crate::commands::attribute_args::SseAlgorithm;
use crate::failure::Failure;

/// How new objects are encrypted whose writer does not say; those that are there stay as they are
#[derive(Args, Clone, Debug)]
pub struct EncryptionArgs {
    /// By keys of the endpoint's own (AES256) or by a KMS key (aws:kms)
    #[arg(long, value_name = "ALGORITHM", value_enum, help_heading = "Rule")]
    pub sse: Option<SseAlgorithm>,

    /// KMS key: id, alias/NAME or ARN; means --sse aws:kms. Without it the endpoint has a default
    #[arg(long, value_name = "KEY", help_heading = "Rule")]
    pub kms_key: Option<String>,

    /// Let objects share a key of the bucket, which spares requests to the key service of AWS
    #[arg(long, help_heading = "Rule")]
    pub bucket_key: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub configuration: ConfigurationArgs,
}

const ENCRYPTION: Kind = Kind {
    name: "encryption",
    document: BucketDocument::Encryption,
    how_to_set: "--sse AES256, or --kms-key alias/NAME, sets it",
};

/// Runs the command.
pub async fn run(args: EncryptionArgs) -> Result<(), Failure> {
    let made = made(&args)?.map(|rule| rule.to_xml().into());
    configuration::run(ENCRYPTION, args.configuration, made).await
}

/// The rule that the flags ask for.
fn made(args: &EncryptionArgs) -> Result<Option<EncryptionConfiguration>, Failure> {
    let default = match (args.sse, args.kms_key.clone()) {
        (Some(SseAlgorithm::Aes256), Some(_)) => {
            return Err(Failure::usage("--kms-key is for --sse aws:kms"));
        }
        (Some(SseAlgorithm::Aes256), None) => DefaultEncryption::S3,
        (Some(SseAlgorithm::AwsKms), key) => DefaultEncryption::Kms(key),
        (None, Some(key)) => DefaultEncryption::Kms(Some(key)),
        (None, None) if args.bucket_key => {
            return Err(Failure::usage("--bucket-key is for --sse aws:kms"));
        }
        (None, None) => return Ok(None),
    };
    Ok(Some(EncryptionConfiguration {
        default: Some(default),
        bucket_key_enabled: args.bucket_key,
        ..EncryptionConfiguration::default()
    }))
}
