//! Temporary credentials: making them, and recognising them again.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use oncilla_meta::{Mutation, Precondition, Reader, Space};

use super::entities::read_entity_by_id;
use super::identity::{attached, compile, read_principal, read_role_session};
use super::keys::random_secret;
use super::{CONFLICT_RETRIES_MAX, Iam, KeyWithAccount, is_committed, read_account, read_key};
use crate::authorize::{KeyPrincipal, Principal};
use crate::error::IamError;
use crate::policy::PolicyKind;
use crate::random;
use crate::rows::access_key::{AccessKey, AccessKeyInfo};
use crate::rows::entity::{Entity, EntityKind};
use crate::rows::token_key::{TokenKey, token_key_key};
use crate::rows::{RowError, UnknownFields};
use crate::secret::Secret;
use crate::session::{Claims, ParentKey, Sealer, SessionCredentials, Subject};

/// What ids of temporary credentials begin with. Source: IAM user guide, "Unique identifiers".
const KEY_ID_PREFIX: &str = "ASIA";

/// Random characters of such an id: 124 bits.
const KEY_ID_RANDOM_CHARS: usize = 24;

/// A session that somebody asked for.
#[derive(Clone, Debug, Default)]
pub struct NewSession {
    /// How long it lasts, in seconds.
    pub duration_s: u64,
    /// The policy that limits it.
    pub policy: Option<String>,
    /// ARNs of managed policies, of the account it acts in, that limit it too.
    pub policy_arns: Vec<String>,
}

/// A credential that was recognised, and its token.
pub(super) struct KnownSession {
    token: Box<str>,
    found: Arc<KeyWithAccount>,
}

/// Why a session token does not count.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SessionRefusal {
    /// It was not made here, or not for this access key id.
    #[error("the security token is not valid")]
    Invalid,
    /// What it depends on was deleted, disabled or rotated since.
    #[error("what the session was made of is no longer there")]
    Ended,
    /// It could not be looked up.
    #[error(transparent)]
    Failed(#[from] IamError),
}

impl From<RowError> for SessionRefusal {
    fn from(error: RowError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<oncilla_meta::EngineError> for SessionRefusal {
    fn from(error: oncilla_meta::EngineError) -> Self {
        Self::Failed(error.into())
    }
}

impl Iam {
    /// Makes credentials that act as `caller` does, for a while.
    ///
    /// # Errors
    /// [`IamError::Random`], [`IamError::Engine`] and [`IamError::Row`].
    pub async fn begin_session(
        &self,
        caller: &KeyWithAccount,
        new: NewSession,
    ) -> Result<SessionCredentials, IamError> {
        self.begin(caller, Subject::Parent, new).await
    }

    /// Makes credentials of a role. Whether `caller` may assume it was judged before.
    ///
    /// # Errors
    /// As [`Iam::begin_session`].
    pub async fn begin_role_session(
        &self,
        caller: &KeyWithAccount,
        account_id: &str,
        role: &Entity,
        session_name: &str,
        new: NewSession,
    ) -> Result<SessionCredentials, IamError> {
        let subject = Subject::Role {
            account_id: account_id.to_owned(),
            role_id: role.id.clone(),
            session_name: session_name.to_owned(),
        };
        self.begin(caller, subject, new).await
    }

    async fn begin(
        &self,
        caller: &KeyWithAccount,
        subject: Subject,
        new: NewSession,
    ) -> Result<SessionCredentials, IamError> {
        let sealer = self.sealer().await?;
        let random = random::upper_alphanumeric(KEY_ID_RANDOM_CHARS)?;
        let access_key_id = format!("{KEY_ID_PREFIX}{random}");
        let secret = random_secret()?;
        let issued_ms = self.now_ms();
        let claims = Claims {
            secret: secret.expose().to_owned(),
            parent: caller.parent_key(),
            subject,
            issued_ms,
            expires_ms: issued_ms.saturating_add(new.duration_s.saturating_mul(1_000)),
            policy: new.policy,
            policy_arns: new.policy_arns,
        };
        let token = sealer.seal(&access_key_id, &claims);
        let token = token.ok_or(IamError::LimitExceeded {
            what: "characters per session token",
            limit: crate::session::TOKEN_CHARS_MAX,
        })?;
        Ok(SessionCredentials {
            access_key_id,
            secret,
            token: Secret::new(token),
            expires_ms: claims.expires_ms,
        })
    }

    /// The temporary credential of this id and token, and the account it acts in, from the cache if
    /// possible. What it depends on is looked up: a change through this door is seen by every
    /// lookup that begins after it was acknowledged.
    ///
    /// It may have expired: see [`Iam::check_usable`].
    ///
    /// # Errors
    /// [`SessionRefusal`].
    pub async fn lookup_session(
        &self,
        access_key_id: &str,
        token: &str,
    ) -> Result<Arc<KeyWithAccount>, SessionRefusal> {
        if let Some(known) = self.inner.sessions.get(access_key_id)
            && verify_slices_are_equal(known.token.as_bytes(), token.as_bytes()).is_ok()
        {
            return Ok(Arc::clone(&known.found));
        }
        let sealer = self.sealer().await?;
        let claims = sealer.open(access_key_id, token);
        let claims = claims.ok_or(SessionRefusal::Invalid)?;
        let ticket = self.inner.sessions.begin_read();
        let snapshot = self.engine().snapshot();
        let found = self.read_session(&*snapshot, access_key_id, claims).await?;
        let found = Arc::new(found);
        let known = Arc::new(KnownSession {
            token: token.into(),
            found: Arc::clone(&found),
        });
        self.inner.sessions.put(ticket, access_key_id, known);
        Ok(found)
    }

    async fn read_session(
        &self,
        reader: &dyn Reader,
        access_key_id: &str,
        claims: Claims,
    ) -> Result<KeyWithAccount, SessionRefusal> {
        let parent = read_key(reader, &claims.parent.id).await?;
        let parent = parent.ok_or(SessionRefusal::Ended)?;
        let is_same = parent.info.created_ms == claims.parent.created_ms
            && parent.info.generation == claims.parent.generation;
        let parent_account = read_account(reader, &parent.info.account_id).await?;
        let parent_account = parent_account
            .ok_or_else(|| RowError::damaged("access key", "its account does not exist"))?;
        if !is_same || parent.info.disabled || parent_account.disabled {
            return Err(SessionRefusal::Ended);
        }
        let (account, mut principal) = match &claims.subject {
            Subject::Parent => {
                let principal = read_principal(reader, &parent).await?;
                (parent_account, principal)
            }
            Subject::Role {
                account_id,
                role_id,
                session_name,
            } => {
                let account = read_account(reader, account_id).await?;
                let account = account.ok_or(SessionRefusal::Ended)?;
                let role = read_entity_by_id(reader, account_id, EntityKind::Role, role_id).await?;
                let role = role.ok_or(SessionRefusal::Ended)?;
                let principal =
                    read_role_session(reader, account_id, &role, access_key_id, session_name);
                (account, principal.await?)
            }
        };
        access_key_id.clone_into(&mut principal.key_id);
        principal.token_issued_ms = Some(claims.issued_ms);
        limit(reader, &mut principal, &claims).await?;
        let parent_expires_ms = parent.info.expires_ms.unwrap_or(u64::MAX);
        let info = AccessKeyInfo {
            id: access_key_id.to_owned(),
            account_id: account.id.clone(),
            description: String::new(),
            grants: principal.grants.clone(),
            user_id: None,
            policies: Vec::new(),
            created_ms: claims.issued_ms,
            disabled: false,
            expires_ms: Some(claims.expires_ms.min(parent_expires_ms)),
            generation: claims.parent.generation,
            unknown: UnknownFields::new(),
        };
        Ok(KeyWithAccount {
            key: AccessKey {
                info,
                secret: Secret::new(claims.secret),
            },
            account,
            principal: Principal::Key(Arc::new(principal)),
            parent: Some(claims.parent),
        })
    }

    /// What seals tokens. Its key is made when it is needed for the first time.
    async fn sealer(&self) -> Result<Arc<Sealer>, IamError> {
        if let Some(sealer) = self.inner.sealer.get() {
            return Ok(Arc::clone(sealer));
        }
        for _ in 0..CONFLICT_RETRIES_MAX {
            if let Some(value) = self.get(&token_key_key()).await? {
                let key = TokenKey::decode(&value)?;
                let sealer = Sealer::new(&key)
                    .ok_or_else(|| RowError::damaged("token key", "not a key of AES-256"))?;
                let sealer = Arc::new(sealer);
                return Ok(Arc::clone(self.inner.sealer.get_or_init(|| sealer)));
            }
            let mut mutation = Mutation::new();
            mutation.require(Precondition::Absent(token_key_key())).put(
                Space::Records,
                token_key_key(),
                TokenKey::random()?.encode()?,
            );
            // Whoever was first: its key counts.
            is_committed(self.commit(mutation).await?);
        }
        Err(IamError::Contended)
    }
}

/// Limits a principal to what its session's policies include.
async fn limit(
    reader: &dyn Reader,
    principal: &mut KeyPrincipal,
    claims: &Claims,
) -> Result<(), IamError> {
    if claims.policy.is_none() && claims.policy_arns.is_empty() {
        return Ok(());
    }
    let mut policies = attached(reader, &principal.account, &claims.policy_arns).await?;
    if let Some(policy) = &claims.policy {
        policies.push(compile(policy, PolicyKind::Session)?);
    }
    principal.session = Some(policies);
    Ok(())
}

impl KeyWithAccount {
    /// Whether it is a temporary credential.
    pub fn is_session(&self) -> bool {
        self.parent.is_some()
    }

    /// The lasting key at the root of it: itself, or what a session was made with.
    fn parent_key(&self) -> ParentKey {
        self.parent.clone().unwrap_or_else(|| ParentKey {
            id: self.key.id().to_owned(),
            created_ms: self.key.info.created_ms,
            generation: self.key.info.generation,
        })
    }
}
