//! TLS: certificates from PEM files, loaded again when the files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CipherSuite, ProtocolVersion, ServerConfig, ServerConnection};
use tokio_rustls::TlsAcceptor;

use crate::request_context::TlsSession;

/// S3 clients speak HTTP/1.1, and so does this server: nothing else is offered.
const ALPN_HTTP_1_1: &[u8] = b"http/1.1";

/// Why certificates could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} holds no usable {what}: {detail}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// Certificate and key do not work together, or the library refuses them.
    #[error("certificate {} and key {} cannot be used: {source}", certificate.display(), key.display())]
    Pair {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What the TLS library said.
        #[source]
        source: rustls::Error,
    },
}

/// The PEM files of a certificate chain (leaf first) and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain.
    pub certificate: PathBuf,
    /// The key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// The certificates in use. Connections that are open keep those they began with.
#[derive(Debug)]
pub struct CertificateStore {
    files: CertificateFiles,
    current: ArcSwap<ServerConfig>,
    loaded: Mutex<Option<FileStamps>>,
}

/// What tells whether the files have changed since they were loaded.
type FileStamps = [(SystemTime, u64); 2];

impl CertificateStore {
    /// Loads the files.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(files: CertificateFiles) -> Result<Self, TlsError> {
        // Stamped before they are read: a change in between is then found the next time.
        let stamps = stamps(&files);
        let current = ArcSwap::from(load_config(&files)?);
        Ok(Self {
            files,
            current,
            loaded: Mutex::new(stamps),
        })
    }

    /// Loads the files again if they have changed. While they cannot be used (a renewal may be half
    /// done), the certificates in use stay.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        let mut loaded = self.loaded.lock();
        let stamps = stamps(&self.files);
        if stamps.is_some() && stamps == *loaded {
            return Ok(false);
        }
        self.current.store(load_config(&self.files)?);
        *loaded = stamps;
        Ok(true)
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }
}

/// What was agreed on in a handshake that is over.
pub(crate) fn session(connection: &ServerConnection) -> Option<TlsSession> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        // The library speaks no other.
        _ => return None,
    };
    let suite = connection.negotiated_cipher_suite()?.suite();
    Some(TlsSession {
        version,
        cipher_suite: cipher_suite_name(suite)?,
    })
}

/// The name of a cipher suite in S3's logs, which is OpenSSL's.
fn cipher_suite_name(suite: CipherSuite) -> Option<&'static str> {
    use CipherSuite as C;
    Some(match suite {
        C::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        C::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        C::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        C::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        C::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        C::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        C::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        C::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        C::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => return None,
    })
}

fn stamps(files: &CertificateFiles) -> Option<FileStamps> {
    let stamp = |path: &Path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    };
    Some([stamp(&files.certificate)?, stamp(&files.key)?])
}

fn load_config(files: &CertificateFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = read(&files.certificate)?;
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| content(&files.certificate, "certificate", error))?;
    if chain.is_empty() {
        return Err(content(
            &files.certificate,
            "certificate",
            "no CERTIFICATE section",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?)
        .map_err(|error| content(&files.key, "private key", error))?;
    let refused = |source| TlsError::Pair {
        certificate: files.certificate.clone(),
        key: files.key.clone(),
        source,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(refused)?;
    config.alpn_protocols = vec![ALPN_HTTP_1_1.to_vec()];
    Ok(Arc::new(config))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })
}

fn content(path: &Path, what: &'static str, detail: impl ToString) -> TlsError {
    TlsError::Content {
        path: path.to_owned(),
        what,
        detail: detail.to_string(),
    }
}
