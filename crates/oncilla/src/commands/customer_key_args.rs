//! Flags for keys that stay with the client (SSE-C). Keys are in files: other users of this machine can
//! see what is on a command line.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use oncilla_client::{Client, CustomerKey, Settings};

use crate::failure::Failure;
use crate::location::Location;

/// More than any file with a key holds.
const KEY_FILE_BYTES_MAX: u64 = 1024;

/// The key of an object that is read.
#[derive(Args, Clone, Debug, Default)]
pub struct CustomerKeyArgs {
    /// Key of your own (SSE-C) by which the object is encrypted: a file of its 32 bytes, or of their base64
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub sse_c_key_file: Option<PathBuf>,
}

impl CustomerKeyArgs {
    /// The key, if there is one.
    pub fn key(&self, client: &Client) -> Result<Option<CustomerKey>, Failure> {
        read_if_given(self.sse_c_key_file.as_deref(), client)
    }
}

/// The keys of what is read and of what is written.
#[derive(Args, Clone, Debug, Default)]
pub struct TransferKeyArgs {
    /// Key of your own (SSE-C) for what is written to S3, or of what is downloaded: a file of its 32
    /// bytes, or of their base64
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["sse", "sse_kms_key_id"],
        help_heading = "Encryption"
    )]
    pub sse_c_key_file: Option<PathBuf>,

    /// Key of your own by which the source of a copy within S3 is encrypted, such a file too
    #[arg(long, value_name = "FILE", help_heading = "Encryption")]
    pub sse_c_source_key_file: Option<PathBuf>,
}

/// The keys of the two sides of a transfer, as far as they are in S3.
#[derive(Clone, Debug, Default)]
pub struct TransferKeys {
    /// Of what is read.
    pub source: Option<CustomerKey>,
    /// Of what is written.
    pub destination: Option<CustomerKey>,
}

impl TransferKeyArgs {
    /// Whether an object copied onto itself would become another, encrypted in another way.
    pub fn changes_object(&self) -> bool {
        self.sse_c_key_file.is_some() || self.sse_c_source_key_file.is_some()
    }

    /// The keys of a transfer.
    pub fn keys(
        &self,
        source: &Location,
        destination: &Location,
        client: &Client,
    ) -> Result<TransferKeys, Failure> {
        let is_written = matches!(destination, Location::S3(_));
        let within_s3 = is_written && matches!(source, Location::S3(_));
        if self.sse_c_source_key_file.is_some() && !within_s3 {
            return Err(
                Failure::usage("--sse-c-source-key-file is for copies within S3")
                    .advise("the key of an upload or a download is that of --sse-c-key-file"),
            );
        }
        let key = read_if_given(self.sse_c_key_file.as_deref(), client)?;
        let source_key = read_if_given(self.sse_c_source_key_file.as_deref(), client)?;
        Ok(match is_written {
            true => TransferKeys {
                source: source_key,
                destination: key,
            },
            false => TransferKeys {
                source: key,
                destination: None,
            },
        })
    }
}

fn read_if_given(path: Option<&Path>, client: &Client) -> Result<Option<CustomerKey>, Failure> {
    let Some(path) = path else {
        return Ok(None);
    };
    check_endpoint(client.settings())?;
    read_key(path).map(Some)
}

/// Refuses to show a key to a network. Source: S3 User Guide, "Using server-side encryption with
/// customer-provided keys (SSE-C)": HTTPS is a must, and a key sent without it is to be discarded.
fn check_endpoint(settings: &Settings) -> Result<(), Failure> {
    let endpoint = &settings.endpoint;
    if endpoint.is_tls() || endpoint.is_loopback() || settings.insecure {
        return Ok(());
    }
    let message = format!(
        "{}: the key would travel in clear text, for anybody on the way to read",
        endpoint.url()
    );
    Err(Failure::usage(message).advise("use https; --insecure sends the key all the same"))
}

fn read_key(path: &Path) -> Result<CustomerKey, Failure> {
    let failed = |error: std::io::Error| Failure::io(path, &error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut content = Vec::new();
    file.take(KEY_FILE_BYTES_MAX)
        .read_to_end(&mut content)
        .map_err(failed)?;
    CustomerKey::of_file_content(&content).ok_or_else(|| {
        let message = format!("{} holds no key: 32 bytes, or their base64", path.display());
        Failure::usage(message).advise("openssl rand 32 > FILE makes one")
    })
}

#[cfg(test)]
mod tests {
    use oncilla_client::{Addressing, Endpoint};

    use super::*;

    fn client(url: &str, insecure: bool) -> Client {
        let endpoint = Endpoint::parse(url, Addressing::Auto, "auto").unwrap();
        let mut settings = Settings::new(endpoint, None);
        settings.insecure = insecure;
        Client::new(settings).unwrap()
    }

    fn place(text: &str) -> Location {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_those_of_the_sides_that_are_in_s3() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, byte: u8| {
            let path = directory.path().join(name);
            std::fs::write(&path, [byte; 32]).unwrap();
            path
        };
        let (one, other) = (CustomerKey::new(&[1; 32]), CustomerKey::new(&[2; 32]));
        let mut args = TransferKeyArgs {
            sse_c_key_file: Some(file("one", 1)),
            sse_c_source_key_file: None,
        };
        let client = client("http://127.0.0.1:9000", false);
        let keys = |args: &TransferKeyArgs, source, destination| {
            let keys = args.keys(&place(source), &place(destination), &client)?;
            Ok::<_, Failure>((keys.source, keys.destination))
        };
        let upload = keys(&args, "f", "s3://b/k").unwrap();
        assert_eq!(upload, (None, Some(one.clone())));
        let download = keys(&args, "s3://b/k", "-").unwrap();
        assert_eq!(download, (Some(one.clone()), None));
        args.sse_c_source_key_file = Some(file("other", 2));
        let copy = keys(&args, "s3://b/k", "s3://b/l").unwrap();
        assert_eq!(copy, (Some(other), Some(one)));
        let refused = keys(&args, "s3://b/k", "f").unwrap_err();
        assert!(refused.message.contains("within S3"));
        std::fs::write(directory.path().join("other"), "short").unwrap();
        let refused = keys(&args, "s3://b/k", "s3://b/l").unwrap_err();
        assert!(refused.message.contains("holds no key"));
    }

    #[test]
    fn no_network_is_shown_a_key() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        std::fs::write(&path, [1; 32]).unwrap();
        let args = CustomerKeyArgs {
            sse_c_key_file: Some(path),
        };
        for (url, insecure, is_allowed) in [
            ("http://10.0.0.1", false, false),
            ("http://10.0.0.1", true, true),
            ("http://localhost:9000", false, true),
        ] {
            let key = args.key(&client(url, insecure));
            assert_eq!(key.is_ok(), is_allowed, "{url}");
        }
        let none = CustomerKeyArgs::default();
        assert!(
            none.key(&client("http://10.0.0.1", false))
                .unwrap()
                .is_none()
        );
    }
}
