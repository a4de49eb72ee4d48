//! Certificates for development, made by the server itself.
//!
//! They are kept between starts, so that a client needs to be told to trust them only once. What is
//! made is a small authority (`ca.pem`, the file to give to clients) and a certificate it signed; the
//! authority's key is thrown away, so that trusting it means trusting this one certificate.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::{ToSpan, Zoned, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use serde::{Deserialize, Serialize};

use crate::tls::CertificateFiles;

/// How long a certificate is valid. Clients on Apple's systems refuse more than 825 days.
const VALID_DAYS: i64 = 800;

/// A certificate that ends within so many days is replaced at the next start.
const RENEW_BEFORE_DAYS: i64 = 30;

/// Names that every certificate has. `*.s3.localhost` is there because OpenSSL takes no wildcard
/// directly below a top-level name, so that `*.localhost` does not help clients built on it.
const NAMES_ALWAYS: [&str; 6] = [
    "localhost",
    "*.localhost",
    "s3.localhost",
    "*.s3.localhost",
    "127.0.0.1",
    "::1",
];

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// A file could not be read or written.
    #[error("cannot keep the self-signed certificate in {}: {source}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A name cannot stand in a certificate, or the library failed.
    #[error("cannot make a self-signed certificate: {0}")]
    Make(#[from] rcgen::Error),
}

/// What a certificate on disk was made for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Description {
    names: Vec<String>,
    /// The last day on which it is valid, as `2026-11-21`.
    not_after: String,
}

/// The files of a self-signed certificate in `directory` for this machine's names and `domains`
/// with what lies below them. Those that are there are used if they have the same names and are
/// not about to end; else new ones are made.
///
/// # Errors
/// See [`SelfSignedError`].
pub fn ensure(directory: &Path, domains: &[String]) -> Result<CertificateFiles, SelfSignedError> {
    let files = CertificateFiles {
        certificate: directory.join("certificate.pem"),
        key: directory.join("key.pem"),
    };
    let description_file = directory.join("names.json");
    let names = names_for(domains);
    let today = Zoned::now().with_time_zone(TimeZone::UTC).date();
    let renew_if_before = today.saturating_add(RENEW_BEFORE_DAYS.days());
    let complete = files.certificate.exists() && files.key.exists();
    if let Some(found) = read_description(&description_file)
        && complete
        && found.names == names
        && found
            .not_after
            .parse::<Date>()
            .is_ok_and(|last_day| last_day > renew_if_before)
    {
        return Ok(files);
    }
    let not_after = today.saturating_add(VALID_DAYS.days());
    let made = make(&names, today.saturating_sub(1.day()), not_after)?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SelfSignedError::File { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    // The description comes last and goes first, so that it never describes other files.
    match fs::remove_file(&description_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&description_file)(error));
        }
        _ => {}
    }
    let authority_file = directory.join("ca.pem");
    write_private(&files.key, made.key.as_bytes()).map_err(failed(&files.key))?;
    write_private(&files.certificate, made.chain.as_bytes()).map_err(failed(&files.certificate))?;
    write_private(&authority_file, made.authority.as_bytes()).map_err(failed(&authority_file))?;
    let description = serde_json::to_vec(&Description {
        names,
        not_after: not_after.to_string(),
    })
    .map_err(|error| failed(&description_file)(error.into()))?;
    write_private(&description_file, &description).map_err(failed(&description_file))?;
    Ok(files)
}

fn names_for(domains: &[String]) -> Vec<String> {
    let mut names: Vec<String> = NAMES_ALWAYS.iter().map(|&name| name.to_owned()).collect();
    for domain in domains {
        for name in [domain.clone(), format!("*.{domain}")] {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn read_description(path: &Path) -> Option<Description> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

struct Made {
    authority: String,
    chain: String,
    key: String,
}

fn make(names: &[String], not_before: Date, not_after: Date) -> Result<Made, rcgen::Error> {
    let date = |date: Date| {
        rcgen::date_time_ymd(
            date.year().into(),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority
        .distinguished_name
        .push(DnType::CommonName, "Oncilla development authority");
    (authority.not_before, authority.not_after) = (date(not_before), date(not_after));
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names)?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    leaf.distinguished_name
        .push(DnType::CommonName, "Oncilla development server");
    (leaf.not_before, leaf.not_after) = (date(not_before), date(not_after));
    let certificate = leaf.signed_by(&key, &authority)?;
    Ok(Made {
        authority: authority.pem(),
        chain: format!("{}{}", certificate.pem(), authority.pem()),
        key: key.serialize_pem(),
    })
}

/// Writes a file that only its owner may read, replacing what was there.
fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::CertificateStore;

    #[test]
    fn a_certificate_stays_until_its_names_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tls");
        let files = ensure(&path, &[]).unwrap();
        CertificateStore::load(files.clone()).unwrap();
        let first = fs::read(&files.certificate).unwrap();
        ensure(&path, &["localhost".to_owned()]).unwrap();
        assert_eq!(fs::read(&files.certificate).unwrap(), first);
        ensure(&path, &["s3.example.com".to_owned()]).unwrap();
        assert_ne!(fs::read(&files.certificate).unwrap(), first);
        assert!(path.join("ca.pem").exists());
    }

    #[test]
    fn a_certificate_without_its_key_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let files = ensure(directory.path(), &[]).unwrap();
        fs::remove_file(&files.key).unwrap();
        let files = ensure(directory.path(), &[]).unwrap();
        CertificateStore::load(files).unwrap();
    }
}
