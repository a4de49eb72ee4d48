//! The door: accounts and keys in an engine, and a small cache in front of lookups.

mod accounts;
mod entities;
mod identity;
mod keys;
mod managed_policies;
mod principals;
mod providers;
mod root;
mod sessions;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use oncilla_meta::{
    CommitOutcome, Engine, ForgetWhenDropped, LookupCache, Mutation, Precondition, Reader, Scan,
    Space,
};

use self::sessions::KnownSession;
use crate::authorize::{KeyPrincipal, Principal};
use crate::error::IamError;
use crate::rows::RowError;
use crate::rows::access_key::{AccessKey, access_key_key};
use crate::rows::account::{Account, account_key};
use crate::session::{ParentKey, Sealer};
use crate::validate::{self, PAGE_ITEMS_MAX};

pub use self::accounts::{AccountUpdate, NewAccount};
pub use self::entities::{EntityUpdate, NewEntity, no_such_inline_policy};
pub use self::keys::{ImportKey, KeyUpdate, KeyUser, NewKey};
pub use self::managed_policies::{NewPolicy, PolicyHolder, PolicyScope};
pub use self::providers::NewProvider;
pub use self::root::Root;
pub use self::sessions::{NewSession, SessionRefusal};

/// How often a change is tried again because somebody else changed the same rows. Each round that
/// one loses another wins, so this is more than there can be requests in flight.
const CONFLICT_RETRIES_MAX: usize = 1_000;

/// Most keys cached: as many as one account may have, about 10 MB with few grants each.
const KEYS_CACHED_MAX: usize = 10_000;

/// How long a cached key counts, which bounds how long a change by another process goes unseen.
const KEY_CACHED_FOR: Duration = Duration::from_secs(5);

/// Most sessions cached: about 10 MB, since their tokens are kept with them.
const SESSIONS_CACHED_MAX: usize = 2_000;

/// A wall clock in milliseconds since 1970.
type Clock = dyn Fn() -> u64 + Send + Sync;

/// Accounts and keys. Cheap to clone; clones share one cache.
#[derive(Clone)]
pub struct Iam {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn Engine>,
    now_ms: Arc<Clock>,
    cache: LookupCache<KeyWithAccount>,
    sessions: LookupCache<KnownSession>,
    sealer: OnceLock<Arc<Sealer>>,
}

/// An access key and the account it acts for, as they were at one moment.
#[derive(Clone, Debug)]
pub struct KeyWithAccount {
    /// The key.
    pub key: AccessKey,
    /// Its account.
    pub account: Account,
    principal: Principal,
    /// What a temporary credential was made with.
    parent: Option<ParentKey>,
}

/// Why a key that exists may not be used now. S3 answers all of them with `InvalidAccessKeyId` or
/// `AccessDenied`; the difference is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum KeyRefusal {
    /// The key is disabled.
    #[error("the access key is disabled")]
    KeyDisabled,
    /// The account of the key is disabled.
    #[error("the account of the access key is disabled")]
    AccountDisabled,
    /// The key has expired.
    #[error("the access key has expired")]
    Expired,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The items, in the listing's order.
    pub items: Vec<T>,
    /// What to pass as `after` for the next page; `None` after the last one.
    pub next: Option<String>,
}

impl KeyWithAccount {
    fn new(key: AccessKey, account: Account, principal: KeyPrincipal) -> Self {
        Self {
            key,
            account,
            principal: Principal::Key(Arc::new(principal)),
            parent: None,
        }
    }

    /// Who asks, once key and signature were found good. Cloning it is cheap.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Why the key may not be used at `now_ms` (milliseconds since 1970), if so.
    pub fn refusal(&self, now_ms: u64) -> Option<KeyRefusal> {
        if self.key.info.disabled {
            return Some(KeyRefusal::KeyDisabled);
        }
        if self.account.disabled {
            return Some(KeyRefusal::AccountDisabled);
        }
        if self
            .key
            .info
            .expires_ms
            .is_some_and(|expires_ms| now_ms >= expires_ms)
        {
            return Some(KeyRefusal::Expired);
        }
        None
    }
}

/// A precondition that the account exists, for mutations that make something belong to it: the
/// counterpart of the preconditions that [`Iam::delete_account`] takes.
pub fn account_present(account_id: &str) -> Precondition {
    Precondition::Present(account_key(account_id))
}

impl Iam {
    /// Opens the door to what `engine` keeps. `now_ms` is the wall clock in milliseconds since
    /// 1970; it dates records and judges expiry.
    pub fn new(engine: Arc<dyn Engine>, now_ms: Arc<dyn Fn() -> u64 + Send + Sync>) -> Self {
        Self::with_cache(
            engine,
            now_ms,
            LookupCache::new(KEYS_CACHED_MAX, KEY_CACHED_FOR),
        )
    }

    fn with_cache(
        engine: Arc<dyn Engine>,
        now_ms: Arc<Clock>,
        cache: LookupCache<KeyWithAccount>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                engine,
                now_ms,
                cache,
                sessions: LookupCache::new(SESSIONS_CACHED_MAX, KEY_CACHED_FOR),
                sealer: OnceLock::new(),
            }),
        }
    }

    /// The key of this id and its account, from the cache if possible. `None` if there is none,
    /// or if the id could not be one.
    ///
    /// A change through this door (or a clone of it) is seen by every lookup that begins after it
    /// was acknowledged; a change by another process that shares the engine within 5 seconds.
    ///
    /// The key may be disabled or expired: see [`Iam::check_usable`].
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn lookup(
        &self,
        access_key_id: &str,
    ) -> Result<Option<Arc<KeyWithAccount>>, IamError> {
        if let Some(cached) = self.inner.cache.get(access_key_id) {
            return Ok(Some(cached));
        }
        let ticket = self.inner.cache.begin_read();
        let snapshot = self.inner.engine.snapshot();
        let Some(key) = read_key(&*snapshot, access_key_id).await? else {
            // Absence is not cached: made-up ids must not push out real keys.
            return Ok(None);
        };
        let Some(account) = read_account(&*snapshot, &key.info.account_id).await? else {
            return Err(RowError::damaged("access key", "its account does not exist").into());
        };
        let principal = identity::read_principal(&*snapshot, &key).await?;
        let found = Arc::new(KeyWithAccount::new(key, account, principal));
        self.inner
            .cache
            .put(ticket, access_key_id, Arc::clone(&found));
        Ok(Some(found))
    }

    /// Judges by this door's clock whether a key that was looked up may be used now.
    ///
    /// # Errors
    /// The [`KeyRefusal`] if it may not.
    pub fn check_usable(&self, found: &KeyWithAccount) -> Result<(), KeyRefusal> {
        match found.refusal(self.now_ms()) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    /// This door's clock, in milliseconds since 1970: what conditions on the time are judged by.
    pub fn clock_ms(&self) -> u64 {
        self.now_ms()
    }

    fn now_ms(&self) -> u64 {
        (self.inner.now_ms)()
    }

    /// Makes the caches forget when dropped; see [`Iam::commit`].
    fn forget_when_dropped(&self) -> [ForgetWhenDropped<'_>; 2] {
        [
            self.inner.cache.forget_when_dropped(),
            self.inner.sessions.forget_when_dropped(),
        ]
    }

    fn engine(&self) -> &dyn Engine {
        &*self.inner.engine
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, IamError> {
        Ok(self.engine().get(Space::Records, key).await?)
    }

    /// Commits a mutation. Whoever changes or removes rows holds a
    /// [`ForgetWhenDropped`](oncilla_meta::ForgetWhenDropped) from before it reads them: also when
    /// the commit fails or is abandoned, since it may have been applied nevertheless, and when
    /// nothing is left to change, since whoever did it may not have been answered yet. Rows that are
    /// only added are in no entry of the cache.
    async fn commit(&self, mutation: Mutation) -> Result<CommitOutcome, IamError> {
        Ok(self.engine().commit(mutation).await?)
    }
}

async fn read_key(reader: &dyn Reader, key_id: &str) -> Result<Option<AccessKey>, IamError> {
    if validate::key_id(key_id).is_err() {
        return Ok(None);
    }
    let Some(value) = reader.get(Space::Records, &access_key_key(key_id)).await? else {
        return Ok(None);
    };
    let key = AccessKey::decode(&value)?;
    if key.id() != key_id {
        return Err(RowError::damaged("access key", "it lies under another id").into());
    }
    Ok(Some(key))
}

async fn read_account(reader: &dyn Reader, id: &str) -> Result<Option<Account>, IamError> {
    if !validate::is_canonical_id(id) {
        return Ok(None);
    }
    let Some(value) = reader.get(Space::Records, &account_key(id)).await? else {
        return Ok(None);
    };
    let account = Account::decode(&value)?;
    if account.id != id {
        return Err(RowError::damaged("account", "it lies under another id").into());
    }
    Ok(Some(account))
}

/// A scan over one page of `start..end`, from just after `after` on.
fn page_scan(start: Bytes, end: Bytes, after: Option<Bytes>, limit: usize) -> Scan {
    let start = match after {
        // The smallest key beyond `after` is `after` and a zero byte.
        Some(after) => Bytes::from([after.as_ref(), &[0]].concat()).max(start),
        None => start,
    };
    let limit_rows = limit.clamp(1, PAGE_ITEMS_MAX);
    Scan {
        space: Space::Records,
        start,
        end,
        reverse: false,
        limit_rows,
    }
}

fn is_committed(outcome: CommitOutcome) -> bool {
    matches!(outcome, CommitOutcome::Committed { .. })
}

#[cfg(test)]
mod tests;
