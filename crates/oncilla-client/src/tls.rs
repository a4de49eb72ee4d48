//! TLS of a client: whom to trust.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore,
    SignatureScheme, WantsVerifier,
};

/// How certificates are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// A PEM file of certificates to trust instead of the system's: of authorities, or of servers
    /// themselves.
    pub ca_bundle: Option<PathBuf>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// Why there is no way to judge certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The bundle cannot be read.
    #[error("CA bundle {}: {reason}", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither the system nor the bundle has any.
    #[error("no trusted certificates found; name a file of them with --ca-bundle")]
    NoRoots,
    /// The library refuses its own defaults.
    #[error("TLS: {0}")]
    Library(#[from] rustls::Error),
}

/// The configuration of TLS for a target. Sessions are resumed as with any client.
///
/// # Errors
/// See [`TlsError`].
pub fn client_config(settings: &TlsSettings) -> Result<ClientConfig, TlsError> {
    if settings.insecure {
        let (provider, builder) = builder()?;
        let verifier = Arc::new(AcceptAnyCertificate { provider });
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth());
    }
    if let Some(path) = &settings.ca_bundle {
        return trusting_bundle(path);
    }
    let mut roots = RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(native.certs);
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    trusting(roots)
}

/// A configuration that trusts nobody, for targets without TLS: it reads no certificates.
///
/// # Errors
/// See [`TlsError`].
pub fn trusting_nobody() -> Result<ClientConfig, TlsError> {
    trusting(RootCertStore::empty())
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, TlsError> {
    let (_, builder) = builder()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn trusting_bundle(path: &Path) -> Result<ClientConfig, TlsError> {
    let (roots, bundle) = read_bundle(path)?;
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let (provider, builder) = builder()?;
    let web = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BundleVerifier { web, bundle }))
        .with_no_client_auth())
}

fn builder() -> Result<
    (
        Arc<CryptoProvider>,
        ConfigBuilder<ClientConfig, WantsVerifier>,
    ),
    TlsError,
> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    Ok((provider, builder))
}

/// The certificates of a file, as authorities and as they are.
fn read_bundle(path: &Path) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), TlsError> {
    let (mut roots, mut bundle) = (RootCertStore::empty(), Vec::new());
    let unusable = |reason: &dyn std::fmt::Display| TlsError::Bundle {
        path: path.to_owned(),
        reason: reason.to_string(),
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots
            .add(certificate.clone())
            .map_err(|error| unusable(&error))?;
        bundle.push(certificate);
    }
    Ok((roots, bundle))
}

/// The verifier of `--ca-bundle`: what an authority of the bundle signed is trusted, and so is a
/// certificate that is itself in the bundle. Those that `openssl req -x509` makes are an authority's
/// and the server's in one, which the web does not allow.
#[derive(Debug)]
struct BundleVerifier {
    web: Arc<WebPkiServerVerifier>,
    bundle: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for BundleVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let web = &self.web;
        let judged =
            web.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let refusal = match judged {
            Ok(verified) => return Ok(verified),
            Err(refusal) => refusal,
        };
        let is_given = self.bundle.iter().any(|given| given == end_entity);
        if !is_given || !is_in_its_time(&refusal) {
            return Err(refusal);
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.web
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.web
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.web.supported_verify_schemes()
    }
}

/// Whether a certificate was refused for who signed it or for being an authority's, and for nothing
/// else: the library looks at its dates before either (`webpki`, `verify_cert.rs`).
fn is_in_its_time(refusal: &rustls::Error) -> bool {
    match refusal {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            let reason = other.0.downcast_ref::<webpki::Error>();
            matches!(reason, Some(webpki::Error::CaUsedAsEndEntity))
        }
        _ => false,
    }
}

/// The verifier of `--insecure`: signatures are still checked, names and issuers are not.
#[derive(Debug)]
struct AcceptAnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AcceptAnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ClientConnection, ServerConfig, ServerConnection};

    use super::*;

    /// What `openssl req -x509` makes: a certificate signed by itself that is an authority's.
    fn self_signed(years: (i32, i32)) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(vec!["s3.example.com".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    /// Connects to a server with a certificate, by a bundle.
    fn connect(bundle: &str, name: &str, der: &[u8], key: &KeyPair) -> Result<(), rustls::Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bundle.as_bytes()).unwrap();
        let settings = TlsSettings {
            ca_bundle: Some(file.path().to_owned()),
            insecure: false,
        };
        let config = Arc::new(client_config(&settings).unwrap());
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut client = ClientConnection::new(config, name).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(der.to_vec())], key);
        let mut server = ServerConnection::new(Arc::new(config.unwrap())).unwrap();
        while client.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut wire = wire.as_slice();
            while !wire.is_empty() {
                client.read_tls(&mut wire).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(())
    }

    fn refusal(outcome: Result<(), rustls::Error>) -> CertificateError {
        match outcome {
            Err(rustls::Error::InvalidCertificate(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_certificate_that_is_itself_in_the_bundle_is_trusted() {
        let (own, other) = (self_signed((2020, 2120)), self_signed((2020, 2120)));
        let bundle = format!("{}{}", other.pem(), own.pem());
        connect(&bundle, "s3.example.com", own.der(), own.key()).unwrap();
        // The same name and another key.
        let foreign = connect(&other.pem(), "s3.example.com", own.der(), own.key());
        let CertificateError::Other(reason) = refusal(foreign) else {
            panic!("taken for an authority's only");
        };
        assert_eq!(reason.to_string(), "CaUsedAsEndEntity");
    }

    #[test]
    fn its_name_and_dates_are_looked_at_all_the_same() {
        let own = self_signed((2020, 2120));
        let named = connect(&own.pem(), "other.example.com", own.der(), own.key());
        let named = refusal(named);
        assert!(
            matches!(named, CertificateError::NotValidForNameContext { .. }),
            "{named:?}"
        );
        for years in [(2020, 2021), (2119, 2120)] {
            let own = self_signed(years);
            let dated = refusal(connect(&own.pem(), "s3.example.com", own.der(), own.key()));
            assert!(
                matches!(
                    dated,
                    CertificateError::ExpiredContext { .. }
                        | CertificateError::NotValidYetContext { .. }
                ),
                "{dated:?}"
            );
        }
    }

    #[test]
    fn a_servers_certificate_in_the_bundle_needs_no_authority() {
        let authority = self_signed((2020, 2120));
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["s3.example.com".to_owned()]).unwrap();
        // Authorities here have the other name, which the library gives.
        params
            .distinguished_name
            .push(DnType::CommonName, "a server");
        let signed = params.signed_by(&key, &authority).unwrap();
        connect(&signed.pem(), "s3.example.com", signed.der(), &key).unwrap();
        connect(&authority.pem(), "s3.example.com", signed.der(), &key).unwrap();
        let unknown = self_signed((2020, 2120));
        let unknown = connect(&unknown.pem(), "s3.example.com", signed.der(), &key);
        // Of an authority with the name of the right one.
        assert_eq!(refusal(unknown), CertificateError::BadSignature);
    }
}
