//! The signing key, derived from a secret for one day, region and service.

use oncilla_hash::{HmacSha256Key, hmac_sha256};

use super::{SCOPE_TERMINATOR, Scope};

/// The key that signs everything within one [`Scope`]. Deriving it costs four HMACs, so callers
/// with many requests keep it per access key and scope. Its `Debug` shows nothing of the key.
#[derive(Clone, Debug)]
pub struct SigningKey(HmacSha256Key);

impl SigningKey {
    /// Derives the key: HMAC chained over day, region, service and `aws4_request`, starting from
    /// `AWS4` followed by the secret.
    pub fn derive(secret_access_key: &str, scope: &Scope<'_>) -> Self {
        let mut initial = Vec::with_capacity(4 + secret_access_key.len());
        initial.extend_from_slice(b"AWS4");
        initial.extend_from_slice(secret_access_key.as_bytes());
        let day = hmac_sha256(&initial, scope.day.as_bytes());
        let region = hmac_sha256(&day, scope.region.as_bytes());
        let service = hmac_sha256(&region, scope.service.as_bytes());
        let signing = hmac_sha256(&service, SCOPE_TERMINATOR.as_bytes());
        Self(HmacSha256Key::new(&signing))
    }

    /// The raw tag of `string_to_sign`.
    pub(crate) fn sign(&self, string_to_sign: &[u8]) -> [u8; 32] {
        self.0.sign(string_to_sign)
    }

    /// The signature of any text as lower-case hexadecimal, as for the policy of a POST form.
    pub fn sign_hex(&self, string_to_sign: &[u8]) -> String {
        oncilla_hash::hex::encode(&self.sign(string_to_sign))
    }
}
