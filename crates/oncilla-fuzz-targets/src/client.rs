//! What the client reads of its user's configuration.

use oncilla_client::{Addressing, Endpoint, ProfileFile, parse_profiles};

/// The shared files of the AWS tools: names and values are what stands in the file, trimmed.
pub fn profiles(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for file in [ProfileFile::Credentials, ProfileFile::Config] {
        for (name, profile) in parse_profiles(&text, file) {
            assert!(text.contains(&name));
            for (key, value) in profile {
                assert_eq!(key, key.to_ascii_lowercase());
                assert_eq!(value, value.trim());
                assert!(!value.contains('\n') && text.contains(&value));
            }
        }
    }
}

/// The URL of an endpoint: what is shown of it can be read again, and its host can stand in a header.
pub fn endpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(endpoint) = Endpoint::parse(text, Addressing::Auto, "auto") else {
        return;
    };
    assert!(http::HeaderValue::from_str(&endpoint.host()).is_ok());
    assert_eq!(endpoint.is_tls(), endpoint.scheme() == "https");
    let again = Endpoint::parse(&endpoint.url(), Addressing::Auto, "auto");
    let again = again.unwrap_or_else(|error| panic!("{} cannot be read: {error}", endpoint.url()));
    assert_eq!(again.url(), endpoint.url());
}
