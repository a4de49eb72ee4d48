//! Where an S3 endpoint is, and how buckets become part of its URLs.

use std::net::IpAddr;

use http::Uri;
use http::uri::{Authority, Scheme};

use crate::error::Error;

/// How a bucket's name enters the URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// Virtual-hosted for services known to want it, path-style for every other endpoint: a server
    /// of one's own often has no DNS name per bucket.
    #[default]
    Auto,
    /// `https://endpoint/bucket/key`
    Path,
    /// `https://bucket.endpoint/key`
    VirtualHosted,
}

/// Services whose buckets have names in DNS.
const VIRTUAL_HOSTED_DOMAINS: &[&str] = &["amazonaws.com", "tigris.dev", "storage.dev"];

/// An S3 endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    /// Path before the bucket, without a slash at its end; usually empty.
    base_path: String,
    /// How buckets are addressed.
    pub addressing: Addressing,
    /// Region named in the signature's scope.
    pub region: String,
}

/// The place of one request: what goes into the `Host` header and the request line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    /// Percent-encoded path, beginning with a slash.
    pub(crate) path: String,
}

impl Endpoint {
    /// Reads an endpoint's URL: `http` or `https`, a host, perhaps a port and a path such as `/s3`.
    pub fn parse(url: &str, addressing: Addressing, region: &str) -> Result<Self, Error> {
        let invalid = |why: &str| {
            Error::Config(format!(
                "endpoint URL {url:?} {why}; it should look like https://s3.example.com or http://127.0.0.1:9000"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| invalid("cannot be read"))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or_else(|| invalid("has no scheme"))?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(invalid("is neither http nor https"));
        }
        let authority = parts.authority.ok_or_else(|| invalid("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("contains a user name"));
        }
        if !is_host(authority.host()) {
            return Err(invalid("has no valid host"));
        }
        let base_path = parts.path_and_query.as_ref().map_or("", |path| path.path());
        if parts
            .path_and_query
            .as_ref()
            .is_some_and(|path| path.query().is_some())
        {
            return Err(invalid("contains a query"));
        }
        Ok(Self {
            scheme,
            authority,
            base_path: base_path.trim_end_matches('/').to_owned(),
            addressing,
            region: region.to_owned(),
        })
    }

    /// The URL as it would be given to another S3 client.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.host(), self.base_path)
    }

    /// Host with port, without the port that the scheme implies: as it stands in `Host`.
    pub fn host(&self) -> String {
        let implied = if self.is_tls() { 443 } else { 80 };
        match self.authority.port_u16() {
            Some(port) if port != implied => format!("{}:{port}", self.authority.host()),
            _ => self.authority.host().to_owned(),
        }
    }

    /// Whether requests travel encrypted.
    pub fn is_tls(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &str {
        self.scheme.as_str()
    }

    /// Whether requests stay on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.authority.host().to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => bare == "localhost" || bare.ends_with(".localhost"),
        }
    }

    /// Host and path of a bucket or object; of the service itself without a bucket.
    pub(crate) fn target(&self, bucket: Option<&str>, encoded_key: Option<&str>) -> Target {
        let key = encoded_key.unwrap_or_default();
        let Some(bucket) = bucket else {
            return Target {
                host: self.host(),
                path: format!("{}/", self.base_path),
            };
        };
        if self.is_virtual_hosted(bucket) {
            return Target {
                host: format!("{bucket}.{}", self.host()),
                path: format!("{}/{key}", self.base_path),
            };
        }
        let slash = if encoded_key.is_some() { "/" } else { "" };
        Target {
            host: self.host(),
            path: format!("{}/{bucket}{slash}{key}", self.base_path),
        }
    }

    fn is_virtual_hosted(&self, bucket: &str) -> bool {
        match self.addressing {
            Addressing::Path => false,
            Addressing::VirtualHosted => true,
            Addressing::Auto => {
                let host = self.authority.host();
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                if bare.parse::<IpAddr>().is_ok() {
                    return false;
                }
                // A wildcard certificate covers one label, and old bucket names are no DNS labels.
                let fits_dns = bucket
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                fits_dns
                    && VIRTUAL_HOSTED_DOMAINS.iter().any(|domain| {
                        host.strip_suffix(domain)
                            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
                    })
            }
        }
    }
}

/// Whether a network can have a host of this name. The `http` crate accepts more.
fn is_host(host: &str) -> bool {
    match host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            !host.is_empty() && host.bytes().all(is_name_byte)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str, addressing: Addressing) -> Endpoint {
        Endpoint::parse(url, addressing, "auto").unwrap()
    }

    fn place(endpoint: &Endpoint, bucket: &str, key: Option<&str>) -> String {
        let target = endpoint.target(Some(bucket), key);
        format!("{} {}", target.host, target.path)
    }

    #[test]
    fn path_style_for_unknown_hosts_and_addresses() {
        for url in [
            "http://127.0.0.1:9000",
            "http://[::1]:9000/",
            "http://localhost:9000",
        ] {
            let endpoint = endpoint(url, Addressing::Auto);
            assert!(
                place(&endpoint, "pics", Some("a/b")).ends_with(":9000 /pics/a/b"),
                "{url}"
            );
            assert!(
                place(&endpoint, "pics", None).ends_with(":9000 /pics"),
                "{url}"
            );
        }
    }

    #[test]
    fn virtual_hosts_where_known_or_asked_for() {
        let tigris = endpoint("https://t3.storage.dev", Addressing::Auto);
        assert_eq!(place(&tigris, "pics", Some("k")), "pics.t3.storage.dev /k");
        assert_eq!(
            place(&tigris, "dotted.name", Some("k")),
            "t3.storage.dev /dotted.name/k"
        );
        let own = endpoint("http://store.lan:9000/s3/", Addressing::VirtualHosted);
        assert_eq!(place(&own, "pics", None), "pics.store.lan:9000 /s3/");
        let similar = endpoint("https://notstorage.dev", Addressing::Auto);
        assert_eq!(place(&similar, "pics", None), "notstorage.dev /pics");
    }

    #[test]
    fn the_implied_port_does_not_stand_in_the_host() {
        assert_eq!(
            endpoint("https://a.example:443", Addressing::Path).host(),
            "a.example"
        );
        assert_eq!(
            endpoint("https://a.example:80", Addressing::Path).host(),
            "a.example:80"
        );
        assert_eq!(
            endpoint("http://a.example:80/x/", Addressing::Path).url(),
            "http://a.example/x"
        );
    }

    #[test]
    fn what_stays_on_this_machine() {
        for (url, is_loopback) in [
            ("http://127.0.0.1:9000", true),
            ("http://[::1]:9000", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://LocalHost", true),
            ("http://s3.localhost:9000", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example.com", false),
            ("https://notlocalhost", false),
        ] {
            let endpoint = endpoint(url, Addressing::Auto);
            assert_eq!(endpoint.is_loopback(), is_loopback, "{url}");
        }
    }

    #[test]
    fn refuses_what_is_no_endpoint() {
        for url in [
            "",
            "example.com",
            "ftp://example.com",
            "http://u:p@h",
            "http://h/?q",
            "/x",
        ] {
            assert!(
                Endpoint::parse(url, Addressing::Auto, "auto").is_err(),
                "{url}"
            );
        }
    }
}
