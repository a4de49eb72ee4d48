//! The credential: who signed, and with the key of which scope.

use std::borrow::Cow;

use super::parse::malformed_credential;
use super::{SCOPE_TERMINATOR, SignatureLocation};
use crate::digits::is_digits;
use crate::error::S3Error;

/// The credential scope: what a signing key is good for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope<'r> {
    /// The day, `yyyyMMdd`.
    pub day: Cow<'r, str>,
    /// The region, whatever the client is configured with.
    pub region: Cow<'r, str>,
    /// The service, `s3` for S3 requests.
    pub service: Cow<'r, str>,
}

impl Scope<'_> {
    /// The same scope, borrowing nothing, as the key of a cache for instance.
    pub fn into_owned(self) -> Scope<'static> {
        Scope {
            day: Cow::Owned(self.day.into_owned()),
            region: Cow::Owned(self.region.into_owned()),
            service: Cow::Owned(self.service.into_owned()),
        }
    }
}

impl std::fmt::Display for Scope<'_> {
    /// `day/region/service/aws4_request`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}/{}/{SCOPE_TERMINATOR}",
            self.day, self.region, self.service
        )
    }
}

/// Splits `key-id/day/region/service/aws4_request`. A key id may contain slashes.
pub(super) fn parse_credential<'r>(
    credential: Cow<'r, str>,
    location: SignatureLocation,
) -> Result<(Cow<'r, str>, Scope<'r>), S3Error> {
    match credential {
        Cow::Borrowed(text) => split_credential(text, location),
        Cow::Owned(text) => {
            let (access_key_id, scope) = split_credential(&text, location)?;
            Ok((Cow::Owned(access_key_id.into_owned()), scope.into_owned()))
        }
    }
}

fn split_credential(
    text: &str,
    location: SignatureLocation,
) -> Result<(Cow<'_, str>, Scope<'_>), S3Error> {
    let mut parts = text.rsplitn(5, '/');
    let (Some(terminator), Some(service), Some(region), Some(day), Some(access_key_id)) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Err(malformed_credential(
            location,
            "the Credential is mal-formed; expecting \
             \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".",
        ));
    };
    if access_key_id.is_empty() {
        return Err(malformed_credential(
            location,
            "a non-empty Access Key (AKID) must be provided in the credential.",
        ));
    }
    if day.len() != 8 || !is_digits(day) {
        return Err(malformed_credential(
            location,
            format!(
                "incorrect date format \"{day}\". This date in the credential must be in the \
                 format \"yyyyMMdd\"."
            ),
        ));
    }
    // The region may be empty: so botocore signs where it was told none.
    if terminator != SCOPE_TERMINATOR {
        return Err(malformed_credential(
            location,
            format!(
                "incorrect terminal \"{terminator}\". This endpoint uses \"{SCOPE_TERMINATOR}\"."
            ),
        ));
    }
    let scope = Scope {
        day: Cow::Borrowed(day),
        region: Cow::Borrowed(region),
        service: Cow::Borrowed(service),
    };
    Ok((Cow::Borrowed(access_key_id), scope))
}
