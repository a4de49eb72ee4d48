//! `oncilla storage`: buckets with keys of their own.

use clap::{Args, Subcommand};

use crate::admin_client::{AdminArgs, Bucket, DEFAULT_ENDPOINT_URL, Door, NewStorage};
use crate::configurations::{BucketAccess, ConfigurationFormat};
use crate::failure::Failure;
use crate::output::{self, human_size, short_time};
use crate::question;

/// Make, list and destroy buckets together with keys of their own
#[derive(Args, Clone, Debug)]
pub struct StorageArgs {
    #[command(subcommand)]
    command: StorageCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum StorageCommand {
    Create(CreateArgs),
    List(ListArgs),
    Destroy(DestroyArgs),
}

/// Make a bucket and an Editor key for it alone, and print what a program needs to use it. The
/// secret is shown this once.
#[derive(Args, Clone, Debug)]
struct CreateArgs {
    /// The bucket's name; one is made up when it is left out
    name: Option<String>,

    /// Let anybody read its objects
    #[arg(long)]
    public: bool,

    /// Account that owns it, by name or id [default: the root account]
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    /// What to print; --json means json
    #[arg(long, value_enum, default_value_t)]
    format: ConfigurationFormat,

    #[command(flatten)]
    admin: AdminArgs,
}

/// List the buckets. With --json prints one line of JSON per bucket.
#[derive(Args, Clone, Debug)]
struct ListArgs {
    /// Only those of this account, by name or id
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,

    #[command(flatten)]
    admin: AdminArgs,
}

/// Remove a bucket, and the keys that are for it alone
#[derive(Args, Clone, Debug)]
struct DestroyArgs {
    /// The bucket
    name: String,

    /// Remove the objects in it as well
    #[arg(long)]
    force: bool,

    /// Do not ask, also on a terminal
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    admin: AdminArgs,
}

impl StorageArgs {
    /// The flags that all subcommands have.
    pub fn admin(&self) -> &AdminArgs {
        match &self.command {
            StorageCommand::Create(args) => &args.admin,
            StorageCommand::List(args) => &args.admin,
            StorageCommand::Destroy(args) => &args.admin,
        }
    }
}

/// Runs the command.
pub async fn run(args: StorageArgs) -> Result<(), Failure> {
    let door = Door::open(args.admin()).await?;
    let outcome = match args.command {
        StorageCommand::Create(args) => create(&door, args).await,
        StorageCommand::List(args) => list(&door, args).await,
        StorageCommand::Destroy(args) => destroy(&door, args).await,
    };
    door.close().await;
    outcome
}

async fn create(door: &Door, args: CreateArgs) -> Result<(), Failure> {
    let description = match &args.name {
        Some(name) => format!("made with the bucket {name}"),
        None => "made with its bucket".to_owned(),
    };
    let (name, account, public) = (args.name, args.account, args.public);
    let storage = door
        .create_storage(NewStorage {
            name,
            account,
            public,
            description,
        })
        .await?;
    let common = &args.admin.common;
    let access = BucketAccess {
        bucket: storage.bucket.name,
        endpoint_url: endpoint_url(common.endpoint_url.clone(), storage.endpoint_url),
        region: common.region.clone().unwrap_or(storage.region),
        access_key_id: storage.key.id,
        secret_access_key: storage
            .key
            .secret
            .ok_or_else(|| Failure::general("the server made a key and did not tell its secret"))?,
    };
    let format = if common.json {
        ConfigurationFormat::Json
    } else {
        args.format
    };
    output::bytes(access.render(format).as_bytes())
}

/// Where clients of the bucket connect: as the user says, else as the server says.
fn endpoint_url(given: Option<String>, of_server: Option<String>) -> String {
    given
        .or(of_server)
        .or_else(|| std::env::var("AWS_ENDPOINT_URL_S3").ok())
        .unwrap_or_else(|| DEFAULT_ENDPOINT_URL.to_owned())
}

async fn list(door: &Door, args: ListArgs) -> Result<(), Failure> {
    for bucket in door.buckets(args.account.as_deref()).await? {
        if args.admin.common.json {
            output::json_line(&bucket)?;
            continue;
        }
        let created = short_time(i64::try_from(bucket.created_ms).unwrap_or(i64::MAX));
        let kind = if bucket.public { "public" } else { "private" };
        let size = bucket
            .bytes
            .map(|bytes| format!(" {}", human_size(bytes)))
            .unwrap_or_default();
        output::line(&format!("{created} {kind:<7} {}{size}", bucket.name))?;
    }
    Ok(())
}

async fn destroy(door: &Door, args: DestroyArgs) -> Result<(), Failure> {
    let bucket = door.bucket(&args.name).await?;
    if !args.yes && !confirmed(&bucket)? {
        return Err(Failure::general("nothing was removed"));
    }
    door.destroy_storage(&args.name, args.force)
        .await
        .map_err(|failure| {
            if args.force || bucket.objects == Some(0) {
                return failure;
            }
            failure.advise("--force removes the objects in it as well")
        })?;
    if args.admin.common.json {
        return output::json_document(&serde_json::json!({ "bucket": args.name, "removed": true }));
    }
    if args.admin.common.quiet {
        return Ok(());
    }
    output::line(&format!("Destroyed {}", args.name))
}

fn confirmed(bucket: &Bucket) -> Result<bool, Failure> {
    let name = &bucket.name;
    let answer = question::answer_to(&format!("Type the bucket's name to destroy {name}:"))?;
    Ok(answer.is_none_or(|answer| answer == *name))
}
