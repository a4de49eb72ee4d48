//! The door: KMS keys in an engine, all of them in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use oncilla_meta::{CommitOutcome, Engine, Mutation, Precondition, Scan, Space, to_its_end};
use parking_lot::RwLock;
use serde::Serialize;

use crate::cipher::purpose;
use crate::error::{KeysError, OpenFailed};
use crate::master::{MasterKey, MasterKeySource};
use crate::row::{KeyRow, VersionRow, all_rows, row_key};
use crate::secret::{DataKey, Secret};
use crate::wrapped::WrappedKey;

/// The id of the key that wraps the data keys of SSE-S3. Made when it is first needed.
pub const SSE_S3_KEY_ID: &str = "oncilla-sse-s3";

/// The alias of the key for `aws:kms` without a key id. Source: S3 User Guide, "Using server-side
/// encryption with AWS KMS keys": S3 makes the AWS managed key `aws/s3` the first time it is needed.
const DEFAULT_ALIAS: &str = "aws/s3";

/// Most KMS keys: all of them are in memory, at less than 1 KiB each.
const KEYS_MAX: usize = 10_000;

/// Most versions of a key: enough to rotate one daily for a decade.
const VERSIONS_MAX: usize = 4_000;

/// Most aliases of a key. Source: AWS KMS Developer Guide, "Quotas": 50.
const ALIASES_MAX: usize = 50;

/// Longest id or alias, in characters. Source: AWS KMS API reference, CreateAlias: 256.
const NAME_BYTES_MAX: usize = 256;

/// Rows read at a time.
const PAGE_ROWS: usize = 256;

/// How often a change is tried again because somebody else changed the same key.
const CONFLICT_RETRIES_MAX: usize = 16;

/// KMS keys. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Keys {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn Engine>,
    now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    source: MasterKeySource,
    state: RwLock<State>,
    /// Changes come one after the other. What makes or changes a key runs to its end: a row that was
    /// committed and is not known here could be neither used nor made again.
    changes: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// `None` before one is needed, if it is for us to make.
    master: Option<MasterKey>,
    /// Why nothing can be unwrapped.
    locked: Option<String>,
    /// How many keys are not in `keys` for that reason.
    locked_keys: usize,
    keys: BTreeMap<String, KmsKey>,
    /// Alias to id.
    aliases: BTreeMap<String, String>,
}

/// A KMS key that can be used.
#[derive(Clone)]
pub struct KmsKey {
    row: Arc<KeyRow>,
    /// By version number - 1.
    secrets: Arc<Vec<Secret>>,
}

/// What can be told of a KMS key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KmsKeyInfo {
    /// Its id.
    pub id: String,
    /// Further names, without `alias/`.
    pub aliases: Vec<String>,
    /// When it was made, in Unix milliseconds.
    pub created_ms: u64,
    /// The version that new data keys are wrapped by.
    pub version: u32,
    /// When that was made, in Unix milliseconds.
    pub rotated_ms: u64,
    /// Whether it cannot be used.
    pub disabled: bool,
    /// Whether the server made it for its own use.
    pub managed: bool,
}

/// A KMS key to make.
#[derive(Clone, Debug, Default)]
pub struct NewKmsKey {
    /// Its id; a random one if there is none.
    pub id: Option<String>,
    /// Further names, without `alias/`.
    pub aliases: Vec<String>,
}

impl KmsKeyInfo {
    /// Its ARN, by which [`Keys::find`] finds it too. Source of the form: AWS KMS Developer Guide, "Key
    /// identifiers (KeyId)"; where AWS has the twelve digits of an account, there is its canonical
    /// user id here, as in the ARNs of IAM.
    pub fn arn(&self, region: &str, account_id: &str) -> String {
        format!("arn:aws:kms:{region}:{account_id}:key/{}", self.id)
    }
}

impl KmsKey {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// Wraps a data key by the newest version. It unwraps with the same `context` only.
    ///
    /// # Errors
    /// `Disabled`, `Random`.
    pub fn wrap(&self, data_key: &DataKey, context: &str) -> Result<WrappedKey, KeysError> {
        WrappedKey::seal(
            self.newest_secret()?,
            self.secrets.len() as u32,
            purpose::WRAP_DATA_KEY,
            &bound_to(&self.row.id, context),
            &data_key.0,
        )
    }

    /// Whether [`KmsKey::wrap`] would do so now, without a data key to wrap.
    ///
    /// # Errors
    /// `Disabled`.
    pub fn check_wraps(&self) -> Result<(), KeysError> {
        self.newest_secret().map(drop)
    }

    /// Unwraps a data key that any version wrapped.
    ///
    /// # Errors
    /// `Disabled`; `OpenFailed` if it was not wrapped by this key with this context.
    pub fn unwrap(&self, wrapped: &WrappedKey, context: &str) -> Result<DataKey, KeysError> {
        self.check_enabled()?;
        let index = (wrapped.version() as usize).checked_sub(1);
        let secret = index.and_then(|index| self.secrets.get(index));
        let secret = secret.ok_or(OpenFailed)?;
        let bound_to = bound_to(&self.row.id, context);
        let opened = wrapped.open(secret, purpose::WRAP_DATA_KEY, &bound_to)?;
        Ok(DataKey(opened))
    }

    /// What can be told of it.
    pub fn info(&self) -> KmsKeyInfo {
        let row = &*self.row;
        KmsKeyInfo {
            id: row.id.clone(),
            aliases: row.aliases.clone(),
            created_ms: row.created_ms,
            version: row.versions.len() as u32,
            rotated_ms: row.versions.last().map_or(0, |version| version.created_ms),
            disabled: row.disabled,
            managed: is_managed(row),
        }
    }

    /// The secret that data keys are wrapped by.
    fn newest_secret(&self) -> Result<&Secret, KeysError> {
        self.check_enabled()?;
        let damaged = || KeysError::Damaged(format!("versions of {}", self.row.id));
        self.secrets.last().ok_or_else(damaged)
    }

    fn check_enabled(&self) -> Result<(), KeysError> {
        match self.row.disabled {
            true => Err(KeysError::Disabled(self.row.id.clone())),
            false => Ok(()),
        }
    }
}

fn bound_to(id: &str, context: &str) -> Vec<u8> {
    [id.as_bytes(), &[0], context.as_bytes()].concat()
}

fn is_managed(row: &KeyRow) -> bool {
    row.id == SSE_S3_KEY_ID
}

impl Keys {
    /// Opens the service on the keys that `engine` keeps. `now_ms` is the wall clock in Unix
    /// milliseconds.
    ///
    /// Without the right master key the service is [locked](Keys::locked), which is no error: what is
    /// not encrypted can be served all the same.
    ///
    /// # Errors
    /// `Engine`, `Damaged`; `Master` if the source cannot be read.
    pub async fn open(
        engine: Arc<dyn Engine>,
        source: MasterKeySource,
        now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<Self, KeysError> {
        let rows = read_rows(&*engine).await?;
        let masters = source.load()?;
        let state = State::new(rows, masters)?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                now_ms,
                source,
                state: RwLock::new(state),
                changes: tokio::sync::Mutex::new(()),
            }),
        })
    }

    /// Why no key can be used, if none can.
    pub fn locked(&self) -> Option<String> {
        self.inner.state.read().locked.clone()
    }

    /// How many keys there are that cannot be used because the service is locked.
    pub fn locked_keys(&self) -> usize {
        self.inner.state.read().locked_keys
    }

    /// The key that wraps the data keys of SSE-S3.
    ///
    /// # Errors
    /// `Locked`; others only when it has to be made.
    pub async fn sse_s3_key(&self) -> Result<KmsKey, KeysError> {
        self.find_or_create(SSE_S3_KEY_ID, || NewKmsKey {
            id: Some(SSE_S3_KEY_ID.to_owned()),
            aliases: Vec::new(),
        })
        .await
    }

    /// The key for `aws:kms` without a key id.
    ///
    /// # Errors
    /// As [`Keys::sse_s3_key`].
    pub async fn default_kms_key(&self) -> Result<KmsKey, KeysError> {
        self.find_or_create(&format!("alias/{DEFAULT_ALIAS}"), || NewKmsKey {
            id: None,
            aliases: vec![DEFAULT_ALIAS.to_owned()],
        })
        .await
    }

    async fn find_or_create(
        &self,
        name: &str,
        new: impl FnOnce() -> NewKmsKey,
    ) -> Result<KmsKey, KeysError> {
        match self.find(name) {
            Err(KeysError::NotFound(_)) => {}
            found => return found,
        }
        let (keys, name, new) = (self.clone(), name.to_owned(), new());
        to_its_end(async move {
            let _turn = keys.inner.changes.lock().await;
            // Somebody else may have made it meanwhile.
            match keys.find(&name) {
                Err(KeysError::NotFound(_)) => keys.create_in_turn(new).await,
                found => found,
            }
        })
        .await
    }

    /// A key by its id, by `alias/…`, or by an ARN of either.
    ///
    /// # Errors
    /// `NotFound`, `Locked`.
    pub fn find(&self, name: &str) -> Result<KmsKey, KeysError> {
        let state = self.inner.state.read();
        if let Some(reason) = &state.locked {
            return Err(KeysError::Locked(reason.clone()));
        }
        let found = state.keys.get(id_of(&state, name));
        found
            .cloned()
            .ok_or_else(|| KeysError::NotFound(name.to_owned()))
    }

    /// All keys in the order of their ids. Works while the service is locked.
    ///
    /// # Errors
    /// `Engine`, `Damaged`.
    pub async fn list(&self) -> Result<Vec<KmsKeyInfo>, KeysError> {
        let rows = read_rows(&*self.inner.engine).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let (row, secrets) = (Arc::new(row), Arc::default());
                KmsKey { row, secrets }.info()
            })
            .collect())
    }

    /// Makes a key.
    ///
    /// # Errors
    /// `InvalidName`, `Exists`, `LimitExceeded`, `Locked`, `Random`, `Master`, `Engine`.
    pub async fn create(&self, new: NewKmsKey) -> Result<KmsKeyInfo, KeysError> {
        let keys = self.clone();
        to_its_end(async move {
            let _turn = keys.inner.changes.lock().await;
            Ok(keys.create_in_turn(new).await?.info())
        })
        .await
    }

    async fn create_in_turn(&self, new: NewKmsKey) -> Result<KmsKey, KeysError> {
        let id = match new.id {
            Some(id) => id,
            None => random_id()?,
        };
        check_name("id of a KMS key", &id)?;
        for alias in &new.aliases {
            check_name("alias of a KMS key", alias)?;
        }
        self.check_room(&id, &new.aliases)?;
        let master = self.master()?;
        let now_ms = (self.inner.now_ms)();
        let mut row = KeyRow::new(id, new.aliases, now_ms, master.fingerprint()?);
        let secret = add_version(&mut row, &master, now_ms)?;
        let mut mutation = Mutation::new();
        mutation
            .require(Precondition::Absent(row_key(&row.id)))
            .put(Space::Records, row_key(&row.id), row.encode()?);
        match self.inner.engine.commit(mutation).await? {
            CommitOutcome::Committed { .. } => {
                let key = KmsKey {
                    row: Arc::new(row),
                    secrets: Arc::new(vec![secret]),
                };
                self.inner.state.write().insert(key.clone());
                Ok(key)
            }
            CommitOutcome::Conflict { .. } => Err(KeysError::Exists(row.id)),
        }
    }

    fn check_room(&self, id: &str, aliases: &[String]) -> Result<(), KeysError> {
        let state = self.inner.state.read();
        if state.keys.len() >= KEYS_MAX {
            let (what, limit) = ("KMS keys", KEYS_MAX);
            return Err(KeysError::LimitExceeded { what, limit });
        }
        if aliases.len() > ALIASES_MAX {
            let (what, limit) = ("aliases of a KMS key", ALIASES_MAX);
            return Err(KeysError::LimitExceeded { what, limit });
        }
        if state.keys.contains_key(id) {
            return Err(KeysError::Exists(id.to_owned()));
        }
        match aliases
            .iter()
            .find(|alias| state.aliases.contains_key(*alias))
        {
            Some(alias) => Err(KeysError::Exists(format!("alias/{alias}"))),
            None => Ok(()),
        }
    }

    /// The master key, made if there is none yet and it is for us to make.
    fn master(&self) -> Result<MasterKey, KeysError> {
        let mut state = self.inner.state.write();
        if let Some(reason) = &state.locked {
            return Err(KeysError::Locked(reason.clone()));
        }
        if let Some(master) = &state.master {
            return Ok(master.clone());
        }
        let made = self.inner.source.create()?;
        state.master = Some(made.clone());
        Ok(made)
    }

    /// Gives a key a new version, by which data keys are wrapped from now on.
    ///
    /// # Errors
    /// `NotFound`, `LimitExceeded`, `Locked`, `Random`, `Contended`, `Engine`.
    pub async fn rotate(&self, name: &str) -> Result<KmsKeyInfo, KeysError> {
        let (keys, name) = (self.clone(), name.to_owned());
        to_its_end(async move {
            let _turn = keys.inner.changes.lock().await;
            let master = keys.master()?;
            let now_ms = (keys.inner.now_ms)();
            let add = |row: &mut KeyRow, secrets: &mut Vec<Secret>| {
                if row.versions.len() >= VERSIONS_MAX {
                    let (what, limit) = ("versions of a KMS key", VERSIONS_MAX);
                    return Err(KeysError::LimitExceeded { what, limit });
                }
                secrets.push(add_version(row, &master, now_ms)?);
                Ok(())
            };
            keys.change(&name, add).await
        })
        .await
    }

    /// Disables or enables a key. With a disabled one nothing can be written or read.
    ///
    /// # Errors
    /// `NotFound`, `Managed`, `Locked`, `Contended`, `Engine`.
    pub async fn set_disabled(&self, name: &str, disabled: bool) -> Result<KmsKeyInfo, KeysError> {
        let (keys, name) = (self.clone(), name.to_owned());
        to_its_end(async move {
            let _turn = keys.inner.changes.lock().await;
            let set = |row: &mut KeyRow, _: &mut Vec<Secret>| {
                if disabled && is_managed(row) {
                    return Err(KeysError::Managed(row.id.clone()));
                }
                row.disabled = disabled;
                Ok(())
            };
            keys.change(&name, set).await
        })
        .await
    }

    async fn change(
        &self,
        name: &str,
        change: impl Fn(&mut KeyRow, &mut Vec<Secret>) -> Result<(), KeysError>,
    ) -> Result<KmsKeyInfo, KeysError> {
        for _ in 0..CONFLICT_RETRIES_MAX {
            let key = self.find(name)?;
            let (mut row, mut secrets) = ((*key.row).clone(), (*key.secrets).clone());
            change(&mut row, &mut secrets)?;
            let key = KmsKey {
                row: Arc::new(row),
                secrets: Arc::new(secrets),
            };
            let at = row_key(key.id());
            let before = self.inner.engine.get(Space::Records, &at).await?;
            let before = before.ok_or_else(|| KeysError::NotFound(name.to_owned()))?;
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(at.clone(), before))
                .put(Space::Records, at, key.row.encode()?);
            if let CommitOutcome::Committed { .. } = self.inner.engine.commit(mutation).await? {
                let info = key.info();
                self.inner.state.write().insert(key);
                return Ok(info);
            }
        }
        Err(KeysError::Contended)
    }

    /// Changes the master key: wraps every version of every KMS key again, in one commit. What is
    /// encrypted stays as it is. Only while nobody else uses the engine.
    ///
    /// With `None` a new key is made and kept in the file that the service was opened with; a given
    /// one is the caller's to keep, and that file is removed unless it is the one that has it.
    ///
    /// # Errors
    /// `NowhereToKeep`, `Locked`, `Random`, `Master`, `Contended`, `Engine`; before the commit nothing has changed, and
    /// the file has both keys meanwhile.
    pub async fn change_master_key(&self, new: Option<MasterKey>) -> Result<usize, KeysError> {
        let _turn = self.inner.changes.lock().await;
        // A source that has none yet cannot be one of which the keys are to be changed.
        let old = self.master()?;
        let is_given = new.is_some();
        let new = match new {
            Some(new) => new,
            None => {
                let file = self.inner.source.file()?;
                let new = MasterKey::random()?;
                // Both, until it is certain which of them the rows are wrapped by.
                MasterKey::write_file(file, &[&new, &old])?;
                new
            }
        };
        let fingerprint = new.fingerprint()?;
        let mut mutation = Mutation::new();
        let keys: Vec<KmsKey> = self.inner.state.read().keys.values().cloned().collect();
        let mut changed = Vec::with_capacity(keys.len());
        for key in keys {
            let at = row_key(key.id());
            let before = self.inner.engine.get(Space::Records, &at).await?;
            let before = before.ok_or(KeysError::Contended)?;
            let mut row = (*key.row).clone();
            row.master.clone_from(&fingerprint);
            for (version, secret) in row.versions.iter_mut().zip(key.secrets.iter()) {
                version.set_wrapped(&wrap_version(&new, &row.id, version.number, secret)?);
            }
            mutation
                .require(Precondition::Equals(at.clone(), before))
                .put(Space::Records, at, row.encode()?);
            let (row, secrets) = (Arc::new(row), key.secrets);
            changed.push(KmsKey { row, secrets });
        }
        let count = changed.len();
        match self.inner.engine.commit(mutation).await? {
            CommitOutcome::Committed { .. } => {}
            CommitOutcome::Conflict { .. } => return Err(KeysError::Contended),
        }
        {
            let mut state = self.inner.state.write();
            for key in changed {
                state.insert(key);
            }
            state.master = Some(new.clone());
        }
        match is_given {
            true => self.inner.source.give_up(&new)?,
            false => MasterKey::write_file(self.inner.source.file()?, &[&new])?,
        }
        Ok(count)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl State {
    fn new(rows: Vec<KeyRow>, masters: Vec<MasterKey>) -> Result<Self, KeysError> {
        let mut state = Self::default();
        let Some(first) = rows.first() else {
            state.master = masters.into_iter().next();
            return Ok(state);
        };
        let is_right = |master: &MasterKey| {
            let fingerprint = master.fingerprint();
            fingerprint.is_ok_and(|fingerprint| fingerprint == first.master)
        };
        let is_none = masters.is_empty();
        let Some(master) = masters.into_iter().find(is_right) else {
            let reason = match is_none {
                true => "the master key is missing",
                false => "the master key is not the one that wrapped the KMS keys",
            };
            state.locked = Some(reason.to_owned());
            state.locked_keys = rows.len();
            return Ok(state);
        };
        for row in rows {
            let mut secrets = Vec::with_capacity(row.versions.len());
            for version in &row.versions {
                let at = version_bound_to(&row.id, version.number);
                let wrapped = version.wrapped()?;
                let opened = wrapped.open(&master.0, purpose::WRAP_KMS_KEY, &at);
                let damaged = |_| KeysError::Damaged(format!("{} does not unwrap", row.id));
                secrets.push(opened.map_err(damaged)?);
            }
            state.insert(KmsKey {
                row: Arc::new(row),
                secrets: Arc::new(secrets),
            });
        }
        state.master = Some(master);
        Ok(state)
    }

    fn insert(&mut self, key: KmsKey) {
        for alias in &key.row.aliases {
            self.aliases.insert(alias.clone(), key.row.id.clone());
        }
        self.keys.insert(key.row.id.clone(), key);
    }
}

/// The id that a name stands for, which need not exist. Source of the forms: AWS KMS Developer Guide,
/// "Key identifiers (KeyId)".
fn id_of<'a>(state: &'a State, name: &'a str) -> &'a str {
    let resource = match name.starts_with("arn:") {
        true => name.splitn(6, ':').nth(5).unwrap_or_default(),
        false => name,
    };
    match resource.strip_prefix("alias/") {
        Some(alias) => state.aliases.get(alias).map_or("", String::as_str),
        None if name.starts_with("arn:") => resource.strip_prefix("key/").unwrap_or_default(),
        None => resource,
    }
}

/// Adds a version with a new secret, which is given.
fn add_version(row: &mut KeyRow, master: &MasterKey, now_ms: u64) -> Result<Secret, KeysError> {
    let number = row.versions.len() as u32 + 1;
    let secret = Secret::random()?;
    let wrapped = wrap_version(master, &row.id, number, &secret)?;
    row.versions.push(VersionRow::new(number, now_ms, &wrapped));
    Ok(secret)
}

fn wrap_version(
    master: &MasterKey,
    id: &str,
    number: u32,
    secret: &Secret,
) -> Result<WrappedKey, KeysError> {
    let at = version_bound_to(id, number);
    WrappedKey::seal(&master.0, 0, purpose::WRAP_KMS_KEY, &at, secret)
}

fn version_bound_to(id: &str, number: u32) -> Vec<u8> {
    [id.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

fn check_name(what: &'static str, name: &str) -> Result<(), KeysError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let is_form = name.starts_with("alias/") || name.starts_with('/');
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_allowed) && !is_form {
        return Ok(());
    }
    let rule = "1 to 256 letters, digits and -_./, not beginning with / or alias/";
    Err(KeysError::InvalidName { what, rule })
}

/// A random id in the form of a UUID, as KMS gives them (RFC 9562 §5.4).
fn random_id() -> Result<String, KeysError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = oncilla_hash::hex::encode(&bytes);
    let groups = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    Ok(groups.join("-"))
}

async fn read_rows(engine: &dyn Engine) -> Result<Vec<KeyRow>, KeysError> {
    let (mut start, end) = all_rows();
    let mut rows = Vec::new();
    loop {
        let scan = Scan {
            space: Space::Records,
            start: start.clone(),
            end: end.clone(),
            reverse: false,
            limit_rows: PAGE_ROWS,
        };
        let page = engine.scan(scan).await?;
        let last = page.rows.last().map(|row| row.key.clone());
        for row in page.rows {
            rows.push(KeyRow::decode(&row.value)?);
        }
        match last.filter(|_| page.more) {
            Some(last) => start = [&last[..], &[0]].concat().into(),
            None => return Ok(rows),
        }
    }
}

#[cfg(test)]
mod tests {
    use oncilla_meta::memory::MemoryEngine;

    use super::*;

    fn given(digit: &str) -> MasterKeySource {
        MasterKeySource::Given(MasterKey::parse(&digit.repeat(64)).unwrap())
    }

    async fn open(engine: &Arc<dyn Engine>, source: MasterKeySource) -> Keys {
        let now_ms = Arc::new(|| 7);
        Keys::open(Arc::clone(engine), source, now_ms)
            .await
            .unwrap()
    }

    fn engine() -> Arc<dyn Engine> {
        Arc::new(MemoryEngine::new())
    }

    fn named(id: &str, alias: &str) -> NewKmsKey {
        NewKmsKey {
            id: Some(id.to_owned()),
            aliases: vec![alias.to_owned()],
        }
    }

    #[tokio::test]
    async fn a_key_is_found_by_all_its_names() {
        let keys = open(&engine(), given("a")).await;
        let made = keys.create(named("key-1", "team/photos")).await.unwrap();
        for name in [
            "key-1",
            "alias/team/photos",
            &made.arn("auto", &"0123456789abcdef".repeat(4)),
            "arn:aws:kms:eu-west-1:123456789012:key/key-1",
            "arn:aws:kms:eu-west-1:123456789012:alias/team/photos",
        ] {
            assert_eq!(keys.find(name).unwrap().id(), "key-1", "{name}");
        }
        for name in [
            "",
            "key-2",
            "team/photos",
            "alias/",
            "alias/key-1",
            "key/key-1",
            "arn:",
            "arn:a:b:c:d:key-1",
        ] {
            let found = keys.find(name);
            assert!(matches!(found, Err(KeysError::NotFound(_))), "{name}");
        }
        for (new, problem) in [
            (named("key-1", "other"), "already"),
            (named("key-2", "team/photos"), "already"),
            (named("a b", "x"), "allowed"),
            (named("", "x"), "allowed"),
            (named("alias/x", "x"), "allowed"),
            (named(&"x".repeat(257), "x"), "allowed"),
        ] {
            let refused = keys.create(new).await.unwrap_err().to_string();
            assert!(refused.contains(problem), "{refused}");
        }
    }

    #[tokio::test]
    async fn rotation_keeps_what_was_wrapped_readable() {
        let engine = engine();
        let keys = open(&engine, given("a")).await;
        keys.create(named("k", "n")).await.unwrap();
        let data_key = DataKey::random().unwrap();
        let before = keys.find("k").unwrap().wrap(&data_key, "c").unwrap();
        assert_eq!(keys.rotate("alias/n").await.unwrap().version, 2);
        let after = keys.find("k").unwrap().wrap(&data_key, "c").unwrap();
        assert_eq!((before.version(), after.version()), (1, 2));
        // Also by a service that is opened anew.
        for keys in [keys, open(&engine, given("a")).await] {
            let key = keys.find("k").unwrap();
            for wrapped in [&before, &after] {
                let opened = key.unwrap(wrapped, "c").unwrap();
                assert_eq!(opened.0.expose(), data_key.0.expose());
                assert!(key.unwrap(wrapped, "d").is_err());
            }
        }
    }

    #[tokio::test]
    async fn a_disabled_key_does_nothing() {
        let keys = open(&engine(), given("a")).await;
        keys.create(named("k", "n")).await.unwrap();
        let data_key = DataKey::random().unwrap();
        let wrapped = keys.find("k").unwrap().wrap(&data_key, "").unwrap();
        assert!(keys.set_disabled("k", true).await.unwrap().disabled);
        let key = keys.find("k").unwrap();
        assert!(matches!(
            key.wrap(&data_key, ""),
            Err(KeysError::Disabled(_))
        ));
        assert!(matches!(key.check_wraps(), Err(KeysError::Disabled(_))));
        assert!(matches!(
            key.unwrap(&wrapped, ""),
            Err(KeysError::Disabled(_))
        ));
        keys.set_disabled("k", false).await.unwrap();
        assert!(keys.find("k").unwrap().unwrap(&wrapped, "").is_ok());
        assert!(keys.find("k").unwrap().check_wraps().is_ok());
        keys.sse_s3_key().await.unwrap();
        let refused = keys.set_disabled(SSE_S3_KEY_ID, true).await;
        assert!(matches!(refused, Err(KeysError::Managed(_))));
    }

    #[tokio::test]
    async fn the_servers_own_keys_are_made_once() {
        let engine = engine();
        let keys = open(&engine, given("a")).await;
        let (one, other) = tokio::join!(keys.default_kms_key(), keys.default_kms_key());
        assert_eq!(one.unwrap().id(), other.unwrap().id());
        keys.sse_s3_key().await.unwrap();
        let again = open(&engine, given("a")).await;
        let listed = again.list().await.unwrap();
        assert_eq!(listed.len(), 2);
        assert!(
            listed
                .iter()
                .any(|key| key.aliases == ["aws/s3"] && !key.managed)
        );
        assert!(listed.iter().any(|key| key.managed));
    }

    #[tokio::test]
    async fn without_the_right_master_key_the_service_is_locked() {
        let engine = engine();
        let keys = open(&engine, given("a")).await;
        assert_eq!(keys.locked(), None);
        keys.create(named("k", "n")).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let missing = MasterKeySource::File(directory.path().join("master.key"));
        for (source, reason) in [(given("b"), "not the one"), (missing, "missing")] {
            let keys = open(&engine, source).await;
            assert!(keys.locked().unwrap().contains(reason));
            assert!(matches!(keys.find("k"), Err(KeysError::Locked(_))));
            assert!(matches!(keys.sse_s3_key().await, Err(KeysError::Locked(_))));
            assert!(keys.change_master_key(None).await.is_err());
            assert_eq!(keys.list().await.unwrap().len(), 1);
        }
        assert!(!directory.path().join("master.key").exists());
    }

    #[tokio::test]
    async fn the_master_key_can_be_changed() {
        let engine = engine();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let file = || MasterKeySource::File(path.clone());
        let keys = open(&engine, file()).await;
        let data_key = DataKey::random().unwrap();
        let wrapped = keys
            .sse_s3_key()
            .await
            .unwrap()
            .wrap(&data_key, "")
            .unwrap();
        let first = std::fs::read_to_string(&path).unwrap();
        assert_eq!(keys.change_master_key(None).await.unwrap(), 1);
        let second = std::fs::read_to_string(&path).unwrap();
        assert!(first != second && second.lines().count() == 1);
        let opens = async |source| {
            let key = open(&engine, source).await.sse_s3_key().await;
            key.is_ok_and(|key| key.unwrap(&wrapped, "").is_ok())
        };
        assert!(opens(file()).await);
        // What a crash between the commit and the last writing of the file leaves.
        std::fs::write(&path, format!("{first}{second}")).unwrap();
        assert!(opens(file()).await);
        let elsewhere = MasterKey::parse(&"c".repeat(64)).unwrap();
        let keys = open(&engine, file()).await;
        keys.change_master_key(Some(elsewhere)).await.unwrap();
        assert!(!path.exists());
        assert!(opens(given("c")).await && !opens(given("a")).await);
        // One that was given has no file that a new one could be kept in.
        let keys = open(&engine, given("c")).await;
        let refused = keys.change_master_key(None).await;
        assert!(matches!(refused, Err(KeysError::NowhereToKeep)));
        assert!(opens(given("c")).await);
    }

    /// The new key may be in the very file that is given up for it.
    #[tokio::test]
    async fn the_file_that_has_the_new_key_stays() {
        let engine = engine();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let keys = open(&engine, MasterKeySource::File(path.clone())).await;
        keys.sse_s3_key().await.unwrap();
        let old = std::fs::read_to_string(&path).unwrap();
        for text in [old.clone(), format!("{}\n{old}", "d".repeat(64))] {
            std::fs::write(&path, text).unwrap();
            let keys = open(&engine, MasterKeySource::File(path.clone())).await;
            let new = MasterKey::read_file(&path).unwrap().remove(0);
            keys.change_master_key(Some(new.clone())).await.unwrap();
            let kept = MasterKey::read_file(&path).unwrap();
            assert_eq!(kept.len(), 1);
            assert_eq!(kept[0].0.expose(), new.0.expose());
            let keys = open(&engine, MasterKeySource::File(path.clone())).await;
            keys.sse_s3_key().await.unwrap();
        }
    }

    #[tokio::test]
    async fn tools_make_no_master_key() {
        let engine = engine();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let keys = open(&engine, MasterKeySource::ExistingFile(path.clone())).await;
        assert_eq!(keys.locked(), None);
        let refused = keys.create(named("k", "n")).await;
        assert!(matches!(refused, Err(KeysError::Locked(_))));
        assert!(!path.exists() && keys.list().await.unwrap().is_empty());
        let server = open(&engine, MasterKeySource::File(path.clone())).await;
        server.create(named("k", "n")).await.unwrap();
        let keys = open(&engine, MasterKeySource::ExistingFile(path)).await;
        keys.rotate("k").await.unwrap();
    }

    /// A caller that goes away while a key is made leaves it made.
    #[tokio::test]
    async fn a_key_is_made_to_its_end() {
        let engine = engine();
        let keys = open(&engine, given("a")).await;
        for _ in 0..3 {
            // Polled once, and dropped.
            let making = keys.sse_s3_key();
            let _ = tokio::time::timeout(std::time::Duration::ZERO, making).await;
        }
        keys.sse_s3_key().await.unwrap();
        assert_eq!(
            open(&engine, given("a")).await.list().await.unwrap().len(),
            1
        );
    }
}
