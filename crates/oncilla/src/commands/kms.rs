//! `oncilla kms`: the keys of SSE-KMS, and the master key that protects them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use oncilla_keys::KeysError;

use crate::admin_client::{AdminArgs, Door, KmsKey, NewKmsKey};
use crate::failure::Failure;
use crate::output::{self, short_time};
use crate::server::{Foundation, MasterKeyArgs, read_master_key_file};

/// Manage the keys that objects are encrypted by. No command shows a key itself
#[derive(Args, Clone, Debug)]
pub struct KmsArgs {
    #[command(subcommand)]
    command: KmsCommand,
}

#[derive(Subcommand, Clone, Debug)]
enum KmsCommand {
    #[command(subcommand)]
    Key(KeyCommand),
    Rekey(RekeyArgs),
}

/// Manage KMS keys, which requests name by id, alias/NAME or ARN. With --json, list prints one line of
/// JSON per key and the others print one document
#[derive(Subcommand, Clone, Debug)]
enum KeyCommand {
    /// Make a key
    Create {
        /// Its id; one is made up when it is left out
        id: Option<String>,
        /// A further name, by which requests find it as alias/NAME; repeatable
        #[arg(long = "alias", value_name = "NAME")]
        aliases: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// List the keys
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Give a key a new version for what is written from now on; what was written before stays readable
    Rotate(OneKey),
    /// Make a key unusable: objects encrypted by it can be neither written nor read
    Disable(OneKey),
    /// Undo disable
    Enable(OneKey),
}

#[derive(Args, Clone, Debug)]
struct OneKey {
    /// Its id, or alias/NAME
    key: String,
    #[command(flatten)]
    place: Place,
}

/// Where the keys are. The master key is needed where no server runs, and has to be the server's
#[derive(Args, Clone, Debug)]
struct Place {
    #[command(flatten)]
    master: MasterKeyArgs,
    #[command(flatten)]
    admin: AdminArgs,
}

impl KeyCommand {
    fn place(&self) -> &Place {
        match self {
            Self::Create { place, .. } | Self::List { place } => place,
            Self::Rotate(one) | Self::Disable(one) | Self::Enable(one) => &one.place,
        }
    }
}

/// Change the master key: wrap every KMS key by a new one, in one commit. Objects stay as they are.
/// The server must not be running. Where the present key is in DATA/master.key, a new one is made and
/// kept there; otherwise, or to move it elsewhere, --new-master-key-file names a file that has the new
/// one, with which the server is started from then on
#[derive(Args, Clone, Debug)]
struct RekeyArgs {
    /// File that holds the new master key; it is read, never written
    #[arg(long, value_name = "FILE")]
    new_master_key_file: Option<PathBuf>,

    #[command(flatten)]
    master: MasterKeyArgs,

    #[command(flatten)]
    admin: AdminArgs,
}

impl KmsArgs {
    /// The flags that all subcommands have.
    pub fn admin(&self) -> &AdminArgs {
        match &self.command {
            KmsCommand::Key(command) => &command.place().admin,
            KmsCommand::Rekey(args) => &args.admin,
        }
    }
}

/// Runs the command.
pub async fn run(args: KmsArgs) -> Result<(), Failure> {
    let json = args.admin().common.json;
    let command = match args.command {
        KmsCommand::Rekey(args) => return rekey(args).await,
        KmsCommand::Key(ref command) => command.clone(),
    };
    let place = command.place();
    let door = Door::open_with_keys(&place.admin, &place.master).await?;
    let outcome = run_command(&door, command, json).await;
    door.close().await;
    outcome
}

async fn run_command(door: &Door, command: KeyCommand, json: bool) -> Result<(), Failure> {
    let key = match command {
        KeyCommand::List { .. } => {
            for key in door.kms_keys().await? {
                if json {
                    output::json_line(&key)?;
                } else {
                    output::line(&row(&key))?;
                }
            }
            return Ok(());
        }
        KeyCommand::Create { id, aliases, .. } => {
            door.create_kms_key(NewKmsKey { id, aliases }).await?
        }
        KeyCommand::Rotate(one) => door.rotate_kms_key(&one.key).await?,
        KeyCommand::Disable(one) => door.set_kms_key_disabled(&one.key, true).await?,
        KeyCommand::Enable(one) => door.set_kms_key_disabled(&one.key, false).await?,
    };
    if json {
        return output::json_document(&key);
    }
    output::line(&row(&key))
}

async fn rekey(args: RekeyArgs) -> Result<(), Failure> {
    let new = match &args.new_master_key_file {
        Some(path) => Some(read_master_key_file(path).map_err(Failure::usage)?),
        None => None,
    };
    let master_key = args.master.source_of_tool(&args.admin.data);
    let master_key = master_key.map_err(Failure::usage)?;
    let foundation = Foundation::open_existing(&args.admin.data, master_key)
        .await
        .map_err(|error| {
            Failure::general(error)
                .advise("the server must not be running; name its directory with --data")
        })?;
    let outcome = match foundation.store.keys() {
        Ok(keys) => keys.change_master_key(new).await,
        Err(error) => Err(error),
    };
    foundation.store.close().await;
    let keys = outcome.map_err(|error| match error {
        KeysError::NowhereToKeep => Failure::usage(error.to_string()).advise(
            "make one (openssl rand -base64 32 > new.key) and name it with --new-master-key-file",
        ),
        error => Failure::general(error.to_string()),
    })?;
    if args.admin.common.json {
        return output::json_document(&serde_json::json!({ "rewrapped": keys }));
    }
    output::line(&format!("{keys} KMS keys are under the new master key"))
}

fn row(key: &KmsKey) -> String {
    let created = short_time(i64::try_from(key.created_ms).unwrap_or(i64::MAX));
    let state = if key.disabled { "disabled" } else { "enabled" };
    let aliases: Vec<String> = key
        .aliases
        .iter()
        .map(|name| format!(" alias/{name}"))
        .collect();
    let managed = if key.managed {
        " (the server's own)"
    } else {
        ""
    };
    let text = format!(
        "{created} {state:<8} v{:<4} {}{}{managed} {}",
        key.version,
        key.id,
        aliases.concat(),
        key.arn
    );
    text.trim_end().to_owned()
}
