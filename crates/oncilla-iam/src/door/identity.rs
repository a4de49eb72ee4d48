//! Who a key acts as, and all policies that say what it may do.

use std::sync::Arc;

use oncilla_meta::Reader;

use super::entities::{read_entity_by_id, read_groups};
use super::managed_policies::read_policy;
use crate::arn;
use crate::authorize::KeyPrincipal;
use crate::error::IamError;
use crate::policy::{CallerKind, Policy, PolicyKind};
use crate::rows::RowError;
use crate::rows::access_key::AccessKey;
use crate::rows::entity::{Entity, EntityKind};

/// Reads who a key acts as: its user, or its account as far as the key's roles go.
pub(super) async fn read_principal(
    reader: &dyn Reader,
    key: &AccessKey,
) -> Result<KeyPrincipal, IamError> {
    let account_id = &key.info.account_id;
    let Some(user_id) = &key.info.user_id else {
        let principal = KeyPrincipal::new(account_id, key.id(), key.info.grants.clone());
        let mut principal =
            principal.map_err(|error| RowError::damaged("access key", error.to_string()))?;
        let attached = attached(reader, account_id, &key.info.policies).await?;
        principal.policies.extend(attached);
        return Ok(principal);
    };
    let user = read_entity_by_id(reader, account_id, EntityKind::User, user_id).await?;
    let user = user.ok_or_else(|| RowError::damaged("access key", "its user does not exist"))?;
    let mut policies = policies_of(reader, account_id, &user).await?;
    for group in read_groups(reader, account_id, &user).await? {
        policies.extend(policies_of(reader, account_id, &group).await?);
    }
    Ok(KeyPrincipal {
        account: account_id.clone(),
        key_id: key.id().to_owned(),
        grants: Vec::new(),
        sees_every_bucket: true,
        kind: CallerKind::User,
        arn: user.arn(account_id),
        role_arn: None,
        user_name: Some(user.name),
        user_id: user.id,
        tags: user.tags,
        policies,
        session: None,
        token_issued_ms: None,
    })
}

/// Who a session of a role acts as, but for what its token says.
pub(super) async fn read_role_session(
    reader: &dyn Reader,
    account_id: &str,
    role: &Entity,
    key_id: &str,
    session_name: &str,
) -> Result<KeyPrincipal, IamError> {
    Ok(KeyPrincipal {
        account: account_id.to_owned(),
        key_id: key_id.to_owned(),
        grants: Vec::new(),
        sees_every_bucket: true,
        kind: CallerKind::AssumedRole,
        arn: arn::session_arn(account_id, &role.name, session_name),
        role_arn: Some(role.arn(account_id)),
        user_name: None,
        user_id: format!("{}:{session_name}", role.id),
        tags: role.tags.clone(),
        policies: policies_of(reader, account_id, role).await?,
        session: None,
        token_issued_ms: None,
    })
}

/// The policies of an entity, its own and those attached.
async fn policies_of(
    reader: &dyn Reader,
    account_id: &str,
    entity: &Entity,
) -> Result<Vec<Arc<Policy>>, IamError> {
    let mut policies = attached(reader, account_id, &entity.attached_policies).await?;
    for document in entity.inline_policies.values() {
        policies.push(compile(document, PolicyKind::Identity)?);
    }
    Ok(policies)
}

/// The managed policies of these ARNs. One that is gone allows nothing.
pub(super) async fn attached(
    reader: &dyn Reader,
    account_id: &str,
    arns: &[String],
) -> Result<Vec<Arc<Policy>>, IamError> {
    let mut policies = Vec::with_capacity(arns.len());
    for arn in arns {
        let Some(policy) = read_policy(reader, account_id, arn).await? else {
            continue;
        };
        if let Some(version) = policy.default_document() {
            policies.push(compile(&version.document, PolicyKind::Identity)?);
        }
    }
    Ok(policies)
}

/// Compiles a policy that was found good when it was stored.
pub(super) fn compile(document: &str, kind: PolicyKind<'_>) -> Result<Arc<Policy>, RowError> {
    match Policy::parse(document.as_bytes(), kind) {
        Ok(policy) => Ok(Arc::new(policy)),
        Err(error) => Err(RowError::damaged("policy", error.to_string())),
    }
}
