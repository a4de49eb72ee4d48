//! Encryption as requests ask for it and as answers tell it: the one place where headers, the
//! bucket's default and the server's settings come together.

use http::{HeaderMap, HeaderValue, Response};
use oncilla_keys::CustomerKey;
use oncilla_store::object::ObjectBody;
use oncilla_store::rows::placement::Placement;
use oncilla_store::{
    Bucket, DocumentKind, Encryption, EncryptionChoice, NewEncryption, ObjectRecord, Scheme, Store,
    encryption as stored,
};
use oncilla_wire::encryption as wire;
use oncilla_wire::encryption::{AES256, AWS_KMS, RequestedEncryption};
use oncilla_wire::error::{S3Error, S3ErrorCode};
use oncilla_wire::header::{
    X_AMZ_SERVER_SIDE_ENCRYPTION, X_AMZ_SERVER_SIDE_ENCRYPTION_BUCKET_KEY_ENABLED,
    X_AMZ_SERVER_SIDE_ENCRYPTION_CONTEXT, X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_ALGORITHM,
    X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY_MD5, X_AMZ_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID,
};
use oncilla_wire::xml::encryption::{DefaultEncryption, EncryptionConfiguration};

use crate::s3::answer::set;
use crate::s3::request::S3Request;
use crate::s3::{S3Service, errors};
use crate::{Peer, RequestContext, ResponseBody};

/// Memory that encrypting or decrypting takes beside what reading or writing does: a step of frames.
pub const SEALING_MEMORY_BYTES: usize = 256 << 10;

/// Memory that decrypting so many bytes of an object takes beside what reading does: a step of frames,
/// and all of a body that is kept in a row.
pub fn opening_memory_bytes(record: &ObjectRecord, length: u64) -> usize {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    match (&record.encryption, &record.placement) {
        (None, _) => 0,
        (Some(_), Placement::Inline(_)) => length.saturating_add(SEALING_MEMORY_BYTES),
        (Some(_), _) => SEALING_MEMORY_BYTES,
    }
}

/// Which connections without TLS may carry clients' keys (SSE-C). S3 takes them over HTTPS only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CustomerKeysOverHttp {
    /// None.
    Never,
    /// Those of this machine: nobody listens in on them, and a proxy that ends TLS here comes that way.
    #[default]
    Loopback,
    /// All: for a proxy on another machine, in a network that is trusted.
    Always,
}

impl CustomerKeysOverHttp {
    /// Whether a client's key may come this way.
    /// Source: S3 User Guide, "Using server-side encryption with customer-provided keys (SSE-C)".
    fn allows(self, tls: bool, peer: &Peer) -> bool {
        let is_near = match peer {
            Peer::LocalSocket => true,
            Peer::Tcp(address) => address.ip().to_canonical().is_loopback(),
        };
        match self {
            Self::Never => tls,
            Self::Loopback => tls || is_near,
            Self::Always => true,
        }
    }
}

/// A client's key, with what the answer repeats of it.
pub struct SentKey {
    key: CustomerKey,
    md5: String,
}

impl SentKey {
    /// The key.
    pub fn key(&self) -> &CustomerKey {
        &self.key
    }

    fn take(
        service: &S3Service,
        context: &RequestContext,
        sent: wire::CustomerKey,
    ) -> Result<Self, S3Error> {
        let allowed = service.options.customer_keys_over_http;
        if !allowed.allows(context.tls, &context.peer) {
            let message = "Requests specifying Server Side Encryption with Customer provided keys \
                           must be made over a secure connection. (The server's operator can allow \
                           others by --sse-c-over-http.)";
            return Err(S3Error::with_message(S3ErrorCode::InvalidRequest, message));
        }
        let mut bytes = sent.key;
        let key = CustomerKey::take(&mut bytes[..]);
        let key = key.ok_or(S3Error::new(S3ErrorCode::InternalError))?;
        Ok(Self { key, md5: sent.md5 })
    }
}

/// How a new object or upload is to be encrypted.
#[derive(Default)]
pub struct Asked {
    /// By the headers or else the bucket's default; `None` if neither says anything.
    pub choice: Option<EncryptionChoice>,
    /// Whether the headers said so.
    pub by_headers: bool,
    /// The client's key, if that is what they said.
    pub sent_key: Option<SentKey>,
}

/// How the headers of a request (or the fields of a form) and the bucket want a new object encrypted.
///
/// # Errors
/// Those of [`wire::requested`]; `InvalidRequest` for a client's key over an insecure connection,
/// `AccessDenied` for one where the bucket takes none.
pub fn asked(
    service: &S3Service,
    headers: &HeaderMap,
    context: &RequestContext,
    bucket: &Bucket,
) -> Result<Asked, S3Error> {
    let requested = match wire::is_named(headers) {
        true => wire::requested(headers)?,
        false => None,
    };
    let configuration = bucket_default(bucket)?;
    let bucket_key = match requested.is_some() || configuration.is_some() {
        true => wire::bucket_key_enabled(headers)?,
        false => None,
    };
    let Some(requested) = requested else {
        return Ok(Asked {
            choice: configuration.and_then(|configuration| by_default(&configuration, bucket_key)),
            ..Asked::default()
        });
    };
    let (choice, sent_key) = match requested {
        RequestedEncryption::S3 => (EncryptionChoice::S3, None),
        RequestedEncryption::Kms { key_id, context } => {
            let kms = EncryptionChoice::Kms {
                key: key_id,
                context,
                bucket_key: bucket_key
                    .or(configuration.map(|configuration| configuration.bucket_key_enabled))
                    .unwrap_or_default(),
            };
            (kms, None)
        }
        RequestedEncryption::Customer(sent) => {
            if configuration.is_some_and(|it| it.blocks_customer_keys == Some(true)) {
                let message = "Server-side encryption with customer-provided keys (SSE-C) is blocked \
                               for this bucket.";
                return Err(S3Error::with_message(S3ErrorCode::AccessDenied, message));
            }
            let sent = SentKey::take(service, context, sent)?;
            (EncryptionChoice::Customer(sent.key.clone()), Some(sent))
        }
    };
    Ok(Asked {
        choice: Some(choice),
        by_headers: true,
        sent_key,
    })
}

/// The bucket's configuration, if it has one.
fn bucket_default(bucket: &Bucket) -> Result<Option<EncryptionConfiguration>, S3Error> {
    let Some(document) = bucket.documents.get(DocumentKind::Encryption) else {
        return Ok(None);
    };
    let parsed = document.parsed(EncryptionConfiguration::parse);
    // It was judged when it was set.
    let parsed = parsed.map_err(|error| {
        tracing::error!(bucket = bucket.name, %error, "the default encryption is damaged");
        S3Error::new(S3ErrorCode::InternalError)
    })?;
    Ok(Some((*parsed).clone()))
}

fn by_default(
    configuration: &EncryptionConfiguration,
    bucket_key: Option<bool>,
) -> Option<EncryptionChoice> {
    Some(match configuration.default.as_ref()? {
        DefaultEncryption::S3 => EncryptionChoice::S3,
        DefaultEncryption::Kms(key) => EncryptionChoice::Kms {
            key: key.clone(),
            context: String::new(),
            bucket_key: bucket_key.unwrap_or(configuration.bucket_key_enabled),
        },
    })
}

/// A data key for a new object or upload, as asked; `None` if it is to be kept as it is.
///
/// # Errors
/// As [`asked`]; those of KMS keys.
pub async fn new_encryption(
    service: &S3Service,
    asked: &Asked,
) -> Result<Option<NewEncryption>, S3Error> {
    data_key(&service.store, asked.choice.as_ref()).await
}

/// Whether a new object is encrypted, as asked or because the server encrypts what nobody chose for.
pub fn encrypts(service: &S3Service, asked: Option<&EncryptionChoice>) -> bool {
    choice_of(&service.store, asked).is_some()
}

/// Tells before anything is read or written whether [`new_encryption`] could be had for what was
/// asked.
///
/// # Errors
/// Those of KMS keys.
pub async fn check_choice(service: &S3Service, asked: &Asked) -> Result<(), S3Error> {
    let Some(choice) = &asked.choice else {
        return Ok(());
    };
    let checked = service.store.check_choice(choice).await;
    checked.map_err(errors::keys)
}

/// As [`new_encryption`], of an object that the server itself writes.
///
/// # Errors
/// Those of KMS keys.
pub async fn by_bucket_default(
    store: &Store,
    bucket: &Bucket,
) -> Result<Option<NewEncryption>, S3Error> {
    let configuration = bucket_default(bucket)?;
    let choice = configuration.and_then(|configuration| by_default(&configuration, None));
    data_key(store, choice.as_ref()).await
}

/// What was chosen, or how the server encrypts what nobody chose for.
fn choice_of<'a>(
    store: &Store,
    asked: Option<&'a EncryptionChoice>,
) -> Option<&'a EncryptionChoice> {
    let at_rest = || store.encrypts_at_rest().then_some(&EncryptionChoice::S3);
    asked.or_else(at_rest)
}

/// A data key by `choice`, or as the server encrypts what nobody chose for.
async fn data_key(
    store: &Store,
    choice: Option<&EncryptionChoice>,
) -> Result<Option<NewEncryption>, S3Error> {
    let Some(choice) = choice_of(store, choice) else {
        return Ok(None);
    };
    let made = store.new_encryption(choice).await;
    made.map(Some).map_err(errors::keys)
}

/// The client's key of the object that a request reads, if it sent one.
///
/// # Errors
/// `InvalidArgument` also for headers that only what writes takes.
pub fn key_of_reader(service: &S3Service, request: &S3Request) -> Result<Option<SentKey>, S3Error> {
    if !wire::is_named(&request.headers) {
        return Ok(None);
    }
    wire::refuse_on_read(&request.headers)?;
    key_of_part(service, request)
}

/// As [`key_of_reader`], of an upload that a request adds to. The headers of SSE-S3 and SSE-KMS say
/// nothing here, and clients that send them with every request are let be.
/// Source: ceph/s3-tests, test_sse_kms_multipart_upload.
pub fn key_of_part(service: &S3Service, request: &S3Request) -> Result<Option<SentKey>, S3Error> {
    if !wire::is_named(&request.headers) {
        return Ok(None);
    }
    let sent = wire::customer_key(&request.headers)?;
    sent.map(|sent| SentKey::take(service, &request.context, sent))
        .transpose()
}

/// The client's key of the source of a copy, if it sent one.
///
/// # Errors
/// `InvalidArgument`, `InvalidEncryptionAlgorithmError`, `InvalidRequest`.
pub fn key_of_copy_source(
    service: &S3Service,
    request: &S3Request,
) -> Result<Option<CustomerKey>, S3Error> {
    let sent = wire::copy_source_customer_key(&request.headers)?;
    let sent = sent.map(|sent| SentKey::take(service, &request.context, sent));
    Ok(sent.transpose()?.map(|sent| sent.key))
}

/// Gets the key of a body that is about to be read. Costs nothing for one that is not encrypted.
///
/// # Errors
/// `InvalidRequest` for a client's key that is missing, wrong or not needed; those of KMS keys.
pub fn unlock(body: &mut ObjectBody, sent: Option<&SentKey>) -> Result<(), S3Error> {
    if body.record.encryption.is_none() && sent.is_none() {
        return Ok(());
    }
    body.unlock(sent.map(SentKey::key)).map_err(errors::unlock)
}

/// Judges the client's key of an object that is told of and not read.
///
/// # Errors
/// As [`unlock`], but for KMS keys.
pub fn check(record: &ObjectRecord, sent: Option<&SentKey>) -> Result<(), S3Error> {
    let encryption = record.encryption.as_deref();
    stored::check_customer_key(encryption, sent.map(SentKey::key)).map_err(errors::unlock)
}

/// Tells how an object is encrypted.
pub fn set_headers(
    response: &mut Response<ResponseBody>,
    encryption: Option<&Encryption>,
    sent: Option<&SentKey>,
) -> Result<(), S3Error> {
    let Some(encryption) = encryption else {
        return Ok(());
    };
    let headers = response.headers_mut();
    match encryption.scheme {
        Scheme::S3 => {
            let method = HeaderValue::from_static(AES256);
            headers.insert(X_AMZ_SERVER_SIDE_ENCRYPTION, method);
        }
        Scheme::Kms => {
            let method = HeaderValue::from_static(AWS_KMS);
            headers.insert(X_AMZ_SERVER_SIDE_ENCRYPTION, method);
            if encryption.bucket_key {
                let name = X_AMZ_SERVER_SIDE_ENCRYPTION_BUCKET_KEY_ENABLED;
                headers.insert(name, HeaderValue::from_static("true"));
            }
            let key_id = encryption.key_id.as_str();
            set(response, X_AMZ_SERVER_SIDE_ENCRYPTION_KMS_KEY_ID, key_id)?;
        }
        Scheme::Customer => {
            let name = X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_ALGORITHM;
            headers.insert(name, HeaderValue::from_static(AES256));
            if let Some(sent) = sent {
                let name = X_AMZ_SERVER_SIDE_ENCRYPTION_CUSTOMER_KEY_MD5;
                set(response, name, sent.md5.as_str())?;
            }
        }
    }
    Ok(())
}

/// As [`set_headers`], to whoever wrote the object: with the encryption context.
pub fn set_headers_of_new(
    response: &mut Response<ResponseBody>,
    encryption: Option<&Encryption>,
    sent: Option<&SentKey>,
) -> Result<(), S3Error> {
    set_headers(response, encryption, sent)?;
    let context = encryption.and_then(|encryption| wire::context_header(&encryption.context));
    if let Some(context) = context {
        let name = X_AMZ_SERVER_SIDE_ENCRYPTION_CONTEXT;
        response.headers_mut().insert(name, context);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_keys_come_over_secure_connections() {
        use CustomerKeysOverHttp::{Always, Loopback, Never};
        let peer = |text: &str| Peer::Tcp(text.parse().unwrap());
        let (far, near) = (peer("192.0.2.1:1"), peer("127.0.0.1:1"));
        let mapped = peer("[::ffff:127.0.0.1]:1");
        for (allowed, peer, over_http) in [
            (Never, &near, false),
            (Never, &Peer::LocalSocket, false),
            (Loopback, &far, false),
            (Loopback, &near, true),
            (Loopback, &mapped, true),
            (Loopback, &peer("[::1]:1"), true),
            (Always, &far, true),
        ] {
            assert_eq!(
                allowed.allows(false, peer),
                over_http,
                "{allowed:?} {peer:?}"
            );
            assert!(allowed.allows(true, peer), "{allowed:?} {peer:?}");
        }
    }
}
