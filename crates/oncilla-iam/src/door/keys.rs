//! Access keys.

use bytes::Bytes;
use oncilla_meta::{Mutation, Precondition, Space};

use super::{CONFLICT_RETRIES_MAX, Iam, Page, is_committed, page_scan, read_account, read_key};
use crate::error::IamError;
use crate::grant::Grant;
use crate::rows::access_key::{
    AccessKey, AccessKeyInfo, access_key_key, key_by_account_key, key_id_of_index_row,
    keys_of_account,
};
use crate::rows::account::{account_key, decode_key_count, key_count_key};
use crate::rows::{RowError, UnknownFields};
use crate::secret::Secret;
use crate::validate::KEYS_PER_ACCOUNT_MAX;
use crate::{random, validate};

/// Random characters of a key id after `tid_`: 143 bits, so that none is ever drawn twice.
const KEY_ID_RANDOM_CHARS: usize = 24;

/// Random characters of a secret after `tsec_`: 285 bits, beyond what HMAC-SHA256 can use.
const SECRET_RANDOM_CHARS: usize = 48;

/// The generation of a key's first secret.
const FIRST_GENERATION: u64 = 1;

/// An access key to create; id and secret are made at random.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Canonical id of the account that the key acts for.
    pub account_id: String,
    /// What it is for, in up to 256 characters; may be empty.
    pub description: String,
    /// What it may do, up to 100 grants.
    pub grants: Vec<Grant>,
    /// When it ceases to work, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
}

/// An access key that already exists elsewhere.
#[derive(Clone, Debug)]
pub struct ImportKey {
    /// Its id: 3 to 128 of `[A-Za-z0-9_.-]`.
    pub id: String,
    /// Its secret: 8 to 128 visible ASCII characters.
    pub secret: Secret,
    /// Everything else.
    pub key: NewKey,
}

/// What to change of a key; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct KeyUpdate {
    /// The new description.
    pub description: Option<String>,
    /// The new grants, in place of all old ones.
    pub grants: Option<Vec<Grant>>,
    /// The new expiry, or `Some(None)` for none.
    pub expires_ms: Option<Option<u64>>,
}

/// What became of a key that was to be added.
enum Insertion {
    Done,
    /// There is one of that id, as it stands.
    Exists(Box<AccessKey>),
}

impl Iam {
    /// Creates a key with a random id (`tid_…`) and secret (`tsec_…`).
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`], [`IamError::InvalidName`], [`IamError::LimitExceeded`].
    pub async fn create_key(&self, new: NewKey) -> Result<AccessKey, IamError> {
        validate_new_key(&new)?;
        let key = self.fresh_key(random_key_id()?, random_secret()?, new);
        match self.insert_key(&key).await? {
            Insertion::Done => Ok(key),
            Insertion::Exists(_) => Err(IamError::KeyExists),
        }
    }

    /// Adds a key with an id and secret from elsewhere. Importing the same key again changes
    /// nothing and answers the key as it stands (which may have been disabled since).
    ///
    /// # Errors
    /// [`IamError::KeyExists`] if there is a key of this id with another secret, account,
    /// description, expiry or other grants; otherwise as [`Iam::create_key`].
    pub async fn import_key(&self, import: ImportKey) -> Result<AccessKey, IamError> {
        validate::key_id(&import.id)?;
        validate::secret(import.secret.expose())?;
        validate_new_key(&import.key)?;
        let key = self.fresh_key(import.id, import.secret, import.key);
        match self.insert_key(&key).await? {
            Insertion::Done => Ok(key),
            Insertion::Exists(existing) if is_same_import(&existing, &key) => Ok(*existing),
            Insertion::Exists(_) => Err(IamError::KeyExists),
        }
    }

    /// The key of this id, straight from the engine.
    ///
    /// # Errors
    /// [`IamError::NoSuchKey`].
    pub async fn key(&self, id: &str) -> Result<AccessKey, IamError> {
        read_key(self.engine(), id)
            .await?
            .ok_or(IamError::NoSuchKey)
    }

    /// A page of an account's keys by id, without secrets, beginning after the id `after`, with
    /// at most `limit` keys, 1 to [`PAGE_ITEMS_MAX`](crate::PAGE_ITEMS_MAX).
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`].
    pub async fn list_keys(
        &self,
        account_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AccessKeyInfo>, IamError> {
        let snapshot = self.engine().snapshot();
        if read_account(&*snapshot, account_id).await?.is_none() {
            return Err(IamError::NoSuchAccount);
        }
        let (start, end) = keys_of_account(account_id);
        let after = after.map(|id| key_by_account_key(account_id, id));
        let page = snapshot.scan(page_scan(start, end, after, limit)).await?;

        let mut items = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            let id = key_id_of_index_row(&row.key, account_id)?;
            let Some(key) = read_key(&*snapshot, &id).await? else {
                return Err(RowError::damaged("access key index", "names a missing key").into());
            };
            items.push(key.info);
        }
        let last_id = items.last().map(|info| info.id.clone());
        Ok(Page {
            items,
            next: last_id.filter(|_| page.more),
        })
    }

    /// Gives a key a new random secret and the next generation. The old secret ceases to work.
    ///
    /// # Errors
    /// [`IamError::NoSuchKey`].
    pub async fn rotate_key(&self, id: &str) -> Result<AccessKey, IamError> {
        let secret = random_secret()?;
        self.change_key(id, |key| replace_secret(key, &secret))
            .await
    }

    /// Disables or enables a key.
    ///
    /// # Errors
    /// [`IamError::NoSuchKey`].
    pub async fn set_key_disabled(
        &self,
        id: &str,
        disabled: bool,
    ) -> Result<AccessKeyInfo, IamError> {
        Ok(self
            .change_key(id, |key| key.info.disabled = disabled)
            .await?
            .info)
    }

    /// Changes description, grants or expiry of a key, and answers the key as it is then.
    ///
    /// # Errors
    /// [`IamError::NoSuchKey`], [`IamError::InvalidName`], [`IamError::LimitExceeded`].
    pub async fn update_key(&self, id: &str, update: KeyUpdate) -> Result<AccessKeyInfo, IamError> {
        if let Some(description) = &update.description {
            validate::description(description)?;
        }
        if let Some(grants) = &update.grants {
            validate::grants(grants)?;
        }
        let changed = self.change_key(id, |key| {
            if let Some(description) = &update.description {
                key.info.description.clone_from(description);
            }
            if let Some(grants) = &update.grants {
                key.info.grants.clone_from(grants);
            }
            if let Some(expires_ms) = update.expires_ms {
                key.info.expires_ms = expires_ms;
            }
        });
        Ok(changed.await?.info)
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// [`IamError::NoSuchKey`].
    pub async fn delete_key(&self, id: &str) -> Result<(), IamError> {
        let _forget_when_dropped = self.inner.cache.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (key, value) = self.key_with_value(id).await?;
            let account_id = &key.info.account_id;
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(access_key_key(id), value))
                .delete(Space::Records, access_key_key(id))
                .delete(Space::Records, key_by_account_key(account_id, id))
                .add(key_count_key(account_id), -1);
            if is_committed(self.commit(mutation).await?) {
                return Ok(());
            }
        }
        Err(IamError::Contended)
    }

    /// A key that nobody has stored yet.
    pub(super) fn fresh_key(&self, id: String, secret: Secret, new: NewKey) -> AccessKey {
        let info = AccessKeyInfo {
            id,
            account_id: new.account_id,
            description: new.description,
            grants: new.grants,
            created_ms: self.now_ms(),
            disabled: false,
            expires_ms: new.expires_ms,
            generation: FIRST_GENERATION,
            unknown: UnknownFields::new(),
        };
        AccessKey { info, secret }
    }

    /// Applies `change` to a key; writes nothing if that leaves it as it is.
    pub(super) async fn change_key(
        &self,
        id: &str,
        change: impl Fn(&mut AccessKey) + Send,
    ) -> Result<AccessKey, IamError> {
        let _forget_when_dropped = self.inner.cache.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (before, value) = self.key_with_value(id).await?;
            let mut after = before.clone();
            change(&mut after);
            if after == before {
                return Ok(after);
            }
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(access_key_key(id), value))
                .put(Space::Records, access_key_key(id), after.encode()?);
            if is_committed(self.commit(mutation).await?) {
                return Ok(after);
            }
        }
        Err(IamError::Contended)
    }

    /// Adds a key to its account unless there is one of its id.
    async fn insert_key(&self, key: &AccessKey) -> Result<Insertion, IamError> {
        let account_id = &key.info.account_id;
        for _ in 0..CONFLICT_RETRIES_MAX {
            if let Some(existing) = read_key(self.engine(), key.id()).await? {
                return Ok(Insertion::Exists(Box::new(existing)));
            }
            if read_account(self.engine(), account_id).await?.is_none() {
                return Err(IamError::NoSuchAccount);
            }
            let count_key = key_count_key(account_id);
            let count_value = self.get(&count_key).await?;
            let count = count_value.as_deref().map_or(Ok(0), decode_key_count)?;
            if usize::try_from(count).unwrap_or(0) >= KEYS_PER_ACCOUNT_MAX {
                return Err(IamError::LimitExceeded {
                    what: "access keys per account",
                    limit: KEYS_PER_ACCOUNT_MAX,
                });
            }

            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Present(account_key(account_id)))
                .require(match count_value {
                    Some(value) => Precondition::Equals(count_key, value),
                    None => Precondition::Absent(count_key),
                });
            put_new_key(&mut mutation, key)?;
            if is_committed(self.commit(mutation).await?) {
                return Ok(Insertion::Done);
            }
        }
        Err(IamError::Contended)
    }

    /// The key and its stored form, to be required unchanged.
    async fn key_with_value(&self, id: &str) -> Result<(AccessKey, Bytes), IamError> {
        if validate::key_id(id).is_err() {
            return Err(IamError::NoSuchKey);
        }
        match self.get(&access_key_key(id)).await? {
            Some(value) => Ok((AccessKey::decode(&value)?, value)),
            None => Err(IamError::NoSuchKey),
        }
    }
}

/// Adds the rows of a key that must not exist yet, and counts it.
pub(super) fn put_new_key(mutation: &mut Mutation, key: &AccessKey) -> Result<(), IamError> {
    let account_id = &key.info.account_id;
    mutation
        .require(Precondition::Absent(access_key_key(key.id())))
        .put(Space::Records, access_key_key(key.id()), key.encode()?)
        .put(
            Space::Records,
            key_by_account_key(account_id, key.id()),
            Bytes::new(),
        )
        .add(key_count_key(account_id), 1);
    Ok(())
}

/// Gives the key another secret, if it is another.
pub(super) fn replace_secret(key: &mut AccessKey, secret: &Secret) {
    if key.secret == *secret {
        return;
    }
    key.secret = secret.clone();
    key.info.generation = key.info.generation.saturating_add(1);
}

pub(super) fn random_key_id() -> Result<String, IamError> {
    Ok(format!(
        "tid_{}",
        random::alphanumeric(KEY_ID_RANDOM_CHARS)?
    ))
}

pub(super) fn random_secret() -> Result<Secret, IamError> {
    Ok(Secret::new(format!(
        "tsec_{}",
        random::alphanumeric(SECRET_RANDOM_CHARS)?
    )))
}

fn validate_new_key(new: &NewKey) -> Result<(), IamError> {
    if !validate::is_canonical_id(&new.account_id) {
        return Err(IamError::NoSuchAccount);
    }
    validate::description(&new.description)?;
    validate::grants(&new.grants)
}

/// Whether `existing` is what importing `key` would have made.
fn is_same_import(existing: &AccessKey, key: &AccessKey) -> bool {
    existing.secret == key.secret
        && existing.info.account_id == key.info.account_id
        && existing.info.description == key.info.description
        && existing.info.grants == key.info.grants
        && existing.info.expires_ms == key.info.expires_ms
}
