//! The root account: who administers a store that nobody has been let into yet.

use oncilla_meta::{Mutation, Precondition, Space};

use super::accounts::put_new_account;
use super::keys::{put_new_key, random_key_id, random_secret, replace_secret};
use super::{CONFLICT_RETRIES_MAX, Iam, ImportKey, NewKey, is_committed, read_key};
use crate::error::IamError;
use crate::grant::Grant;
use crate::role::Role;
use crate::rows::access_key::AccessKey;
use crate::rows::account::Account;
use crate::rows::root::{RootPointer, root_key};
use crate::rows::{RowError, UnknownFields};
use crate::secret::Secret;
use crate::validate;

/// Name of the root account when it is created; it may be renamed.
const ROOT_NAME: &str = "root";

/// Description of keys made for the root account.
const ROOT_KEY_DESCRIPTION: &str = "root";

/// The root account as [`Iam::ensure_root`] left it.
#[derive(Clone, Debug)]
pub struct Root {
    /// The account.
    pub account: Account,
    /// The preset key, or else the key made at the first start; `None` if that one was deleted
    /// since.
    pub key: Option<AccessKey>,
    /// Whether this call created the account: then a generated secret should be shown, once.
    pub created: bool,
}

impl Iam {
    /// Makes sure that there is a root account, and that the preset key (id and secret) works.
    ///
    /// On the first start it creates the account and its key with Admin on `*`, preset or
    /// generated. On later starts without a preset it changes nothing. On later starts with a
    /// preset that key is added, or brought back to this secret, enabled, without expiry and with
    /// Admin on `*`, so that scripts can rely on it; other keys stay as they are.
    ///
    /// # Errors
    /// [`IamError::InvalidName`] for an unusable preset; [`IamError::KeyExists`] if the preset id
    /// belongs to another account; [`IamError::AccountExists`] if, before the first start, some
    /// account was called "root"; [`IamError::LimitExceeded`] if the root account is full of keys.
    pub async fn ensure_root(&self, preset: Option<(String, Secret)>) -> Result<Root, IamError> {
        if let Some((id, secret)) = &preset {
            validate::key_id(id)?;
            validate::secret(secret.expose())?;
        }
        for _ in 0..CONFLICT_RETRIES_MAX {
            if let Some(pointer) = self.root_pointer().await? {
                return self.existing_root(pointer, preset).await;
            }
            if let Some(root) = self.try_create_root(preset.clone()).await? {
                return Ok(root);
            }
        }
        Err(IamError::Contended)
    }

    /// Whether the account of this id is the root account.
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn is_root(&self, account_id: &str) -> Result<bool, IamError> {
        let pointer = self.root_pointer().await?;
        Ok(pointer.is_some_and(|pointer| pointer.account_id == account_id))
    }

    async fn root_pointer(&self) -> Result<Option<RootPointer>, IamError> {
        match self.get(&root_key()).await? {
            Some(value) => Ok(Some(RootPointer::decode(&value)?)),
            None => Ok(None),
        }
    }

    /// Creates the root account with its key, all or nothing; `None` if somebody else was first.
    async fn try_create_root(
        &self,
        preset: Option<(String, Secret)>,
    ) -> Result<Option<Root>, IamError> {
        let (key_id, secret) = match preset {
            Some(preset) => preset,
            None => (random_key_id()?, random_secret()?),
        };
        let account = self.fresh_account(ROOT_NAME.to_owned(), None)?;
        let key = self.fresh_key(key_id, secret, root_key_settings(&account.id));
        let pointer = RootPointer {
            account_id: account.id.clone(),
            key_id: key.id().to_owned(),
            unknown: UnknownFields::new(),
        };
        let mut mutation = Mutation::new();
        mutation.require(Precondition::Absent(root_key())).put(
            Space::Records,
            root_key(),
            pointer.encode()?,
        );
        put_new_account(&mut mutation, &account)?;
        put_new_key(&mut mutation, &key)?;
        if is_committed(self.commit(mutation).await?) {
            return Ok(Some(Root {
                account,
                key: Some(key),
                created: true,
            }));
        }
        if self.root_pointer().await?.is_none() {
            // Not another root, so it was the name or the key id that was taken.
            self.require_names_free(Some(ROOT_NAME), None).await?;
            if read_key(self.engine(), key.id()).await?.is_some() {
                return Err(IamError::KeyExists);
            }
        }
        Ok(None)
    }

    async fn existing_root(
        &self,
        pointer: RootPointer,
        preset: Option<(String, Secret)>,
    ) -> Result<Root, IamError> {
        let account = match self.account(&pointer.account_id).await {
            Err(IamError::NoSuchAccount) => {
                return Err(RowError::damaged("root pointer", "names a missing account").into());
            }
            other => other?,
        };
        let key = match preset {
            Some((id, secret)) => Some(self.ensure_root_key(&account.id, id, secret).await?),
            None => {
                let first = read_key(self.engine(), &pointer.key_id).await?;
                first.filter(|key| key.info.account_id == account.id)
            }
        };
        Ok(Root {
            account,
            key,
            created: false,
        })
    }

    /// Adds the preset key to the root account, or repairs it.
    async fn ensure_root_key(
        &self,
        account_id: &str,
        id: String,
        secret: Secret,
    ) -> Result<AccessKey, IamError> {
        let key = root_key_settings(account_id);
        let import = ImportKey {
            id: id.clone(),
            secret: secret.clone(),
            key,
        };
        let imported = self.import_key(import).await;
        if !matches!(imported, Ok(_) | Err(IamError::KeyExists)) {
            return imported;
        }
        let repaired = self
            .change_key(&id, |key| {
                if key.info.account_id != account_id {
                    return;
                }
                replace_secret(key, &secret);
                key.info.disabled = false;
                key.info.expires_ms = None;
                key.info.grants = root_key_settings(account_id).grants;
            })
            .await?;
        if repaired.info.account_id != account_id {
            return Err(IamError::KeyExists);
        }
        Ok(repaired)
    }
}

/// What a key of the root account is: Admin on everything.
fn root_key_settings(account_id: &str) -> NewKey {
    NewKey {
        account_id: account_id.to_owned(),
        description: ROOT_KEY_DESCRIPTION.to_owned(),
        grants: vec![Grant::new("*", Role::Admin)],
        expires_ms: None,
    }
}
