//! `oncilla bucket public-access`.

use clap::Args;
use oncilla_client::BucketDocument;
use oncilla_wire::xml::public_access::PublicAccessBlock;

use super::configuration::{self, ConfigurationArgs, Kind};
use crate::failure::Failure;

/// What of public access is blocked, whatever ACLs and policies say. The flags under Rule block what they
/// name, and nothing else from then on
#[derive(Args, Clone, Debug)]
pub struct PublicAccessArgs {
    /// Block all public access, as the four flags below do together
    #[arg(long, help_heading = "Rule")]
    pub all: bool,

    /// Refuse to set ACLs that are public
    #[arg(long, help_heading = "Rule")]
    pub block_public_acls: bool,

    /// Let nobody in by an ACL that is public
    #[arg(long, help_heading = "Rule")]
    pub ignore_public_acls: bool,

    /// Refuse to set a policy that is public
    #[arg(long, help_heading = "Rule")]
    pub block_public_policy: bool,

    /// Let only the bucket's own account in while its policy is public
    #[arg(long, help_heading = "Rule")]
    pub restrict_public_buckets: bool,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub configuration: ConfigurationArgs,
}

const PUBLIC_ACCESS: Kind = Kind {
    name: "public-access",
    document: BucketDocument::PublicAccessBlock,
    how_to_set: "--all blocks all public access; --set FILE puts a PublicAccessBlockConfiguration",
};

/// Runs the command.
pub async fn run(args: PublicAccessArgs) -> Result<(), Failure> {
    let block = PublicAccessBlock {
        block_public_acls: args.all || args.block_public_acls,
        ignore_public_acls: args.all || args.ignore_public_acls,
        block_public_policy: args.all || args.block_public_policy,
        restrict_public_buckets: args.all || args.restrict_public_buckets,
    };
    let is_asked_for = block != PublicAccessBlock::default();
    let made = is_asked_for.then(|| block.to_xml().into());
    configuration::run(PUBLIC_ACCESS, args.configuration, made).await
}
