//! `oncilla bucket ownership`.

use clap::{Args, ValueEnum};
use oncilla_client::BucketDocument;
use oncilla_wire::xml::ownership::ObjectOwnership;

use super::configuration::{self, ConfigurationArgs, Kind};
use crate::failure::Failure;

/// Who owns the objects that others write into the bucket, and whether ACLs count
#[derive(Args, Clone, Debug)]
pub struct OwnershipArgs {
    /// BucketOwnerEnforced, with which ACLs do not count, BucketOwnerPreferred or ObjectWriter
    #[arg(
        long,
        value_name = "OWNERSHIP",
        value_enum,
        ignore_case = true,
        help_heading = "Rule"
    )]
    pub object_ownership: Option<Ownership>,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub configuration: ConfigurationArgs,
}

/// Whose objects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ownership {
    /// The bucket's owner's, and ACLs do not count
    #[value(name = "BucketOwnerEnforced")]
    BucketOwnerEnforced,
    /// The bucket's owner's where the writer sends the ACL bucket-owner-full-control, else the writer's
    #[value(name = "BucketOwnerPreferred")]
    BucketOwnerPreferred,
    /// Their writer's
    #[value(name = "ObjectWriter")]
    ObjectWriter,
}

const OWNERSHIP: Kind = Kind {
    name: "ownership",
    document: BucketDocument::OwnershipControls,
    how_to_set: "--object-ownership BucketOwnerEnforced sets it; --set FILE puts OwnershipControls",
};

/// Runs the command.
pub async fn run(args: OwnershipArgs) -> Result<(), Failure> {
    let made = args.object_ownership.map(|ownership| {
        let ownership = match ownership {
            Ownership::BucketOwnerEnforced => ObjectOwnership::BucketOwnerEnforced,
            Ownership::BucketOwnerPreferred => ObjectOwnership::BucketOwnerPreferred,
            Ownership::ObjectWriter => ObjectOwnership::ObjectWriter,
        };
        ownership.to_xml().into()
    });
    configuration::run(OWNERSHIP, args.configuration, made).await
}
