//! Where requests go, and how they are written and signed.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use oncilla_client::tls::{TlsError, TlsSettings, client_config};
use oncilla_hash::{Sha256, hex};
use oncilla_wire::sigv4::{
    ALGORITHM, AmzDate, ChunkSeed, Credentials, SERVICE_S3, Scope, SigningKey,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

/// `x-amz-content-sha256` of a request without a body.
pub const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// How to reach a bucket.
#[derive(Clone, Debug)]
pub struct EndpointSettings {
    /// `http://host:port/path` or `https://…`.
    pub url: String,
    /// The bucket; empty for a static server whose keys are paths.
    pub bucket: String,
    /// Whether the bucket stands in the host name instead of the path.
    pub virtual_hosted: bool,
    /// Region of the signature.
    pub region: String,
    /// As whom; `None` sends requests unsigned.
    pub credentials: Option<Credentials>,
    /// Whom to trust, for `https`.
    pub tls: TlsSettings,
}

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Not an `http` or `https` URL.
    #[error("{0:?} is no endpoint URL")]
    Url(String),
    /// The host has no address.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// Host and port.
        host: String,
        /// What the resolver says.
        #[source]
        source: io::Error,
    },
    /// No way to judge certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// An endpoint with its addresses, resolved once so that no measurement contains a name server.
pub struct Endpoint {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// The `Host` header.
    host: String,
    /// Percent-encoded path of the bucket, without a slash at its end.
    bucket_path: String,
    region: String,
    credentials: Option<Credentials>,
}

impl Endpoint {
    /// Resolves the host and reads certificates. Blocks.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn new(settings: &EndpointSettings) -> Result<Self, EndpointError> {
        let no_url = || EndpointError::Url(settings.url.clone());
        let (is_tls, rest) = match settings.url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(no_url()),
        };
        let (authority, base_path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let base_path = base_path.trim_end_matches('/');
        let (name, port) =
            split_port(authority, if is_tls { 443 } else { 80 }).ok_or_else(no_url)?;
        let bucket = &settings.bucket;
        let in_host = settings.virtual_hosted && !bucket.is_empty();
        let host_prefix = if in_host {
            format!("{bucket}.")
        } else {
            String::new()
        };
        let full_name = format!("{host_prefix}{name}");
        let bucket_path = if in_host || bucket.is_empty() {
            base_path.to_owned()
        } else {
            format!("{base_path}/{}", oncilla_wire::uri::encode_path(bucket))
        };
        let bare_name = full_name.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = (bare_name, port)
            .to_socket_addrs()
            .map_err(|source| EndpointError::Resolve {
                host: format!("{full_name}:{port}"),
                source,
            })?
            .collect();
        let tls = if is_tls {
            let server_name = ServerName::try_from(bare_name.to_owned()).map_err(|_| no_url())?;
            Some((Arc::new(client_config(&settings.tls)?), server_name))
        } else {
            None
        };
        Ok(Self {
            addresses,
            tls,
            host: format!("{host_prefix}{authority}"),
            bucket_path,
            region: settings.region.clone(),
            credentials: settings.credentials.clone(),
        })
    }

    /// Whether requests are signed.
    pub fn is_signed(&self) -> bool {
        self.credentials.is_some()
    }

    /// The path of the bucket as it stands in requests.
    pub fn bucket_path(&self) -> &str {
        if self.bucket_path.is_empty() {
            "/"
        } else {
            &self.bucket_path
        }
    }

    /// What stands before `/key` in requests for objects.
    pub fn object_base(&self) -> &str {
        &self.bucket_path
    }
}

fn split_port(authority: &str, default: u16) -> Option<(&str, u16)> {
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()?),
        _ => (authority, default),
    };
    (!name.is_empty() && !name.contains('@')).then_some((name, port))
}

/// What stands in a request's head besides the host and what the signature adds.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'static str,
    /// The percent-encoded path with its leading slash, as [`oncilla_wire::uri::encode_path`]
    /// makes it.
    pub path: &'a str,
    /// The query in canonical form (encoded, sorted, each with an equals sign), or empty.
    pub query: &'a str,
    /// First and last byte asked for.
    pub range: Option<(u64, u64)>,
    /// Length of the body on the wire, if there is one.
    pub content_length: Option<u64>,
    /// Length of the data in a body of signed chunks.
    pub decoded_length: Option<u64>,
    /// `x-amz-content-sha256`.
    pub payload: &'a str,
}

/// Writes heads for one endpoint. Everything that requests have in common is computed once: the
/// signing key, the scope, the date of the present second; buffers are used again.
pub struct HeadWriter {
    endpoint: Arc<Endpoint>,
    signing: Option<Signing>,
    canonical: Vec<u8>,
    to_sign: Vec<u8>,
}

struct Signing {
    key: SigningKey,
    scope: String,
    date: AmzDate,
}

impl HeadWriter {
    /// A writer for an endpoint.
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            signing: None,
            canonical: Vec::with_capacity(1024),
            to_sign: Vec::with_capacity(256),
        }
    }

    /// Appends a head to `out`, signed now if the endpoint has credentials. Returns the seed for
    /// the signatures of chunks then.
    pub fn write(&mut self, out: &mut Vec<u8>, head: &RequestHead<'_>) -> Option<ChunkSeed> {
        let now_s = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as i64);
        self.write_at(out, head, now_s)
    }

    fn write_at(
        &mut self,
        out: &mut Vec<u8>,
        head: &RequestHead<'_>,
        now_s: i64,
    ) -> Option<ChunkSeed> {
        push(out, &[head.method, " ", head.path]);
        if !head.query.is_empty() {
            push(out, &["?", head.query]);
        }
        push(out, &[" HTTP/1.1\r\nhost: ", &self.endpoint.host, "\r\n"]);
        if let Some((first, last)) = head.range {
            out.extend_from_slice(b"range: ");
            push_range(out, first, last);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(length) = head.content_length {
            push_number(out, "content-length: ", length);
            out.extend_from_slice(b"\r\n");
        }
        let seed = self.sign(out, head, now_s);
        out.extend_from_slice(b"\r\n");
        seed
    }

    /// Appends the headers of the signature. The names that are signed are in the order that
    /// Signature Version 4 demands (S3 API reference, "Signature Calculations for the Authorization
    /// Header"); a test compares the result with that of [`oncilla_wire::sigv4::Signer`].
    fn sign(&mut self, out: &mut Vec<u8>, head: &RequestHead<'_>, now_s: i64) -> Option<ChunkSeed> {
        let endpoint = &self.endpoint;
        let credentials = endpoint.credentials.as_ref()?;
        if self
            .signing
            .as_ref()
            .is_none_or(|signing| signing.date.unix_s() != now_s)
        {
            let date = AmzDate::from_unix_s(now_s)?;
            match &mut self.signing {
                Some(signing) if signing.date.day() == date.day() => signing.date = date,
                outdated => *outdated = Some(derive(credentials, &endpoint.region, date)),
            }
        }
        let signing = self.signing.as_ref()?;
        let date = signing.date.as_str();
        let token = credentials.session_token.as_deref();

        let canonical = &mut self.canonical;
        canonical.clear();
        push(
            canonical,
            &[
                head.method,
                "\n",
                head.path,
                "\n",
                head.query,
                "\nhost:",
                &endpoint.host,
            ],
        );
        if let Some((first, last)) = head.range {
            canonical.extend_from_slice(b"\nrange:");
            push_range(canonical, first, last);
        }
        push(
            canonical,
            &[
                "\nx-amz-content-sha256:",
                head.payload,
                "\nx-amz-date:",
                date,
            ],
        );
        if let Some(length) = head.decoded_length {
            push_number(canonical, "\nx-amz-decoded-content-length:", length);
        }
        if let Some(token) = token {
            push(canonical, &["\nx-amz-security-token:", token]);
        }
        canonical.extend_from_slice(b"\n\n");
        let names = [
            "host",
            if head.range.is_some() { ";range" } else { "" },
            ";x-amz-content-sha256;x-amz-date",
            if head.decoded_length.is_some() {
                ";x-amz-decoded-content-length"
            } else {
                ""
            },
            if token.is_some() {
                ";x-amz-security-token"
            } else {
                ""
            },
        ];
        push(canonical, &names);
        push(canonical, &["\n", head.payload]);

        self.to_sign.clear();
        push(
            &mut self.to_sign,
            &[ALGORITHM, "\n", date, "\n", &signing.scope, "\n"],
        );
        hex::append(&mut self.to_sign, &Sha256::digest(canonical));
        let signature = signing.key.sign_hex(&self.to_sign);

        push(
            out,
            &[
                "x-amz-content-sha256: ",
                head.payload,
                "\r\nx-amz-date: ",
                date,
                "\r\n",
            ],
        );
        if let Some(length) = head.decoded_length {
            push_number(out, "x-amz-decoded-content-length: ", length);
            out.extend_from_slice(b"\r\ncontent-encoding: aws-chunked\r\n");
        }
        if let Some(token) = token {
            push(out, &["x-amz-security-token: ", token, "\r\n"]);
        }
        push(
            out,
            &[
                "authorization: ",
                ALGORITHM,
                " Credential=",
                &credentials.access_key_id,
                "/",
                &signing.scope,
                ",SignedHeaders=",
            ],
        );
        push(out, &names);
        push(out, &[",Signature=", &signature, "\r\n"]);
        head.decoded_length?;
        let seed = signature.into_bytes().try_into().ok()?;
        Some(ChunkSeed::new(
            signing.key.clone(),
            signing.scope.clone(),
            signing.date,
            seed,
        ))
    }
}

fn derive(credentials: &Credentials, region: &str, date: AmzDate) -> Signing {
    let scope = Scope {
        day: date.day().into(),
        region: region.into(),
        service: SERVICE_S3.into(),
    };
    Signing {
        key: SigningKey::derive(&credentials.secret_access_key, &scope),
        scope: scope.to_string(),
        date,
    }
}

fn push(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

fn push_number(out: &mut Vec<u8>, before: &str, number: u64) {
    push(out, &[before, itoa::Buffer::new().format(number)]);
}

fn push_range(out: &mut Vec<u8>, first: u64, last: u64) {
    push_number(out, "bytes=", first);
    push_number(out, "-", last);
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use oncilla_wire::sigv4::{PayloadDeclaration, Signer, UnsignedRequest};

    use super::*;

    const NOW_S: i64 = 1_369_353_600;

    fn settings(url: &str, token: Option<&str>) -> EndpointSettings {
        EndpointSettings {
            url: url.into(),
            bucket: "bench".into(),
            virtual_hosted: false,
            region: "auto".into(),
            credentials: Some(Credentials {
                access_key_id: "tid_a".into(),
                secret_access_key: "tsec_b".into(),
                session_token: token.map(str::to_owned),
            }),
            tls: TlsSettings::default(),
        }
    }

    /// The headers of a head that was written, and what the protocol's own signer makes of the same
    /// request.
    fn written_and_expected(
        token: Option<&str>,
        head: &RequestHead<'_>,
        payload: PayloadDeclaration,
    ) -> (HeaderMap, HeaderMap) {
        let settings = settings("http://127.0.0.1:9000", token);
        let mut writer = HeadWriter::new(Arc::new(Endpoint::new(&settings).unwrap()));
        let mut out = Vec::new();
        writer.write_at(&mut out, head, NOW_S);
        let text = String::from_utf8(out).unwrap();
        let mut written = HeaderMap::new();
        for line in text.trim_end().lines().skip(1) {
            let (name, value) = line.split_once(": ").unwrap();
            let name: HeaderName = name.parse().unwrap();
            written.append(name, HeaderValue::from_str(value).unwrap());
        }
        let mut expected = written.clone();
        for name in ["authorization", "x-amz-date", "x-amz-content-sha256"] {
            expected.remove(name);
        }
        let now = AmzDate::from_unix_s(NOW_S).unwrap();
        let request = UnsignedRequest {
            method: head.method,
            raw_path: head.path,
            raw_query: head.query,
        };
        Signer::new(&settings.credentials.unwrap(), "auto", SERVICE_S3, &now)
            .sign(&request, &mut expected, payload, &now)
            .unwrap();
        (written, expected)
    }

    #[test]
    fn signs_as_the_protocol_crate_does() {
        let get = RequestHead {
            method: "GET",
            path: "/bench/a%20b/1",
            query: "",
            range: None,
            content_length: None,
            decoded_length: None,
            payload: EMPTY_SHA256,
        };
        let of_empty = PayloadDeclaration::Sha256(Sha256::OF_EMPTY);
        let heads = [
            (get, of_empty),
            (
                RequestHead {
                    range: Some((5, 99)),
                    ..get
                },
                of_empty,
            ),
            (
                RequestHead {
                    path: "/bench",
                    query: "list-type=2&max-keys=10&prefix=a%2Fb&start-after=a%2Fb%201",
                    ..get
                },
                of_empty,
            ),
            (
                RequestHead {
                    method: "PUT",
                    content_length: Some(4096),
                    payload: "UNSIGNED-PAYLOAD",
                    ..get
                },
                PayloadDeclaration::UnsignedPayload,
            ),
            (
                RequestHead {
                    method: "PUT",
                    content_length: Some(70_000),
                    decoded_length: Some(66_000),
                    payload: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
                    ..get
                },
                PayloadDeclaration::StreamingSigned,
            ),
        ];
        for (head, payload) in heads {
            for token in [None, Some("temporary")] {
                let (written, expected) = written_and_expected(token, &head, payload);
                assert_eq!(written, expected, "{head:?}");
            }
        }
    }

    #[test]
    fn without_credentials_nothing_is_added() {
        let mut settings = settings("http://127.0.0.1:8090/files/", None);
        settings.credentials = None;
        settings.bucket = String::new();
        let endpoint = Arc::new(Endpoint::new(&settings).unwrap());
        assert_eq!(endpoint.object_base(), "/files");
        let head = RequestHead {
            method: "GET",
            path: "/files/1",
            query: "",
            range: None,
            content_length: None,
            decoded_length: None,
            payload: EMPTY_SHA256,
        };
        let mut out = Vec::new();
        assert!(HeadWriter::new(endpoint).write(&mut out, &head).is_none());
        assert_eq!(
            out,
            b"GET /files/1 HTTP/1.1\r\nhost: 127.0.0.1:8090\r\n\r\n"
        );
    }

    #[test]
    fn buckets_in_path_and_host() {
        let mut settings = settings("http://localhost:9000/s3", None);
        assert_eq!(Endpoint::new(&settings).unwrap().bucket_path(), "/s3/bench");
        settings.url = "http://127.0.0.1".into();
        settings.bucket = String::new();
        assert_eq!(Endpoint::new(&settings).unwrap().bucket_path(), "/");
        settings.url = "http://[::1]:9000".into();
        assert_eq!(Endpoint::new(&settings).unwrap().host, "[::1]:9000");
        for bad in [
            "",
            "ftp://x",
            "http://",
            "http://h:99999",
            "http://u@h",
            "127.0.0.1:80",
        ] {
            settings.url = bad.into();
            assert!(Endpoint::new(&settings).is_err(), "{bad}");
        }
    }
}
