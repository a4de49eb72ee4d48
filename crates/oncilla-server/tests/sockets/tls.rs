//! HTTPS: handshakes, names, and certificates that change while the server runs.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{Client, TestServer, start, wait_until};
use oncilla_server::connection::ConnectionTimeouts;
use oncilla_server::front::FrontOptions;
use oncilla_server::self_signed;
use oncilla_server::server::{ServerOptions, StartError};
use oncilla_server::tls::{CertificateFiles, CertificateStore};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

type TlsClient = Client<StreamOwned<ClientConnection, TcpStream>>;

fn start_tls(certificates: Arc<CertificateStore>, timeouts: ConnectionTimeouts) -> TestServer {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let options = ServerOptions {
        listen: vec![any],
        listen_tls: vec![any],
        certificates: Some(certificates),
        timeouts,
        ..ServerOptions::default()
    };
    start(options, FrontOptions::default())
}

fn connect(server: &TestServer, name: &str, authority: &Path) -> std::io::Result<TlsClient> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(server.server.addresses_tls()[0])?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    connection.complete_io(&mut stream)?;
    assert_eq!(connection.alpn_protocol(), Some(b"http/1.1".as_slice()));
    Ok(Client::over(StreamOwned::new(connection, stream)))
}

#[test]
fn a_self_signed_certificate_is_good_for_all_its_names() {
    let directory = tempfile::tempdir().unwrap();
    let files = self_signed::ensure(directory.path(), &["s3.example.com".to_owned()]).unwrap();
    let certificates = Arc::new(CertificateStore::load(files).unwrap());
    let server = start_tls(certificates, ConnectionTimeouts::default());
    let authority = directory.path().join("ca.pem");
    // `bucket.localhost` is not among them: rustls, like OpenSSL, takes no wildcard directly below
    // a top-level name, which is why there is `s3.localhost`.
    for name in [
        "localhost",
        "bucket.s3.localhost",
        "127.0.0.1",
        "::1",
        "s3.example.com",
        "bucket.s3.example.com",
    ] {
        let mut client = connect(&server, name, &authority).unwrap();
        assert_eq!(client.get("/bytes/300000").body.len(), 300_000, "{name}");
    }
    assert!(connect(&server, "other.example.com", &authority).is_err());
    assert_eq!(
        server.connect().get("/bytes/3").text(),
        "xxx",
        "plain HTTP beside it"
    );
    server.stop();
}

#[test]
fn what_is_no_handshake_is_cut_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let files = self_signed::ensure(directory.path(), &[]).unwrap();
    let certificates = Arc::new(CertificateStore::load(files).unwrap());
    let timeouts = ConnectionTimeouts {
        tls_handshake: Duration::from_millis(400),
        ..ConnectionTimeouts::default()
    };
    let server = start_tls(certificates, timeouts);
    let address = server.server.addresses_tls()[0];
    let mut silent = Client::connect(address);
    assert!(silent.is_closed());
    let mut plain = Client::connect(address);
    plain.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    // What comes, if anything, is a TLS alert and then the end.
    while plain.read_some() > 0 {}
    wait_until("both are counted", || {
        server.metrics.tls_handshakes_failed.get() >= 2
    });
    server.stop();
}

#[test]
fn certificates_are_exchanged_while_connections_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    let old_files = self_signed::ensure(&old, &[]).unwrap();
    let new_files = self_signed::ensure(&new, &["s3.example.com".to_owned()]).unwrap();
    let files = CertificateFiles {
        certificate: directory.path().join("certificate.pem"),
        key: directory.path().join("key.pem"),
    };
    std::fs::copy(&old_files.certificate, &files.certificate).unwrap();
    std::fs::copy(&old_files.key, &files.key).unwrap();
    let store = Arc::new(CertificateStore::load(files.clone()).unwrap());
    let server = start_tls(Arc::clone(&store), ConnectionTimeouts::default());
    let mut before = connect(&server, "localhost", &old.join("ca.pem")).unwrap();
    assert!(!store.reload_if_changed().unwrap());

    std::fs::write(&files.certificate, "half a fi").unwrap();
    assert!(store.reload_if_changed().is_err());
    connect(&server, "localhost", &old.join("ca.pem")).unwrap();

    std::fs::copy(&new_files.certificate, &files.certificate).unwrap();
    assert!(
        store.reload_if_changed().is_err(),
        "a certificate with another's key"
    );
    std::fs::copy(&new_files.key, &files.key).unwrap();
    assert!(store.reload_if_changed().unwrap());
    let mut after = connect(&server, "s3.example.com", &new.join("ca.pem")).unwrap();
    assert_eq!(after.get("/bytes/3").text(), "xxx");
    assert_eq!(
        before.get("/bytes/3").text(),
        "xxx",
        "an open connection keeps what it has"
    );
    assert!(connect(&server, "localhost", &old.join("ca.pem")).is_err());
    server.stop();
}

#[test]
fn tls_needs_a_certificate() {
    let options = ServerOptions {
        listen_tls: vec!["127.0.0.1:0".parse().unwrap()],
        ..ServerOptions::default()
    };
    let front = oncilla_server::front::Front::new(
        crate::support::EchoService,
        None,
        FrontOptions::default(),
        oncilla_server::MemoryBudget::new(1 << 20),
        Arc::default(),
    );
    let outcome = oncilla_server::server::Server::start(options, front);
    assert!(matches!(outcome, Err(StartError::NoCertificate)));
}
