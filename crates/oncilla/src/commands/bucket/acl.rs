//! `oncilla bucket acl`.

use clap::Args;
use oncilla_client::BucketDocument;

use super::configuration::{self, ConfigurationArgs, Kind};
use crate::failure::Failure;

/// Who may read and write the bucket by its access control list, where its ownership leaves that to
/// lists. --delete makes it private
#[derive(Args, Clone, Debug)]
pub struct AclArgs {
    /// Put a canned ACL: private, public-read, public-read-write or authenticated-read
    #[arg(long, value_name = "ACL", help_heading = "Rule")]
    pub canned: Option<String>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub configuration: ConfigurationArgs,
}

const ACL: Kind = Kind {
    name: "acl",
    document: BucketDocument::Acl,
    how_to_set: "--canned public-read sets it; --set FILE puts an AccessControlPolicy",
};

/// Runs the command. A canned ACL is a header of a request without a document.
pub async fn run(args: AclArgs) -> Result<(), Failure> {
    let configuration = args.configuration;
    let Some(canned) = args.canned else {
        return configuration::run(ACL, configuration, None).await;
    };
    configuration.require_no_other_change()?;
    let bucket = configuration.bucket()?;
    let client = configuration.common.client()?;
    client.put_canned_bucket_acl(bucket, &canned).await?;
    configuration::report("set", ACL, bucket, &configuration.common)
}
