//! `oncilla bucket`: how a bucket behaves.

mod acl;
mod configuration;
mod cors;
mod encryption;
mod lifecycle;
mod logging;
mod object_lock;
mod ownership;
mod public_access;
mod versioning;
mod website;

use clap::{Args, Subcommand};
use oncilla_client::BucketDocument;

use self::acl::AclArgs;
use self::configuration::{ConfigurationArgs, Kind};
use self::cors::CorsArgs;
use self::encryption::EncryptionArgs;
use self::lifecycle::LifecycleArgs;
use self::logging::LoggingArgs;
use self::object_lock::ObjectLockArgs;
use self::ownership::OwnershipArgs;
use self::public_access::PublicAccessArgs;
use self::versioning::VersioningArgs;
use self::website::WebsiteArgs;
use crate::common_args::CommonArgs;
use crate::failure::Failure;

/// Show and change how a bucket behaves, at any S3 endpoint. Each command prints what is set, unless
/// it is told to change it; what it prints can be edited and given back with --set, which takes the JSON of
/// the AWS CLI too. With --json prints one document, as `aws s3api get-bucket-…` does. Exits with status 3
/// if nothing is set. Tags are changed by `oncilla tag`
#[derive(Args, Clone, Debug)]
pub struct BucketArgs {
    #[command(subcommand)]
    command: BucketCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum BucketCommand {
    Versioning(VersioningArgs),
    Lifecycle(LifecycleArgs),
    /// Who may do what with the bucket and its objects: a bucket policy, which is JSON
    Policy(ConfigurationArgs),
    Cors(CorsArgs),
    Encryption(EncryptionArgs),
    /// Where events of the bucket are sent
    Notification(ConfigurationArgs),
    Website(WebsiteArgs),
    Logging(LoggingArgs),
    Acl(AclArgs),
    Ownership(OwnershipArgs),
    PublicAccess(PublicAccessArgs),
    ObjectLock(ObjectLockArgs),
}

const POLICY: Kind = Kind {
    name: "policy",
    document: BucketDocument::Policy,
    how_to_set: "--set FILE puts a policy; - reads it from standard input",
};

const NOTIFICATION: Kind = Kind {
    name: "notification",
    document: BucketDocument::Notification,
    how_to_set: "--set FILE puts a NotificationConfiguration; its targets are named in the server's configuration",
};

impl BucketArgs {
    /// The flags that all subcommands have.
    pub fn common(&self) -> &CommonArgs {
        match &self.command {
            BucketCommand::Versioning(args) => &args.common,
            BucketCommand::Lifecycle(args) => &args.configuration.common,
            BucketCommand::Cors(args) => &args.configuration.common,
            BucketCommand::Encryption(args) => &args.configuration.common,
            BucketCommand::Website(args) => &args.configuration.common,
            BucketCommand::Logging(args) => &args.configuration.common,
            BucketCommand::Acl(args) => &args.configuration.common,
            BucketCommand::Ownership(args) => &args.configuration.common,
            BucketCommand::PublicAccess(args) => &args.configuration.common,
            BucketCommand::ObjectLock(args) => &args.configuration.common,
            BucketCommand::Policy(args) | BucketCommand::Notification(args) => &args.common,
        }
    }
}

/// Runs the command.
pub async fn run(args: BucketArgs) -> Result<(), Failure> {
    match args.command {
        BucketCommand::Versioning(args) => versioning::run(args).await,
        BucketCommand::Lifecycle(args) => lifecycle::run(args).await,
        BucketCommand::Policy(args) => configuration::run(POLICY, args, None).await,
        BucketCommand::Cors(args) => cors::run(args).await,
        BucketCommand::Encryption(args) => encryption::run(args).await,
        BucketCommand::Notification(args) => configuration::run(NOTIFICATION, args, None).await,
        BucketCommand::Website(args) => website::run(args).await,
        BucketCommand::Logging(args) => logging::run(args).await,
        BucketCommand::Acl(args) => acl::run(args).await,
        BucketCommand::Ownership(args) => ownership::run(args).await,
        BucketCommand::PublicAccess(args) => public_access::run(args).await,
        BucketCommand::ObjectLock(args) => object_lock::run(args).await,
    }
}
