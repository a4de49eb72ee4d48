//! Identity providers: who is believed about people from elsewhere.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::entity::Tag;
use super::{FORMAT, PROVIDER, RowError, SEPARATOR, UnknownFields};

const RECORD: &str = "identity provider";

/// A provider of OpenID Connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provider {
    /// Where it is, with its scheme: the `iss` of its tokens.
    pub url: String,
    /// Who tokens may be for (`aud`).
    pub client_ids: Vec<String>,
    /// SHA-1 of certificates, as the client gave them.
    pub thumbprints: Vec<String>,
    /// When it was created, in milliseconds since 1970.
    pub created_ms: u64,
    /// Tags, by key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// What a later version has added.
    #[serde(flatten)]
    pub(crate) unknown: UnknownFields,
}

#[derive(Serialize, Deserialize)]
struct ProviderRow<P> {
    format: u64,
    #[serde(flatten)]
    provider: P,
}

/// Where the provider at this address (without its scheme) is kept.
pub(crate) fn provider_key(account_id: &str, address: &str) -> Bytes {
    let mut key = providers_of_account(account_id).0.to_vec();
    key.extend_from_slice(address.as_bytes());
    Bytes::from(key)
}

/// The range of the providers of an account.
pub(crate) fn providers_of_account(account_id: &str) -> (Bytes, Bytes) {
    let start = Bytes::from([PROVIDER, account_id.as_bytes(), &[SEPARATOR]].concat());
    let end = super::end_of(&start);
    (start, end)
}

impl Provider {
    /// Its address without the scheme, as ARNs have it.
    pub fn address(&self) -> &str {
        match self.url.split_once("://") {
            Some((_, address)) => address,
            None => &self.url,
        }
    }

    /// Its ARN.
    pub fn arn(&self, account_id: &str) -> String {
        crate::arn::provider_arn(account_id, self.address())
    }

    /// The record as it is stored.
    pub(crate) fn encode(&self) -> Result<Bytes, RowError> {
        let row = ProviderRow {
            format: FORMAT,
            provider: self,
        };
        super::encode_json(RECORD, &row)
    }

    /// Reads a stored record.
    pub(crate) fn decode(value: &[u8]) -> Result<Self, RowError> {
        let row: ProviderRow<Self> = super::decode_json(RECORD, value)?;
        Ok(row.provider)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rows::tests::unknown_fields;

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(
            url in "https://[a-z./]{1,20}",
            client_ids in proptest::collection::vec("[a-z]{1,8}", 0..3),
            thumbprints in proptest::collection::vec("[0-9a-f]{40}", 0..3),
            created_ms in any::<u64>(),
            unknown in unknown_fields(),
        ) {
            let tags = Vec::new();
            let provider = Provider { url, client_ids, thumbprints, created_ms, tags, unknown };
            prop_assert_eq!(Provider::decode(&provider.encode().unwrap()), Ok(provider));
        }

        #[test]
        fn any_bytes_are_read_or_refused(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Provider::decode(&value);
        }
    }
}
