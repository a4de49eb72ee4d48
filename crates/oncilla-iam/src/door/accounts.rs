//! Accounts.

use bytes::Bytes;
use oncilla_meta::{CommitOutcome, Mutation, Precondition, Space};

use super::{CONFLICT_RETRIES_MAX, Iam, Page, is_committed, page_scan, read_account};
use crate::error::IamError;
use crate::rows::access_key::keys_of_account;
use crate::rows::account::{
    Account, account_by_email_key, account_by_name_key, account_key, decode_account_id,
    key_count_key,
};
use crate::rows::entity::{EntityKind, entities_of_account, entity_count_key};
use crate::rows::managed_policy::{policies_of_account, policy_count_key};
use crate::rows::provider::providers_of_account;
use crate::rows::{ACCOUNT_BY_NAME, RowError, UnknownFields, end_of};
use crate::{random, validate};

/// An account to create.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Display name, unique without regard to case: 1 to 64 of `[A-Za-z0-9 ._@+-]`.
    pub name: String,
    /// E-mail address, unique without regard to case.
    pub email: Option<String>,
}

/// What to change of an account; `None` leaves a field as it is.
#[derive(Clone, Debug, Default)]
pub struct AccountUpdate {
    /// The new name.
    pub name: Option<String>,
    /// The new e-mail address, or `Some(None)` for no longer any.
    pub email: Option<Option<String>>,
}

impl Iam {
    /// Creates an account with a random id.
    ///
    /// # Errors
    /// [`IamError::InvalidName`]; [`IamError::AccountExists`] if name or address is taken.
    pub async fn create_account(&self, new: NewAccount) -> Result<Account, IamError> {
        validate::account_name(&new.name)?;
        if let Some(email) = &new.email {
            validate::email(email)?;
        }
        let account = self.fresh_account(new.name, new.email)?;
        for _ in 0..CONFLICT_RETRIES_MAX {
            self.require_names_free(Some(&account.name), account.email.as_deref())
                .await?;
            let mut mutation = Mutation::new();
            put_new_account(&mut mutation, &account)?;
            if is_committed(self.commit(mutation).await?) {
                return Ok(account);
            }
        }
        Err(IamError::Contended)
    }

    /// The account of this id.
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`].
    pub async fn account(&self, id: &str) -> Result<Account, IamError> {
        read_account(self.engine(), id)
            .await?
            .ok_or(IamError::NoSuchAccount)
    }

    /// The account of this name, whatever its case.
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`].
    pub async fn account_by_name(&self, name: &str) -> Result<Account, IamError> {
        if validate::account_name(name).is_err() {
            return Err(IamError::NoSuchAccount);
        }
        let Some(id) = self.get(&account_by_name_key(name)).await? else {
            return Err(IamError::NoSuchAccount);
        };
        self.account(&decode_account_id(&id)?).await
    }

    /// The account of this e-mail address, whatever its case.
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`].
    pub async fn account_by_email(&self, email: &str) -> Result<Account, IamError> {
        if validate::email(email).is_err() {
            return Err(IamError::NoSuchAccount);
        }
        let Some(id) = self.get(&account_by_email_key(email)).await? else {
            return Err(IamError::NoSuchAccount);
        };
        self.account(&decode_account_id(&id)?).await
    }

    /// A page of accounts by name (in lower case), beginning after the name `after`, with at most
    /// `limit` accounts, 1 to [`PAGE_ITEMS_MAX`](crate::PAGE_ITEMS_MAX).
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn list_accounts(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Account>, IamError> {
        let snapshot = self.engine().snapshot();
        let start = Bytes::from_static(ACCOUNT_BY_NAME);
        let end = end_of(ACCOUNT_BY_NAME);
        let page = snapshot
            .scan(page_scan(start, end, after.map(account_by_name_key), limit))
            .await?;

        let mut items = Vec::with_capacity(page.rows.len());
        for row in &page.rows {
            let id = decode_account_id(&row.value)?;
            let Some(account) = read_account(&*snapshot, &id).await? else {
                return Err(RowError::damaged("account index", "names a missing account").into());
            };
            items.push(account);
        }
        let last_name = items.last().map(|account| account.name.clone());
        Ok(Page {
            items,
            next: last_name.filter(|_| page.more),
        })
    }

    /// Changes the name or address of an account, and answers the account as it is then.
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`], [`IamError::InvalidName`]; [`IamError::AccountExists`] if the
    /// new name or address is taken.
    pub async fn update_account(
        &self,
        id: &str,
        update: AccountUpdate,
    ) -> Result<Account, IamError> {
        if let Some(name) = &update.name {
            validate::account_name(name)?;
        }
        if let Some(Some(email)) = &update.email {
            validate::email(email)?;
        }
        self.change_account(id, |account| {
            if let Some(name) = &update.name {
                account.name.clone_from(name);
            }
            if let Some(email) = &update.email {
                account.email.clone_from(email);
            }
        })
        .await
    }

    /// Disables or enables an account: while it is disabled, none of its keys is usable.
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`]; [`IamError::RootAccount`] when disabling the root account.
    pub async fn set_account_disabled(
        &self,
        id: &str,
        disabled: bool,
    ) -> Result<Account, IamError> {
        if disabled && self.is_root(id).await? {
            return Err(IamError::RootAccount);
        }
        self.change_account(id, |account| account.disabled = disabled)
            .await
    }

    /// Deletes an account that has no keys, users, groups, roles, policies or identity providers.
    ///
    /// This crate does not know buckets: the caller passes, as `extra_preconditions`, that the
    /// account owns none. They are checked in the same commit; what makes a bucket belong to an
    /// account must in turn require [`account_present`](crate::account_present).
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`], [`IamError::AccountHasKeys`], [`IamError::AccountHasEntities`],
    /// [`IamError::RootAccount`]; [`IamError::CallersPrecondition`] with the first of `extra_preconditions` that fails.
    pub async fn delete_account(
        &self,
        id: &str,
        extra_preconditions: Vec<Precondition>,
    ) -> Result<(), IamError> {
        if self.is_root(id).await? {
            return Err(IamError::RootAccount);
        }
        let _forget_when_dropped = self.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (account, value) = self.account_with_value(id).await?;
            let (keys_start, keys_end) = keys_of_account(id);
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(account_key(id), value))
                .require(Precondition::RangeEmpty(keys_start, keys_end));
            for (start, end) in entities_of_every_kind(id) {
                mutation.require(Precondition::RangeEmpty(start, end));
            }
            mutation
                .delete(Space::Records, account_key(id))
                .delete(Space::Records, account_by_name_key(&account.name))
                .delete(Space::Records, key_count_key(id))
                .delete(Space::Records, policy_count_key(id));
            for kind in EntityKind::ALL {
                mutation.delete(Space::Records, entity_count_key(id, kind));
            }
            if let Some(email) = &account.email {
                mutation.delete(Space::Records, account_by_email_key(email));
            }
            let own_preconditions = mutation.preconditions.len();
            mutation
                .preconditions
                .extend(extra_preconditions.iter().cloned());
            match self.commit(mutation).await? {
                CommitOutcome::Committed { .. } => return Ok(()),
                CommitOutcome::Conflict { precondition: 0 } => {}
                CommitOutcome::Conflict { precondition: 1 } => {
                    return Err(IamError::AccountHasKeys);
                }
                CommitOutcome::Conflict { precondition } if precondition < own_preconditions => {
                    return Err(IamError::AccountHasEntities);
                }
                CommitOutcome::Conflict { precondition } => {
                    let index = precondition.saturating_sub(own_preconditions);
                    return Err(IamError::CallersPrecondition { index });
                }
            }
        }
        Err(IamError::Contended)
    }

    /// An account that nobody has stored yet.
    pub(super) fn fresh_account(
        &self,
        name: String,
        email: Option<String>,
    ) -> Result<Account, IamError> {
        Ok(Account {
            id: random::canonical_id()?,
            name,
            email,
            created_ms: self.now_ms(),
            disabled: false,
            unknown: UnknownFields::new(),
        })
    }

    /// Refuses a name or address that an account already has.
    pub(super) async fn require_names_free(
        &self,
        name: Option<&str>,
        email: Option<&str>,
    ) -> Result<(), IamError> {
        if let Some(name) = name
            && self.get(&account_by_name_key(name)).await?.is_some()
        {
            return Err(IamError::AccountExists { attribute: "name" });
        }
        if let Some(email) = email
            && self.get(&account_by_email_key(email)).await?.is_some()
        {
            return Err(IamError::AccountExists {
                attribute: "e-mail address",
            });
        }
        Ok(())
    }

    /// The account and its stored form, to be required unchanged.
    async fn account_with_value(&self, id: &str) -> Result<(Account, Bytes), IamError> {
        if !validate::is_canonical_id(id) {
            return Err(IamError::NoSuchAccount);
        }
        match self.get(&account_key(id)).await? {
            Some(value) => Ok((Account::decode(&value)?, value)),
            None => Err(IamError::NoSuchAccount),
        }
    }

    /// Applies `change` to an account and moves its index rows along.
    async fn change_account(
        &self,
        id: &str,
        change: impl Fn(&mut Account) + Send,
    ) -> Result<Account, IamError> {
        let _forget_when_dropped = self.forget_when_dropped();
        for _ in 0..CONFLICT_RETRIES_MAX {
            let (before, value) = self.account_with_value(id).await?;
            let mut after = before.clone();
            change(&mut after);
            if after == before {
                return Ok(after);
            }

            let old_name = account_by_name_key(&before.name);
            let new_name = account_by_name_key(&after.name);
            let old_email = before.email.as_deref().map(account_by_email_key);
            let new_email = after.email.as_deref().map(account_by_email_key);
            let renamed = old_name != new_name;
            let readdressed = old_email != new_email;
            let taken_name = renamed.then_some(after.name.as_str());
            let taken_email = after.email.as_deref().filter(|_| readdressed);
            self.require_names_free(taken_name, taken_email).await?;

            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(account_key(id), value))
                .put(Space::Records, account_key(id), after.encode()?);
            if renamed {
                mutation.delete(Space::Records, old_name);
                put_new_index_row(&mut mutation, new_name, id);
            }
            if readdressed {
                if let Some(old_email) = old_email {
                    mutation.delete(Space::Records, old_email);
                }
                if let Some(new_email) = new_email {
                    put_new_index_row(&mut mutation, new_email, id);
                }
            }
            if is_committed(self.commit(mutation).await?) {
                return Ok(after);
            }
        }
        Err(IamError::Contended)
    }
}

/// The ranges in which an account's users, groups, roles, policies and identity providers lie.
fn entities_of_every_kind(account_id: &str) -> Vec<(Bytes, Bytes)> {
    let of_kind = |kind| entities_of_account(account_id, kind);
    let mut ranges: Vec<_> = EntityKind::ALL.into_iter().map(of_kind).collect();
    ranges.push(policies_of_account(account_id));
    ranges.push(providers_of_account(account_id));
    ranges
}

/// Adds the rows of an account that must not exist yet.
pub(super) fn put_new_account(mutation: &mut Mutation, account: &Account) -> Result<(), IamError> {
    let key = account_key(&account.id);
    mutation
        .require(Precondition::Absent(key.clone()))
        .put(Space::Records, key, account.encode()?);
    put_new_index_row(mutation, account_by_name_key(&account.name), &account.id);
    if let Some(email) = &account.email {
        put_new_index_row(mutation, account_by_email_key(email), &account.id);
    }
    Ok(())
}

fn put_new_index_row(mutation: &mut Mutation, key: Bytes, account_id: &str) {
    mutation.require(Precondition::Absent(key.clone())).put(
        Space::Records,
        key,
        account_id.to_owned(),
    );
}
