//! Websites: which hosts name one, and where routing rules send a request.
//! Source: S3 User Guide, "Website endpoints" and "Configuring advanced conditional redirects".

use crate::address::without_port;
use crate::uri::encode_path;
use crate::xml::website::{KeyReplacement, Protocol, RoutingRule};

/// The domain that always serves websites: `bucket.s3-website.localhost` resolves to the loopback
/// address on most systems without any set-up (RFC 6761 §6.3).
pub const LOCALHOST_WEBSITES: &str = "s3-website.localhost";

/// The first label of website endpoints, which a region may follow.
const WEBSITE_LABEL: &str = "s3-website";

/// The status of a redirect that names none.
pub const REDIRECT_CODE_DEFAULT: u16 = 301;

/// Reads the hosts of websites, for the domains that are configured.
#[derive(Clone, Debug)]
pub struct WebsiteHosts {
    /// In lower case, without dots at the ends.
    domains: Vec<String>,
}

impl WebsiteHosts {
    /// Takes the domains (`s3-website.example.org` serves `bucket.s3-website.example.org`).
    pub fn new(domains: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let domains = domains
            .into_iter()
            .map(|domain| domain.as_ref().trim_matches('.').to_ascii_lowercase());
        let domains = domains.filter(|domain| !domain.is_empty());
        Self {
            domains: domains.collect(),
        }
    }

    /// The bucket whose website a host names. Of a domain that begins with `s3-website.`, the
    /// forms of the regions are hosts too: `bucket.s3-website-eu-west-1.example.org`.
    pub fn bucket_of(&self, host: &str) -> Option<String> {
        // Few requests are for websites, and this is asked of every one.
        let host = without_port(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        self.domains.iter().find_map(|domain| {
            let bucket = below(host, domain).or_else(|| {
                let rest = domain.strip_prefix(WEBSITE_LABEL)?.strip_prefix('.')?;
                let (bucket, label) = below(host, rest)?.rsplit_once('.')?;
                let (first, region) = label.split_at_checked(WEBSITE_LABEL.len())?;
                let is_website = first.eq_ignore_ascii_case(WEBSITE_LABEL);
                (is_website && region.starts_with('-')).then_some(bucket)
            })?;
            (!bucket.is_empty()).then(|| bucket.to_ascii_lowercase())
        })
    }
}

/// The part of a host before a domain.
fn below<'h>(host: &'h str, domain: &str) -> Option<&'h str> {
    let (front, rest) = host.split_at_checked(host.len().checked_sub(domain.len())?)?;
    let front = front.strip_suffix('.')?;
    rest.eq_ignore_ascii_case(domain).then_some(front)
}

/// The first rule for a request: `error` is the status of the answer it got, or `None` before it
/// was tried.
pub fn matching_rule<'r>(
    rules: &'r [RoutingRule],
    key: &str,
    error: Option<u16>,
) -> Option<&'r RoutingRule> {
    rules.iter().find(|rule| {
        let (wanted, prefix) = match &rule.condition {
            Some(condition) => (condition.error_code, condition.key_prefix.as_deref()),
            None => (None, None),
        };
        wanted == error && key.starts_with(prefix.unwrap_or_default())
    })
}

/// Status and `Location` of a redirect. `host` and `protocol` are those of the request.
pub fn redirection(rule: &RoutingRule, key: &str, host: &str, protocol: Protocol) -> (u16, String) {
    let redirect = &rule.redirect;
    let replaced = match &redirect.key {
        None => key.to_owned(),
        Some(KeyReplacement::Whole(whole)) => whole.clone(),
        Some(KeyReplacement::Prefix(replacement)) => {
            let condition = rule.condition.as_ref();
            let prefix = condition.and_then(|condition| condition.key_prefix.as_deref());
            let rest = key.strip_prefix(prefix.unwrap_or_default());
            format!("{replacement}{}", rest.unwrap_or(key))
        }
    };
    let location = format!(
        "{}://{}/{}",
        redirect.protocol.unwrap_or(protocol).as_str(),
        redirect.host.as_deref().unwrap_or(host),
        encode_path(&replaced),
    );
    (redirect.code.unwrap_or(REDIRECT_CODE_DEFAULT), location)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::xml::website::{Redirect, RoutingCondition};

    #[test]
    fn hosts() {
        let hosts = WebsiteHosts::new([LOCALHOST_WEBSITES, "Pages.Example.org."]);
        for (host, bucket) in [
            ("b.s3-website.localhost", Some("b")),
            ("b.s3-website.localhost:9000", Some("b")),
            ("B.C.S3-Website.Localhost.", Some("b.c")),
            ("b.s3-website-eu-west-1.localhost", Some("b")),
            ("a.b.s3-website-auto.localhost:1", Some("a.b")),
            ("b.pages.example.org", Some("b")),
            ("s3-website.localhost", None),
            ("s3-website-auto.localhost", None),
            (".s3-website.localhost", None),
            ("b.s3-websites.localhost", None),
            ("b.localhost", None),
            ("localhost", None),
            ("b.pages-eu.example.org", None),
            ("[::1]:9000", None),
            ("", None),
        ] {
            assert_eq!(hosts.bucket_of(host).as_deref(), bucket, "{host}");
        }
    }

    fn rule(error: Option<u16>, prefix: Option<&str>, redirect: Redirect) -> RoutingRule {
        let condition = (error.is_some() || prefix.is_some()).then(|| RoutingCondition {
            error_code: error,
            key_prefix: prefix.map(str::to_owned),
        });
        RoutingRule {
            condition,
            redirect,
        }
    }

    #[test]
    fn rules() {
        let to = |key| Redirect {
            key: Some(key),
            ..Redirect::default()
        };
        let rules = [
            rule(
                None,
                Some("docs/"),
                to(KeyReplacement::Prefix("documents/".to_owned())),
            ),
            rule(
                Some(404),
                Some("images/"),
                Redirect {
                    host: Some("cdn.example.com".to_owned()),
                    code: Some(302),
                    protocol: Some(Protocol::Https),
                    key: Some(KeyReplacement::Prefix("not found/".to_owned())),
                },
            ),
            rule(
                Some(404),
                None,
                to(KeyReplacement::Whole("lost".to_owned())),
            ),
        ];
        let sent = |key: &str, error| {
            let rule = matching_rule(&rules, key, error)?;
            Some(redirection(rule, key, "h:1", Protocol::Http))
        };
        let to = |code, location: &str| Some((code, location.to_owned()));
        assert_eq!(
            sent("docs/a b", None),
            to(301, "http://h:1/documents/a%20b")
        );
        assert_eq!(sent("images/a", None), None);
        assert_eq!(
            sent("images/a", Some(404)),
            to(302, "https://cdn.example.com/not%20found/a")
        );
        assert_eq!(sent("other", Some(404)), to(301, "http://h:1/lost"));
        assert_eq!(sent("other", Some(403)), None);
        let always = [rule(None, None, Redirect::default())];
        assert!(matching_rule(&always, "k", None).is_some());
        assert!(matching_rule(&always, "k", Some(404)).is_none());
    }

    proptest! {
        #[test]
        fn any_host_is_read_or_not(host in ".{0,40}") {
            let hosts = WebsiteHosts::new([LOCALHOST_WEBSITES]);
            if let Some(bucket) = hosts.bucket_of(&host) {
                prop_assert!(!bucket.is_empty() && bucket.len() < host.len());
            }
        }
    }
}
