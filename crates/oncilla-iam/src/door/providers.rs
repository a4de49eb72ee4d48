//! Identity providers.

use oncilla_meta::{Mutation, Precondition, Space};

use super::{CONFLICT_RETRIES_MAX, Iam, is_committed, page_scan, read_account};
use crate::arn::IamArn;
use crate::error::IamError;
use crate::rows::UnknownFields;
use crate::rows::account::account_key;
use crate::rows::entity::Tag;
use crate::rows::provider::{Provider, provider_key, providers_of_account};
use crate::validate::{self, CLIENT_IDS_MAX, PROVIDERS_PER_ACCOUNT_MAX, THUMBPRINTS_MAX};

/// Longest address of a provider. Source: IAM API reference, CreateOpenIDConnectProvider.
const URL_CHARS_MAX: usize = 255;
/// Longest id of a client.
const CLIENT_ID_CHARS_MAX: usize = 255;
/// Length of a thumbprint: SHA-1 in hexadecimal.
const THUMBPRINT_CHARS: usize = 40;

/// An identity provider to register.
#[derive(Clone, Debug)]
pub struct NewProvider {
    /// Where it is.
    pub url: String,
    /// Who tokens may be for.
    pub client_ids: Vec<String>,
    /// SHA-1 of certificates.
    pub thumbprints: Vec<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

fn no_such_provider(arn: &str) -> IamError {
    IamError::NoSuchEntity {
        what: "OpenIDConnect provider",
        name: arn.to_owned(),
    }
}

fn check_lists(client_ids: &[String], thumbprints: &[String]) -> Result<(), IamError> {
    let limited = |what, length: usize, limit| match length > limit {
        true => Err(IamError::LimitExceeded { what, limit }),
        false => Ok(()),
    };
    limited("client ids per provider", client_ids.len(), CLIENT_IDS_MAX)?;
    limited(
        "thumbprints per provider",
        thumbprints.len(),
        THUMBPRINTS_MAX,
    )?;
    let is_id = |id: &String| {
        (1..=CLIENT_ID_CHARS_MAX).contains(&id.len()) && !id.chars().any(char::is_control)
    };
    if !client_ids.iter().all(is_id) {
        return Err(IamError::InvalidName {
            what: "clientID",
            rule: "1 to 255 characters",
        });
    }
    // AWS takes any 40 characters.
    let is_thumbprint = |text: &String| {
        text.len() == THUMBPRINT_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    if !thumbprints.iter().all(is_thumbprint) {
        return Err(IamError::InvalidName {
            what: "thumbprintList",
            rule: "40 letters and digits each",
        });
    }
    Ok(())
}

impl Iam {
    /// Registers an identity provider.
    ///
    /// # Errors
    /// [`IamError::NoSuchAccount`], [`IamError::InvalidName`], [`IamError::EntityExists`],
    /// [`IamError::LimitExceeded`].
    pub async fn create_provider(
        &self,
        account_id: &str,
        new: NewProvider,
    ) -> Result<Provider, IamError> {
        validate::tags(&new.tags)?;
        check_lists(&new.client_ids, &new.thumbprints)?;
        let provider = Provider {
            url: new.url,
            client_ids: new.client_ids,
            thumbprints: new.thumbprints,
            created_ms: self.now_ms(),
            tags: new.tags,
            unknown: UnknownFields::new(),
        };
        let is_web = ["https://", "http://"]
            .iter()
            .any(|scheme| provider.url.starts_with(scheme));
        let is_plain = provider.url.bytes().all(|byte| byte.is_ascii_graphic())
            && !provider.url.contains(['?', '#', '@']);
        if !is_web
            || !is_plain
            || provider.url.len() > URL_CHARS_MAX
            || provider.address().is_empty()
        {
            return Err(IamError::InvalidName {
                what: "url",
                rule: "an address that begins with https:// or http:// and has no query",
            });
        }
        let key = provider_key(account_id, provider.address());
        for _ in 0..CONFLICT_RETRIES_MAX {
            if read_account(self.engine(), account_id).await?.is_none() {
                return Err(IamError::NoSuchAccount);
            }
            let others = self.providers(account_id).await?;
            if others
                .iter()
                .any(|other| other.address() == provider.address())
            {
                return Err(IamError::EntityExists {
                    what: "Provider",
                    name: provider.url,
                });
            }
            if others.len() >= PROVIDERS_PER_ACCOUNT_MAX {
                return Err(IamError::LimitExceeded {
                    what: "identity providers per account",
                    limit: PROVIDERS_PER_ACCOUNT_MAX,
                });
            }
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Present(account_key(account_id)))
                .require(Precondition::Absent(key.clone()))
                .put(Space::Records, key.clone(), provider.encode()?);
            if is_committed(self.commit(mutation).await?) {
                return Ok(provider);
            }
        }
        Err(IamError::Contended)
    }

    /// The identity provider of this ARN.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`].
    pub async fn provider(&self, account_id: &str, arn: &str) -> Result<Provider, IamError> {
        let key = key_of_arn(account_id, arn)?;
        match self.get(&key).await? {
            Some(value) => Ok(Provider::decode(&value)?),
            None => Err(no_such_provider(arn)),
        }
    }

    /// All identity providers of an account, by address.
    ///
    /// # Errors
    /// [`IamError::Engine`] and [`IamError::Row`].
    pub async fn providers(&self, account_id: &str) -> Result<Vec<Provider>, IamError> {
        let (start, end) = providers_of_account(account_id);
        // A row more than the limit shows that it is reached.
        let scan = page_scan(start, end, None, PROVIDERS_PER_ACCOUNT_MAX + 1);
        let page = self.engine().scan(scan).await?;
        let decode = |row: &oncilla_meta::Row| Ok(Provider::decode(&row.value)?);
        page.rows.iter().map(decode).collect()
    }

    /// Changes the lists of an identity provider.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`], [`IamError::InvalidName`], [`IamError::LimitExceeded`].
    pub async fn change_provider(
        &self,
        account_id: &str,
        arn: &str,
        change: impl Fn(&mut Provider) + Send,
    ) -> Result<(), IamError> {
        let key = key_of_arn(account_id, arn)?;
        for _ in 0..CONFLICT_RETRIES_MAX {
            let value = self.get(&key).await?.ok_or_else(|| no_such_provider(arn))?;
            let mut provider = Provider::decode(&value)?;
            change(&mut provider);
            check_lists(&provider.client_ids, &provider.thumbprints)?;
            let mut mutation = Mutation::new();
            mutation
                .require(Precondition::Equals(key.clone(), value))
                .put(Space::Records, key.clone(), provider.encode()?);
            if is_committed(self.commit(mutation).await?) {
                return Ok(());
            }
        }
        Err(IamError::Contended)
    }

    /// Removes an identity provider.
    ///
    /// # Errors
    /// [`IamError::NoSuchEntity`].
    pub async fn delete_provider(&self, account_id: &str, arn: &str) -> Result<(), IamError> {
        let key = key_of_arn(account_id, arn)?;
        let mut mutation = Mutation::new();
        mutation
            .require(Precondition::Present(key.clone()))
            .delete(Space::Records, key);
        match is_committed(self.commit(mutation).await?) {
            true => Ok(()),
            false => Err(no_such_provider(arn)),
        }
    }
}

fn key_of_arn(account_id: &str, arn: &str) -> Result<bytes::Bytes, IamError> {
    let parsed = IamArn::parse(arn);
    let parsed = parsed.filter(|this| this.account == account_id && this.kind == "oidc-provider");
    let Some(parsed) = parsed else {
        return Err(no_such_provider(arn));
    };
    let path = parsed.path.strip_prefix('/').unwrap_or_default();
    Ok(provider_key(account_id, &format!("{path}{}", parsed.name)))
}
