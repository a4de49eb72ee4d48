//! Who asks: the signature of a request, verified.

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use oncilla_iam::{KeyRefusal, KeyWithAccount, Principal, SessionRefusal};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::sigv2;
use oncilla_wire::sigv4::{
    ALGORITHM, AmzDate, PayloadDeclaration, RequestView, SERVICE_S3, SignatureLocation,
    SignedRequest, SigningKey, VerifyLimits, hoist_headers, refuse_repeated_headers,
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

/// The ways in which a request says who sent it, as `s3:authType` has them.
/// Source: Amazon S3 API reference, "Amazon S3 Signature Version 4 authentication specific policy
/// keys".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthenticationKind {
    /// By its header `Authorization`.
    Header,
    /// By its query: a presigned URL.
    Query,
    /// By the fields of a form.
    Form,
}

impl AuthenticationKind {
    /// The value of `s3:authType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "REST-HEADER",
            Self::Query => "REST-QUERY-STRING",
            Self::Form => "POST",
        }
    }
}

impl From<SignatureLocation> for AuthenticationKind {
    fn from(location: SignatureLocation) -> Self {
        match location {
            SignatureLocation::Header => Self::Header,
            SignatureLocation::Query => Self::Query,
        }
    }
}

/// The versions of signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureVersion {
    /// Version 2.
    V2,
    /// Version 4.
    V4,
}

impl SignatureVersion {
    /// The value of `s3:signatureversion`. Source: as of [`AuthenticationKind`].
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2 => "AWS",
            Self::V4 => ALGORITHM,
        }
    }
}

/// How a request was authenticated: what verified its signature says so. Headers and parameters that
/// look as if they had to do with a signature, and were not looked at for it, have no part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// Where the signature stood.
    pub kind: AuthenticationKind,
    /// Its version.
    pub version: SignatureVersion,
    /// When it was made, in Unix milliseconds; `None` where it does not say.
    pub signed_ms: Option<i64>,
    /// What was signed of the body, as `x-amz-content-sha256` has it; `None` where nothing was said
    /// of it.
    pub payload: Option<PayloadDeclaration>,
}

impl Authentication {
    /// Of a form, whose file no signature covers.
    pub fn of_form(version: SignatureVersion, signed: Option<AmzDate>) -> Self {
        Self {
            kind: AuthenticationKind::Form,
            version,
            signed_ms: signed.map(unix_ms),
            payload: None,
        }
    }
}

fn unix_ms(date: AmzDate) -> i64 {
    date.unix_s().saturating_mul(1_000)
}

/// A request's sender and the form of its body.
pub struct Authenticated {
    /// Who asks.
    pub principal: Principal,
    /// How the body is framed and what was signed of it.
    pub payload: PayloadForm,
    /// How that is known; `None` of an anonymous request.
    pub authentication: Option<Authentication>,
}

impl Authenticated {
    /// Whether it came by a presigned URL.
    pub fn is_presigned(&self) -> bool {
        let authentication = self.authentication;
        authentication.is_some_and(|it| it.kind == AuthenticationKind::Query)
    }

    /// Completes the headers of what came by a presigned URL with what that says in their place.
    /// (Version 2 signs such parameters as headers, so there it was done before.)
    ///
    /// # Errors
    /// Those of [`hoist_headers`].
    pub fn complete_headers(&self, head: &mut Parts) -> Result<(), S3Error> {
        let authentication = self.authentication;
        let is_version_4 = authentication.is_some_and(|it| it.version == SignatureVersion::V4);
        match head.uri.query() {
            Some(query) if is_version_4 && self.is_presigned() => {
                hoist_headers(query, &mut head.headers)
            }
            _ => Ok(()),
        }
    }
}

/// Who signed a request.
pub struct Identified {
    /// The key, and the account it acts for.
    pub found: Arc<KeyWithAccount>,
    /// What the signature was made with.
    pub key: SigningKey,
    /// What was signed of the body.
    pub signed_payload: PayloadDeclaration,
}

impl S3Service {
    /// Verifies a request's signature. A request without one is anonymous.
    pub(crate) async fn authenticate(
        &self,
        view: &RequestView<'_>,
        context: &RequestContext,
    ) -> Result<Authenticated, S3Error> {
        if self.options.sigv2
            && let Some(signed) = sigv2::SignedRequest::parse(view)?
        {
            return Box::pin(self.authenticate_version_2(view, &signed, context)).await;
        }
        let Some(signed) = SignedRequest::parse(view)? else {
            refuse_repeated_headers(view.headers)?;
            let declared = PayloadDeclaration::from_headers(view.headers)?;
            let declared = declared.unwrap_or(PayloadDeclaration::UnsignedPayload);
            let payload = PayloadForm::new(declared, || None)?;
            return Ok(Authenticated {
                principal: Principal::Anonymous,
                payload,
                authentication: None,
            });
        };
        let identified = self.identify(view, &signed, SERVICE_S3, context).await?;
        let payload = PayloadForm::new(signed.payload, || signed.chunk_seed(&identified.key))?;
        Ok(Authenticated {
            principal: identified.found.principal().clone(),
            payload,
            authentication: Some(Authentication {
                kind: signed.location.into(),
                version: SignatureVersion::V4,
                signed_ms: Some(unix_ms(signed.timestamp)),
                payload: Some(identified.signed_payload),
            }),
        })
    }

    /// Finds who signed a request to `service`, and verifies the signature.
    pub(crate) async fn identify(
        &self,
        view: &RequestView<'_>,
        signed: &SignedRequest<'_>,
        service: &'static str,
        context: &RequestContext,
    ) -> Result<Identified, S3Error> {
        let token = signed.security_token.as_deref();
        let found = self.find_key(&signed.access_key_id, token, context).await?;
        let name = SigningKeyName::new(signed, &found);
        // Those of S3 only: the name does not say of which service it is.
        let is_kept = service == SERVICE_S3;
        let known = is_kept.then(|| self.signing_keys.get(&name)).flatten();
        let is_new = known.is_none();
        let secret = found.key.secret.expose();
        let key = known.unwrap_or_else(|| SigningKey::derive(secret, &signed.scope));
        let limits = self.limits(service);
        let signed_payload = signed.verify_payload(view, &key, self.now_s(), &limits)?;
        if is_kept && is_new && name.region.len() <= REGION_KEPT_BYTES_MAX {
            self.signing_keys.insert(name.to_owned(), key.clone());
        }
        self.usable(&found)?;
        Ok(Identified {
            found,
            key,
            signed_payload,
        })
    }

    /// Verifies a signature of Version 2, which says nothing of the body.
    async fn authenticate_version_2(
        &self,
        view: &RequestView<'_>,
        signed: &sigv2::SignedRequest<'_>,
        context: &RequestContext,
    ) -> Result<Authenticated, S3Error> {
        refuse_repeated_headers(view.headers)?;
        let id = &signed.access_key_id;
        let found = self.find_key(id, signed.security_token, context).await?;
        let host = view.headers.get(HOST).and_then(|host| host.to_str().ok());
        let bucket = host.and_then(|host| self.addressing.bucket_of_host(host));
        let secret = found.key.secret.expose();
        signed.verify(
            view,
            bucket.as_deref(),
            secret,
            self.now_s(),
            &self.limits(SERVICE_S3),
        )?;
        let declared = PayloadDeclaration::from_headers(view.headers)?;
        let form = declared.unwrap_or(PayloadDeclaration::UnsignedPayload);
        Ok(Authenticated {
            principal: self.usable(&found)?,
            payload: PayloadForm::new(form, || None)?,
            authentication: Some(Authentication {
                kind: signed.location().into(),
                version: SignatureVersion::V2,
                signed_ms: signed.timestamp().map(unix_ms),
                payload: declared,
            }),
        })
    }

    /// The key with this id, a temporary one if it comes with a token, for whoever proves that they know
    /// its secret.
    ///
    /// # Errors
    /// `InvalidAccessKeyId`, `InvalidToken`.
    pub(super) async fn find_key(
        &self,
        access_key_id: &str,
        security_token: Option<&str>,
        context: &RequestContext,
    ) -> Result<Arc<KeyWithAccount>, S3Error> {
        context.facts.note_access_key_id(access_key_id);
        let Some(token) = security_token else {
            let found = self.iam.lookup(access_key_id).await.map_err(iam_failure)?;
            return found.ok_or_else(|| unknown_key(access_key_id));
        };
        match self.iam.lookup_session(access_key_id, token).await {
            Ok(found) => Ok(found),
            Err(SessionRefusal::Invalid) => Err(S3ErrorCode::InvalidToken.into()),
            Err(SessionRefusal::Ended) => Err(unknown_key(access_key_id)),
            Err(SessionRefusal::Failed(error)) => Err(iam_failure(error)),
        }
    }

    /// Who owns a key whose secret the sender has proved to know: only they learn that it is
    /// disabled.
    pub(super) fn usable(&self, found: &KeyWithAccount) -> Result<Principal, S3Error> {
        self.iam
            .check_usable(found)
            .map_err(|refusal| refused_key(refusal, found))?;
        Ok(found.principal().clone())
    }

    /// What is accepted of the times of signatures for a service.
    pub(super) fn limits(&self, service: &'static str) -> VerifyLimits {
        VerifyLimits {
            clock_skew_s: CLOCK_SKEW_S,
            presign_expiry_max_s: self.options.presign_expiry_max_s,
            service,
        }
    }

    /// The time in Unix seconds.
    pub(super) fn now_s(&self) -> i64 {
        (self.store.clock().now_ms() / 1_000) as i64
    }
}

/// What a form with a signature of Version 2 is told where that is not taken.
pub fn sigv2_not_enabled() -> S3Error {
    let message = "The authorization mechanism you have provided is not supported. Please use \
                   AWS4-HMAC-SHA256.";
    S3Error::with_message(S3ErrorCode::InvalidRequest, message)
}

fn unknown_key(access_key_id: &str) -> S3Error {
    S3Error::new(S3ErrorCode::InvalidAccessKeyId).detail("AWSAccessKeyId", access_key_id)
}

fn refused_key(refusal: KeyRefusal, found: &KeyWithAccount) -> S3Error {
    if found.is_session() && refusal == KeyRefusal::Expired {
        return S3ErrorCode::ExpiredToken.into();
    }
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
