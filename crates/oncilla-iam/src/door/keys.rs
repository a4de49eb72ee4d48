//! Access keys.

use bytes::Bytes;
use oncilla_meta::{Mutation, Precondition, Space};
use serde::{Deserialize, Serialize};

use super::{CONFLICT_RETRIES_MAX, Iam, Page, is_committed, page_scan, read_account, read_key};
use crate::arn::entity_arn;
use crate::error::IamError;
use crate::grant::Grant;
use crate::rows::access_key::{
    AccessKey, AccessKeyInfo, access_key_key, key_by_account_key, key_id_of_index_row,
    keys_of_account,
};
use crate::rows::account::{account_key, decode_key_count, key_count_key};
use crate::rows::entity::{Entity, EntityKind, entity_by_id_key};
use crate::rows::relation::{
    HolderKind, attachment_key, key_by_user_key, keys_of_user, user_key_of_row,
};
use crate::rows::{RowError, UnknownFields};
use crate::secret::Secret;
use crate::validate::{KEYS_PER_ACCOUNT_MAX, KEYS_PER_USER_MAX};
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

/// The IAM user of a key, whose policies say what the key may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUser {
    /// The user's name.
    pub name: String,
    /// The user's ARN.
    pub arn: String,
    /// ARNs of the managed policies that are attached to the user.
    pub policies: Vec<String>,
    /// Names of the policies that are the user's own.
    pub inline_policies: Vec<String>,
    /// Names of the groups that the user is in, whose policies count as well.
    pub groups: Vec<String>,
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

    /// Creates a key of a user, with a random id and secret. What it may do is what the user may.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`] if the user is gone, [`IamError::LimitExceeded`].
    pub async fn create_user_key(
        &self,
        account_id: &str,
        user: &Entity,
    ) -> Result<AccessKey, IamError> {
        let new = NewKey {
            account_id: account_id.to_owned(),
            description: String::new(),
            grants: Vec::new(),
            expires_ms: None,
        };
        let mut key = self.fresh_key(random_key_id()?, random_secret()?, new);
        key.info.user_id = Some(user.id.clone());
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

    /// Whose key it is; `None` for a key of the account itself, or if the user is gone since the key
    /// was read.
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn user_of_key(&self, key: &AccessKeyInfo) -> Result<Option<KeyUser>, IamError> {
        let Some(id) = &key.user_id else {
            return Ok(None);
        };
        let (account_id, kind) = (key.account_id.as_str(), EntityKind::User);
        let user = match self.entity_by_id(account_id, kind, id).await {
            Ok(user) => user,
            Err(IamError::NoSuchEntity { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let groups = self.groups_of(account_id, &user).await?;
        Ok(Some(KeyUser {
            arn: entity_arn(account_id, kind, &user.path, &user.name),
            name: user.name,
            policies: user.attached_policies,
            inline_policies: user.inline_policies.into_keys().collect(),
            groups: groups.into_iter().map(|group| group.name).collect(),
        }))
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

    /// A page of a user's keys by id, without secrets, beginning after the id `after`.
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn list_user_keys(
        &self,
        account_id: &str,
        user: &Entity,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AccessKeyInfo>, IamError> {
        let snapshot = self.engine().snapshot();
        let (start, end) = keys_of_user(account_id, &user.id);
        let after = after.map(|id| key_by_user_key(account_id, &user.id, id));
        let page = snapshot.scan(page_scan(start, end, after, limit)).await?;
        let mut items = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            let id = user_key_of_row(&row.key, account_id, &user.id)?;
            let Some(key) = read_key(&*snapshot, &id).await? else {
                return Err(RowError::damaged("key of a user", "names a missing key").into());
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
            if self.key(id).await?.info.user_id.is_some() {
                return Err(IamError::InvalidName {
                    what: "grants",
                    rule: "none, since it is the key of a user, whose policies count",
                });
            }
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
        let _forget_when_dropped = self.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (key, value) = self.key_with_value(id).await?;
            let account_id = &key.info.account_id;
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(access_key_key(id), value))
                .delete(Space::Records, access_key_key(id))
                .delete(Space::Records, key_by_account_key(account_id, id))
                .add(key_count_key(account_id), -1);
            if let Some(user_id) = &key.info.user_id {
                mutation.delete(Space::Records, key_by_user_key(account_id, user_id, id));
            }
            for arn in &key.info.policies {
                let row = attachment_key(account_id, arn, HolderKind::Key, id);
                mutation.delete(Space::Records, row);
            }
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
            user_id: None,
            policies: Vec::new(),
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
        let _forget_when_dropped = self.forget_when_dropped();
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
            if let Some(user_id) = &key.info.user_id {
                self.require_room(&mut mutation, account_id, user_id)
                    .await?;
            }
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

    /// Makes a mutation require the user of a key to be added, which must not have as many as it
    /// may. (That it gets no other meanwhile is what the account's counter is required for.)
    async fn require_room(
        &self,
        mutation: &mut Mutation,
        account_id: &str,
        user_id: &str,
    ) -> Result<(), IamError> {
        let user_row = entity_by_id_key(account_id, user_id);
        if self.get(&user_row).await?.is_none() {
            return Err(IamError::NoSuchEntity {
                what: "user",
                name: user_id.to_owned(),
            });
        }
        let (start, end) = keys_of_user(account_id, user_id);
        let scan = page_scan(start, end, None, KEYS_PER_USER_MAX);
        if self.engine().scan(scan).await?.rows.len() >= KEYS_PER_USER_MAX {
            return Err(IamError::LimitExceeded {
                what: "AccessKeysPerUser",
                limit: KEYS_PER_USER_MAX,
            });
        }
        mutation.require(Precondition::Present(user_row));
        Ok(())
    }

    /// The key and its stored form, to be required unchanged.
    pub(super) async fn key_with_value(&self, id: &str) -> Result<(AccessKey, Bytes), IamError> {
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
    if let Some(user_id) = &key.info.user_id {
        let row = key_by_user_key(account_id, user_id, key.id());
        mutation.put(Space::Records, row, Bytes::new());
    }
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
