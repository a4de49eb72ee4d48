//! Whom the server trusts without a signature.

use std::net::IpAddr;

use http::HeaderMap;

use crate::Peer;

/// Headers by which a proxy says that it speaks for somebody else.
const FORWARDING_HEADERS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/// Whether a request comes from this machine itself. A proxy on this machine speaks for others:
/// what it forwards does not count as local.
pub fn is_local(peer: Peer, headers: &HeaderMap) -> bool {
    match peer {
        Peer::LocalSocket => true,
        Peer::Tcp(address) => {
            let forwarded = FORWARDING_HEADERS
                .iter()
                .any(|name| headers.contains_key(*name));
            is_loopback(address.ip()) && !forwarded
        }
    }
}

fn is_loopback(address: IpAddr) -> bool {
    // An IPv4 client of a dual-stack socket appears as ::ffff:127.0.0.1.
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proxy_forwards_is_not_local() {
        let direct = HeaderMap::new();
        let mut forwarded = HeaderMap::new();
        forwarded.insert(
            "x-forwarded-for",
            http::HeaderValue::from_static("203.0.113.7"),
        );
        let peer = |text: &str| Peer::Tcp(text.parse().unwrap());
        assert!(is_local(Peer::LocalSocket, &direct));
        assert!(is_local(peer("127.0.0.1:1"), &direct));
        assert!(is_local(peer("[::1]:1"), &direct));
        assert!(is_local(peer("[::ffff:127.0.0.1]:1"), &direct));
        assert!(!is_local(peer("127.0.0.1:1"), &forwarded));
        assert!(!is_local(peer("192.0.2.1:1"), &direct));
    }
}
