//! Who asks: the signature of a request, verified.

use oncilla_iam::{KeyRefusal, KeyWithAccount, Principal};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::sigv4::{
    PayloadDeclaration, RequestView, SERVICE_S3, SignedRequest, SigningKey, VerifyLimits,
};
use quick_cache::Equivalent;

use crate::RequestContext;
use crate::s3::S3Service;
use crate::s3::body::PayloadForm;

/// How far a client's clock may be from ours. Source: S3 API reference, "RequestTimeTooSkewed":
/// 15 minutes.
const CLOCK_SKEW_S: u64 = 15 * 60;

/// Longest region whose signing key is kept. Regions are the client's to choose, and a header has
/// room for 30 KiB of one: so that strangers cannot fill the memory, only a key that verified a
/// signature is kept, and only under a name as long as a region's can be (buckets allow 64).
const REGION_KEPT_BYTES_MAX: usize = 64;

/// Which signing key: it depends on the secret (whose generation stands for it), the day, the
/// region and the service, and on nothing else.
///
/// It is looked up as it stands in the request, and owned only where it is kept.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SigningKeyName<Text = Box<str>> {
    access_key_id: Text,
    generation: u64,
    created_ms: u64,
    day: Text,
    region: Text,
}

impl<'r> SigningKeyName<&'r str> {
    fn new(signed: &'r SignedRequest<'_>, found: &KeyWithAccount) -> Self {
        let key = &found.key.info;
        Self {
            access_key_id: &signed.access_key_id,
            generation: key.generation,
            created_ms: key.created_ms,
            day: &signed.scope.day,
            region: &signed.scope.region,
        }
    }

    fn to_owned(&self) -> SigningKeyName {
        SigningKeyName {
            access_key_id: self.access_key_id.into(),
            generation: self.generation,
            created_ms: self.created_ms,
            day: self.day.into(),
            region: self.region.into(),
        }
    }
}

/// `str` and `Box<str>` have the same hash, so the derived one serves both forms.
impl Equivalent<SigningKeyName> for SigningKeyName<&str> {
    fn equivalent(&self, kept: &SigningKeyName) -> bool {
        self.access_key_id == &*kept.access_key_id
            && self.generation == kept.generation
            && self.created_ms == kept.created_ms
            && self.day == &*kept.day
            && self.region == &*kept.region
    }
}

/// A request's sender and the form of its body.
pub struct Authenticated {
    /// Who asks.
    pub principal: Principal,
    /// How the body is framed and what was signed of it.
    pub payload: PayloadForm,
}

impl S3Service {
    /// Verifies a request's signature. A request without one is anonymous.
    pub(crate) async fn authenticate(
        &self,
        view: &RequestView<'_>,
        context: &RequestContext,
    ) -> Result<Authenticated, S3Error> {
        let Some(signed) = SignedRequest::parse(view)? else {
            let declared = PayloadDeclaration::from_headers(view.headers)?;
            let declared = declared.unwrap_or(PayloadDeclaration::UnsignedPayload);
            let payload = PayloadForm::new(declared, || None)?;
            return Ok(Authenticated {
                principal: Principal::Anonymous,
                payload,
            });
        };
        context.facts.note_access_key_id(&signed.access_key_id);
        if signed.security_token.is_some() {
            let message = "The provided token is malformed or otherwise not valid.";
            return Err(S3Error::with_message(S3ErrorCode::InvalidToken, message));
        }
        let found = self
            .iam
            .lookup(&signed.access_key_id)
            .await
            .map_err(iam_failure)?;
        let found = found.ok_or_else(|| unknown_key(&signed.access_key_id))?;
        let name = SigningKeyName::new(&signed, &found);
        let known = self.signing_keys.get(&name);
        let is_new = known.is_none();
        let secret = found.key.secret.expose();
        let key = known.unwrap_or_else(|| SigningKey::derive(secret, &signed.scope));
        let limits = VerifyLimits {
            clock_skew_s: CLOCK_SKEW_S,
            presign_expiry_max_s: self.options.presign_expiry_max_s,
            service: SERVICE_S3,
        };
        let now_s = (self.store.clock().now_ms() / 1_000) as i64;
        signed.verify(view, &key, now_s, &limits)?;
        if is_new && name.region.len() <= REGION_KEPT_BYTES_MAX {
            self.signing_keys.insert(name.to_owned(), key.clone());
        }
        // Only whoever knows the secret learns that the key is disabled.
        self.iam.check_usable(&found).map_err(refused_key)?;
        let payload = PayloadForm::new(signed.payload, || signed.chunk_seed(&key))?;
        Ok(Authenticated {
            principal: found.principal().clone(),
            payload,
        })
    }
}

fn unknown_key(access_key_id: &str) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidAccessKeyId).detail("AWSAccessKeyId", access_key_id)
}

fn refused_key(refusal: KeyRefusal) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::InvalidAccessKeyId,
        format!("The access key cannot be used: {refusal}."),
    )
}

/// A failure of the account store.
pub fn iam_failure(error: oncilla_iam::IamError) -> S3Error {
    tracing::error!(%error, "accounts and keys could not be read");
    S3ErrorCode::ServiceUnavailable.into()
}
