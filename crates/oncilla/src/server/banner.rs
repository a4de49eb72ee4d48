//! What the server says on standard output when it is ready.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// Credentials that this start made: the only time the secret is shown.
#[derive(Clone)]
pub struct NewCredentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret.
    pub secret_access_key: String,
}

/// The URL under which clients on this machine reach a server.
pub fn endpoint_url(plain: &[SocketAddr], encrypted: &[SocketAddr]) -> String {
    let (scheme, address) = match (plain.first(), encrypted.first()) {
        (_, Some(address)) => ("https", address),
        (Some(address), None) => ("http", address),
        (None, None) => return String::new(),
    };
    let host = match address.ip() {
        // A wildcard is no address to connect to, and certificates name localhost.
        ip if ip.is_unspecified() => "localhost".to_owned(),
        ip if ip.is_loopback() && scheme == "https" => "localhost".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    format!("{scheme}://{host}:{}", address.port())
}

/// The text for standard output.
pub fn text(
    endpoint_url: &str,
    plain: &[SocketAddr],
    encrypted: &[SocketAddr],
    data: &std::path::Path,
    certificate_authority: Option<&std::path::Path>,
    credentials: Option<&NewCredentials>,
) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let mut line = |content: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{content}");
    };
    line(format_args!(
        "Oncilla {} serves S3 at {endpoint_url}",
        env!("CARGO_PKG_VERSION")
    ));
    for address in plain {
        line(format_args!("  listening on http://{address}"));
    }
    for address in encrypted {
        line(format_args!("  listening on https://{address}"));
    }
    line(format_args!("  data in {}", data.display()));
    if let Some(authority) = certificate_authority {
        line(format_args!(
            "  clients trust it with AWS_CA_BUNDLE={}",
            authority.display()
        ));
    }
    if let Some(credentials) = credentials {
        text.push_str(&credentials_text(endpoint_url, credentials));
    }
    text
}

/// New root credentials: the environment block, and the same for a shell.
pub fn credentials_text(endpoint_url: &str, credentials: &NewCredentials) -> String {
    let NewCredentials {
        access_key_id,
        secret_access_key,
    } = credentials;
    // boto3 and version 1 of the aws CLI read AWS_DEFAULT_REGION only.
    format!(
        "\nRoot credentials, shown this once:\n\
         AWS_ACCESS_KEY_ID: {access_key_id}\n\
         AWS_ENDPOINT_URL_S3: {endpoint_url}\n\
         AWS_REGION: auto\n\
         AWS_SECRET_ACCESS_KEY: {secret_access_key}\n\
         \nFor a shell:\n\
         export AWS_ACCESS_KEY_ID={access_key_id} AWS_ENDPOINT_URL_S3={endpoint_url} \
         AWS_REGION=auto AWS_DEFAULT_REGION=auto AWS_SECRET_ACCESS_KEY={secret_access_key}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_url_is_one_that_clients_can_use() {
        for (plain, encrypted, url) in [
            (&["127.0.0.1:9000"][..], &[][..], "http://127.0.0.1:9000"),
            (&["0.0.0.0:9000"], &[], "http://localhost:9000"),
            (&["[::1]:9000"], &[], "http://[::1]:9000"),
            (
                &["127.0.0.1:9000"],
                &["127.0.0.1:9443"],
                "https://localhost:9443",
            ),
            (&[], &["192.0.2.1:443"], "https://192.0.2.1:443"),
        ] {
            assert_eq!(endpoint_url(&addresses(plain), &addresses(encrypted)), url);
        }
    }

    #[test]
    fn credentials_have_the_form_of_storage_create() {
        let credentials = NewCredentials {
            access_key_id: "tid_a".to_owned(),
            secret_access_key: "tsec_b".to_owned(),
        };
        let plain = addresses(&["127.0.0.1:9000"]);
        let data = std::path::Path::new("d");
        let shown = text(
            "http://127.0.0.1:9000",
            &plain,
            &[],
            data,
            None,
            Some(&credentials),
        );
        let block = "AWS_ACCESS_KEY_ID: tid_a\nAWS_ENDPOINT_URL_S3: http://127.0.0.1:9000\n\
                     AWS_REGION: auto\nAWS_SECRET_ACCESS_KEY: tsec_b\n";
        assert!(shown.contains(block), "{shown}");
        assert!(!text("http://a", &plain, &[], data, None, None).contains("AWS_"));
    }
}
