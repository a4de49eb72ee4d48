//! Session tokens: all there is to know of a temporary credential, sealed.
//!
//! Nothing is stored for a session. Its token carries what it may do and until when, encrypted and
//! authenticated (AES-256-GCM) with a key that only the server has, and bound to the access key id
//! beside which it is sent. What it refers to (the role or user, the key it was made with) is looked
//! up when it is used, so that deleting or disabling one of these ends it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::rows::token_key::TokenKey;
use crate::secret::Secret;

/// The form of tokens that is written and read.
const VERSION: u8 = 1;

/// Length of a nonce at the front of a token.
const HEAD_BYTES: usize = 1 + NONCE_LEN;

/// Longest token: a session policy of 2,048 characters, which JSON and base64 make up to four times
/// as long, ten ARNs, and room. Headers have 32 KiB in all.
pub const TOKEN_CHARS_MAX: usize = 16 * 1024;

/// What a session's credentials are made with, and end with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParentKey {
    pub(crate) id: String,
    /// With the generation it tells the key from a later one of its id, and from its own secret
    /// before it was rotated.
    pub(crate) created_ms: u64,
    pub(crate) generation: u64,
}

/// As whom a session acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Subject {
    /// As whoever the parent key is.
    Parent,
    /// As a role.
    Role {
        account_id: String,
        role_id: String,
        session_name: String,
    },
}

/// What a token says.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) secret: String,
    pub(crate) parent: ParentKey,
    pub(crate) subject: Subject,
    pub(crate) issued_ms: u64,
    pub(crate) expires_ms: u64,
    /// The session policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) policy: Option<String>,
    /// ARNs of managed policies that limit the session too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) policy_arns: Vec<String>,
}

impl fmt::Debug for Claims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Claims")
            .field("parent", &self.parent)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// A temporary credential, as it is told once to whoever asked for it.
#[derive(Clone, Debug)]
pub struct SessionCredentials {
    /// Its access key id.
    pub access_key_id: String,
    /// Its secret.
    pub secret: Secret,
    /// Its token, which goes along with every request.
    pub token: Secret,
    /// When it ceases to work, in milliseconds since 1970.
    pub expires_ms: u64,
}

/// Seals and opens tokens.
pub(crate) struct Sealer {
    key: RandomizedNonceKey,
}

impl Sealer {
    /// `None` if the library refuses the key, which it does for none of this length.
    pub(crate) fn new(key: &TokenKey) -> Option<Self> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, &key.bytes).ok()?;
        Some(Self { key })
    }

    /// The token of a credential. `None` if it cannot be sealed.
    pub(crate) fn seal(&self, access_key_id: &str, claims: &Claims) -> Option<String> {
        let mut sealed = serde_json::to_vec(claims).ok()?;
        let aad = bound_to(access_key_id);
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(aad), &mut sealed)
            .ok()?;
        let mut token = Vec::with_capacity(HEAD_BYTES + sealed.len());
        token.push(VERSION);
        token.extend_from_slice(nonce.as_ref());
        token.extend_from_slice(&sealed);
        let text = URL_SAFE_NO_PAD.encode(token);
        (text.len() <= TOKEN_CHARS_MAX).then_some(text)
    }

    /// What a token says; `None` if it was not sealed here for this access key id.
    pub(crate) fn open(&self, access_key_id: &str, token: &str) -> Option<Claims> {
        if token.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (head, sealed) = bytes.split_at_mut_checked(HEAD_BYTES)?;
        let (version, nonce) = head.split_first()?;
        if *version != VERSION {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from(bound_to(access_key_id));
        let text = self.key.open_in_place(nonce, aad, sealed).ok()?;
        serde_json::from_slice(text).ok()
    }
}

/// What a token is authenticated together with.
fn bound_to(access_key_id: &str) -> Vec<u8> {
    [&[VERSION], access_key_id.as_bytes()].concat()
}

/// For fuzzing: nothing but what was sealed with the key opens, whatever is tried.
#[doc(hidden)]
pub fn fuzz_open_token(access_key_id: &str, token: &str) -> bool {
    let key = TokenKey {
        bytes: [7; crate::rows::token_key::TOKEN_KEY_BYTES],
        unknown: Default::default(),
    };
    Sealer::new(&key).is_some_and(|sealer| sealer.open(access_key_id, token).is_some())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn claims(policy: Option<String>) -> Claims {
        Claims {
            secret: "tsec_wombat".to_owned(),
            parent: ParentKey {
                id: "tid_a".to_owned(),
                created_ms: 5,
                generation: 1,
            },
            subject: Subject::Role {
                account_id: "0".repeat(64),
                role_id: "AROAA".to_owned(),
                session_name: "s".to_owned(),
            },
            issued_ms: 6,
            expires_ms: 7,
            policy,
            policy_arns: Vec::new(),
        }
    }

    fn sealer() -> Sealer {
        Sealer::new(&TokenKey::random().unwrap()).unwrap()
    }

    #[test]
    fn only_what_was_sealed_here_for_this_id_opens() {
        let sealer = sealer();
        let token = sealer.seal("ASIAA", &claims(None)).unwrap();
        assert_eq!(sealer.open("ASIAA", &token), Some(claims(None)));
        assert_eq!(sealer.open("ASIAB", &token), None);
        assert_eq!(self::sealer().open("ASIAA", &token), None);
        assert_ne!(sealer.seal("ASIAA", &claims(None)).unwrap(), token);
        assert!(!token.contains("wombat"));
        assert!(!format!("{:?}", claims(None)).contains("wombat"));
    }

    #[test]
    fn the_longest_policy_fits() {
        let policy = "\"".repeat(crate::policy::SESSION_POLICY_CHARS_MAX);
        let mut claims = claims(Some(policy));
        claims.policy_arns = vec!["x".repeat(300); 10];
        assert!(sealer().seal("ASIAA", &claims).is_some());
    }

    proptest! {
        #[test]
        fn a_token_that_was_changed_does_not_open(place in 0usize..300, bit in 0u8..8) {
            let sealer = sealer();
            let token = sealer.seal("ASIAA", &claims(None)).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
            let place = place % bytes.len();
            bytes[place] ^= 1 << bit;
            let changed = URL_SAFE_NO_PAD.encode(&bytes);
            prop_assert_eq!(sealer.open("ASIAA", &changed), None);
            prop_assert_eq!(sealer.open("ASIAA", &token[..token.len() - 1]), None);
        }

        #[test]
        fn any_text_is_refused(token in ".{0,100}") {
            prop_assert_eq!(sealer().open("ASIAA", &token), None);
        }
    }
}
