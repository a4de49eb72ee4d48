//! Administration of a server: accounts, keys, and buckets with their owners.
//!
//! There are three doors, tried in this order:
//! 1. `--endpoint-url`, when it is given: `/-/admin/v1` with the root account's credentials;
//! 2. the socket `<data>/admin.sock` of a server that runs on this machine, without credentials:
//!    whoever may open the file may administer;
//! 3. `/-/admin/v1` at the endpoint that the environment or a profile names, if there is no data
//!    directory here;
//! 4. the data directory itself, under its lock, when no server runs.
//!
//! The API behind the first three, JSON both ways, below `/-/admin/v1`; `{account}` is an id or a name:
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /accounts?after=ID&limit=N`, `POST /accounts` ([`NewAccount`]) | [`Page`] of [`Account`], [`Account`] |
//! | `GET`, `DELETE /accounts/{account}` | [`Account`], nothing |
//! | `POST /accounts/{account}/disable`, `…/enable` | [`Account`] |
//! | `GET /keys?account=…&after=ID&limit=N`, `POST /keys` ([`NewKey`]) | [`Page`] of [`Key`], [`Key`] with secret |
//! | `GET`, `DELETE /keys/{id}` | [`Key`], nothing |
//! | `POST /keys/{id}/disable`, `…/enable`, `…/rotate` | [`Key`]; with secret after `rotate` |
//! | `PUT /keys/{id}/grants` (list of [`Grant`]) | [`Key`] |
//! | `GET /kms/keys`, `POST /kms/keys` ([`NewKmsKey`]) | [`Page`] of [`KmsKey`], [`KmsKey`] |
//! | `POST /kms/keys/{id}/rotate`, `…/disable`, `…/enable` | [`KmsKey`] |
//! | `GET /buckets?account=…&after=NAME&limit=N`, `GET /buckets/{name}` | [`Page`] of [`Bucket`], [`Bucket`] |
//! | `POST /storage` ([`NewStorage`]), `DELETE /storage/{name}?force=true` | [`Storage`], nothing: a bucket with the keys for it alone |
//!
//! A refusal is `{"error": {"code": "NoSuchAccount", "message": "…"}}` with a fitting status.

mod direct;
mod http_door;

use std::path::{Path, PathBuf};

use clap::Args;
use oncilla_client::exit_code;
use oncilla_iam::{Grant, KeyUser, Role};
use serde::{Deserialize, Serialize};

use crate::common_args::CommonArgs;
use crate::failure::Failure;
use crate::server::{MasterKeyArgs, master_key_kept_in};
use direct::DirectDoor;
use http_door::HttpDoor;
use oncilla_keys::MasterKeySource;

/// Rows per page: what the engine hands out at once.
const PAGE_ITEMS: usize = 1000;

/// Where a server of this machine listens unless it is told otherwise.
pub const DEFAULT_ENDPOINT_URL: &str = "http://127.0.0.1:9000";

/// Where the administration is.
#[derive(Args, Clone, Debug)]
pub struct AdminArgs {
    /// Data directory of the server on this machine
    #[arg(
        long,
        value_name = "DIR",
        env = "ONCILLA_DATA",
        default_value = "./oncilla-data",
        help_heading = "Server"
    )]
    pub data: PathBuf,

    #[command(flatten)]
    #[allow(missing_docs)]
    pub common: CommonArgs,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Canonical user id.
    pub id: String,
    /// Display name, unique.
    pub name: String,
    /// E-mail address, unique.
    #[serde(default)]
    pub email: Option<String>,
    /// Creation in Unix milliseconds.
    pub created_ms: u64,
    /// Whether none of its keys works.
    pub disabled: bool,
}

/// What an account is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewAccount {
    /// Display name.
    pub name: String,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// An access key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Access key id.
    pub id: String,
    /// The secret: only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Id of its account.
    pub account_id: String,
    /// What people wrote about it.
    #[serde(default)]
    pub description: String,
    /// Roles by bucket.
    pub grants: Vec<Grant>,
    /// Id of the IAM user whose key it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// That user, in answers that read keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<KeyUser>,
    /// ARNs of policies that are attached to the key itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Creation in Unix milliseconds.
    pub created_ms: u64,
    /// Whether it does not work.
    pub disabled: bool,
    /// From when on it does not work, in Unix milliseconds.
    #[serde(default)]
    pub expires_ms: Option<u64>,
    /// How often it got a secret.
    #[serde(default)]
    pub generation: u64,
}

/// What a key is made of.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct NewKey {
    /// Account's id or name; the root account when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// What people write about it.
    #[serde(default)]
    pub description: String,
    /// Roles by bucket.
    pub grants: Vec<Grant>,
    /// From when on it does not work, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// An id and secret to take over instead of new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportedSecret>,
}

/// A key that exists elsewhere.
#[derive(Clone, Serialize, Deserialize)]
pub struct ImportedSecret {
    /// Access key id.
    pub id: String,
    /// Its secret.
    pub secret: String,
}

impl std::fmt::Debug for ImportedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImportedSecret")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A KMS key: never with its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KmsKey {
    /// Its id.
    pub id: String,
    /// By which requests name it as well; a server of an earlier version does not tell it.
    #[serde(default)]
    pub arn: String,
    /// Further names, without `alias/`.
    pub aliases: Vec<String>,
    /// Creation in Unix milliseconds.
    pub created_ms: u64,
    /// The version that encrypts what is new.
    pub version: u32,
    /// When that was made, in Unix milliseconds.
    pub rotated_ms: u64,
    /// Whether it cannot be used.
    pub disabled: bool,
    /// Whether the server made it for its own use.
    pub managed: bool,
}

/// What a KMS key is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewKmsKey {
    /// Its id; the server makes one up when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Further names, without `alias/`.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// A bucket with its owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Id of the account that owns it.
    pub account_id: String,
    /// Creation in Unix milliseconds.
    pub created_ms: u64,
    /// Whether anybody may read its objects.
    pub public: bool,
    /// Live objects, where known.
    #[serde(default)]
    pub objects: Option<u64>,
    /// Bytes in live objects, where known.
    #[serde(default)]
    pub bytes: Option<u64>,
}

/// What a bucket with its own key is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NewStorage {
    /// The bucket's name; the server makes one up when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Account's id or name; the root account when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether anybody may read its objects.
    #[serde(default)]
    pub public: bool,
    /// What the key is for.
    #[serde(default)]
    pub description: String,
}

/// A bucket with its own key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Storage {
    /// The bucket.
    pub bucket: Bucket,
    /// The key, with its secret.
    pub key: Key,
    /// URL under which clients reach the server, where it knows one.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// Region for signatures.
    pub region: String,
}

/// One page of a listing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Page<T> {
    /// In the listing's order.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page.
    pub next: Option<String>,
}

/// A way to the administration.
pub enum Door {
    /// A server that runs.
    Http(HttpDoor),
    /// The data directory of one that does not.
    Direct(Box<DirectDoor>),
}

/// Dispatches to whichever door is open.
macro_rules! through {
    ($door:expr, $method:ident($($argument:expr),*)) => {
        match $door {
            Door::Http(door) => door.$method($($argument),*).await,
            Door::Direct(door) => door.$method($($argument),*).await,
        }
    };
}

impl Door {
    /// Opens the first door that there is; see the module's documentation.
    pub async fn open(args: &AdminArgs) -> Result<Self, Failure> {
        Self::open_with(args, |data| Ok(master_key_kept_in(data))).await
    }

    /// As [`Door::open`], for what needs the master key if no server runs.
    pub async fn open_with_keys(args: &AdminArgs, master: &MasterKeyArgs) -> Result<Self, Failure> {
        Self::open_with(args, |data| {
            master.source_of_tool(data).map_err(Failure::usage)
        })
        .await
    }

    async fn open_with(
        args: &AdminArgs,
        master_key: impl FnOnce(&Path) -> Result<MasterKeySource, Failure>,
    ) -> Result<Self, Failure> {
        if args.common.endpoint_url.is_some() {
            return Ok(Door::Http(HttpDoor::remote(args.common.client()?)));
        }
        let socket = args.data.join("admin.sock");
        if HttpDoor::socket_answers(&socket).await {
            return Ok(Door::Http(HttpDoor::socket(socket)));
        }
        if is_data_directory(&args.data) {
            let master_key = master_key(&args.data)?;
            let door = DirectDoor::open(&args.data, master_key).await?;
            return Ok(Door::Direct(Box::new(door)));
        }
        match args.common.client() {
            Ok(client) => Ok(Door::Http(HttpDoor::remote(client))),
            Err(_) => Err(Failure::general(format!(
                "no server found: {} is no data directory, and no endpoint is named",
                args.data.display()
            ))
            .advise(
                "start `oncilla server`, name its --data directory, or give --endpoint-url with the root account's credentials",
            )),
        }
    }

    /// Makes an account.
    pub async fn create_account(&self, new: NewAccount) -> Result<Account, Failure> {
        through!(self, create_account(new))
    }

    /// An account by id or name.
    pub async fn account(&self, id_or_name: &str) -> Result<Account, Failure> {
        through!(self, account(id_or_name))
    }

    /// All accounts.
    pub async fn accounts(&self) -> Result<Vec<Account>, Failure> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = through!(self, accounts(after.as_deref(), PAGE_ITEMS))?;
            items.extend(page.items);
            after = next_page(after, page.next)?;
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// Disables or enables an account.
    pub async fn set_account_disabled(
        &self,
        id_or_name: &str,
        disabled: bool,
    ) -> Result<Account, Failure> {
        through!(self, set_account_disabled(id_or_name, disabled))
    }

    /// Removes an account that has neither keys nor buckets.
    pub async fn delete_account(&self, id_or_name: &str) -> Result<(), Failure> {
        through!(self, delete_account(id_or_name))
    }

    /// Makes a key, or imports one; the answer has the secret.
    pub async fn create_key(&self, new: NewKey) -> Result<Key, Failure> {
        through!(self, create_key(new))
    }

    /// A key without its secret.
    pub async fn key(&self, id: &str) -> Result<Key, Failure> {
        through!(self, key(id))
    }

    /// All keys of an account; of the root account when none is named.
    pub async fn keys(&self, account: Option<&str>) -> Result<Vec<Key>, Failure> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = through!(self, keys(account, after.as_deref(), PAGE_ITEMS))?;
            items.extend(page.items);
            after = next_page(after, page.next)?;
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// Gives a key a new secret; the answer has it.
    pub async fn rotate_key(&self, id: &str) -> Result<Key, Failure> {
        through!(self, rotate_key(id))
    }

    /// Disables or enables a key.
    pub async fn set_key_disabled(&self, id: &str, disabled: bool) -> Result<Key, Failure> {
        through!(self, set_key_disabled(id, disabled))
    }

    /// Replaces what a key may do.
    pub async fn set_grants(&self, id: &str, grants: Vec<Grant>) -> Result<Key, Failure> {
        through!(self, set_grants(id, grants))
    }

    /// Removes a key.
    pub async fn delete_key(&self, id: &str) -> Result<(), Failure> {
        through!(self, delete_key(id))
    }

    /// All KMS keys.
    pub async fn kms_keys(&self) -> Result<Vec<KmsKey>, Failure> {
        through!(self, kms_keys())
    }

    /// Makes a KMS key.
    pub async fn create_kms_key(&self, new: NewKmsKey) -> Result<KmsKey, Failure> {
        through!(self, create_kms_key(new))
    }

    /// Gives a KMS key a new version.
    pub async fn rotate_kms_key(&self, name: &str) -> Result<KmsKey, Failure> {
        through!(self, rotate_kms_key(name))
    }

    /// Disables or enables a KMS key.
    pub async fn set_kms_key_disabled(
        &self,
        name: &str,
        disabled: bool,
    ) -> Result<KmsKey, Failure> {
        through!(self, set_kms_key_disabled(name, disabled))
    }

    /// Makes a bucket and an Editor key for it alone.
    pub async fn create_storage(&self, new: NewStorage) -> Result<Storage, Failure> {
        through!(self, create_storage(new))
    }

    /// Removes a bucket and the keys for it alone; with `force` also what is in it.
    pub async fn destroy_storage(&self, name: &str, force: bool) -> Result<(), Failure> {
        through!(self, destroy_storage(name, force))
    }

    /// A bucket.
    pub async fn bucket(&self, name: &str) -> Result<Bucket, Failure> {
        through!(self, bucket(name))
    }

    /// The buckets of an account, or all.
    pub async fn buckets(&self, account: Option<&str>) -> Result<Vec<Bucket>, Failure> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = through!(self, buckets(account, after.as_deref(), PAGE_ITEMS))?;
            items.extend(page.items);
            after = next_page(after, page.next)?;
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// Ends the work on a data directory in good order.
    pub async fn close(self) {
        match self {
            Door::Http(_) => {}
            Door::Direct(door) => door.close().await,
        }
    }
}

/// A server that names the same page twice would keep us here for ever.
fn next_page(before: Option<String>, next: Option<String>) -> Result<Option<String>, Failure> {
    if next.is_some() && next == before {
        return Err(Failure::general("the server's listing does not end"));
    }
    Ok(next)
}

fn is_data_directory(path: &Path) -> bool {
    path.join("oncilla.json").is_file()
}

/// The exit status that goes with an error code of the administration.
fn exit_code_of(code: &str) -> u8 {
    match code {
        "NoSuchAccount" | "NoSuchKey" | "NoSuchKmsKey" | "NoSuchBucket" | "NotFound" => {
            exit_code::NOT_FOUND
        }
        "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => exit_code::AUTH,
        _ => exit_code::GENERAL,
    }
}

/// A role in any case, also as Tigris spells the highest.
pub fn parse_role(text: &str) -> Result<Role, String> {
    match text.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
        "admin" | "namespaceadmin" => Ok(Role::Admin),
        "editor" => Ok(Role::Editor),
        "readonly" => Ok(Role::ReadOnly),
        _ => Err(format!("{text:?} is no role: Admin, Editor or ReadOnly")),
    }
}
