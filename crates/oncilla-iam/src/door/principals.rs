//! Whether those exist whom policies name.

use super::Iam;
use crate::arn;
use crate::error::IamError;
use crate::policy::PrincipalPattern;
use crate::rows::entity::EntityKind;
use crate::validate;

impl Iam {
    /// Whether there is the account, user or role that a policy names, letter by letter. A session is
    /// there if its role is. Everybody, and services, are always there.
    ///
    /// Ids that are no account's here or with AWS are those of Ceph's tenants. Nobody is in these, and
    /// policies may name them, as ceph/s3-tests does
    /// (test_get_nonpublicpolicy_principal_bucket_policy_status).
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn exists(&self, principal: &PrincipalPattern) -> Result<bool, IamError> {
        match principal {
            PrincipalPattern::Anyone
            | PrincipalPattern::Service(_)
            | PrincipalPattern::Federated(_) => Ok(true),
            PrincipalPattern::Account(id) if is_tenant(id) => Ok(true),
            PrincipalPattern::Account(id) | PrincipalPattern::CanonicalUser(id) => {
                is_found(self.account(id).await)
            }
            PrincipalPattern::Arn(arn) => self.is_in_account(arn).await,
        }
    }

    /// As [`Iam::exists`], of the ARN of something in an account.
    async fn is_in_account(&self, arn: &str) -> Result<bool, IamError> {
        // `arn:aws:iam::account:kind/name`, which was read before.
        let mut parts = arn.splitn(6, ':').skip(4);
        let (Some(account), Some(resource)) = (parts.next(), parts.next()) else {
            return Ok(false);
        };
        if is_tenant(account) {
            return Ok(true);
        }
        if !is_found(self.account(account).await)? {
            return Ok(false);
        }
        let (kind, path) = resource.split_once('/').unwrap_or((resource, ""));
        let name = path.rsplit('/').next().unwrap_or_default();
        match kind {
            "user" => Ok(self.is_entity(account, EntityKind::User, name, arn).await?
                || self.is_key(account, name, arn).await?),
            "role" => self.is_entity(account, EntityKind::Role, name, arn).await,
            "assumed-role" => {
                let role_name = path.split('/').next().unwrap_or_default();
                let role = self.entity(account, EntityKind::Role, role_name).await;
                let is_letter_by_letter = role.as_ref().is_ok_and(|role| role.name == role_name);
                Ok(is_found(role)? && is_letter_by_letter)
            }
            // What federates users is another system's to know.
            _ => Ok(true),
        }
    }

    async fn is_entity(
        &self,
        account: &str,
        kind: EntityKind,
        name: &str,
        arn: &str,
    ) -> Result<bool, IamError> {
        let entity = self.entity(account, kind, name).await;
        let is_same = entity.as_ref().is_ok_and(|found| found.arn(account) == arn);
        Ok(is_found(entity)? && is_same)
    }

    /// Whether it is a key of the account's own, which acts as a user that is named by the key's id.
    async fn is_key(&self, account: &str, id: &str, arn: &str) -> Result<bool, IamError> {
        let key = self.key(id).await;
        let is_same = key.as_ref().is_ok_and(|key| {
            let info = &key.info;
            info.account_id == account
                && info.user_id.is_none()
                && arn == arn::entity_arn(account, EntityKind::User, "/", id)
        });
        Ok(is_found(key)? && is_same)
    }
}

/// Whether an id of an account can be none of this server's, and is not one of AWS's.
fn is_tenant(account: &str) -> bool {
    !validate::is_aws_account_id(account) && !validate::is_canonical_id(account)
}

fn is_found<T>(found: Result<T, IamError>) -> Result<bool, IamError> {
    match found {
        Ok(_) => Ok(true),
        Err(IamError::NoSuchAccount | IamError::NoSuchKey | IamError::NoSuchEntity { .. }) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
