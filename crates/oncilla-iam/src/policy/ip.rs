//! Ranges of addresses, for `IpAddress` and `NotIpAddress`.

use std::net::{IpAddr, Ipv4Addr};

use oncilla_wire::digits::is_digits;

/// An address with the number of its leading bits that count (RFC 4632, RFC 4291 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cidr {
    network: IpAddr,
    bits: u32,
}

/// The bits that all addresses of IPv4 begin with that are mapped into IPv6 (RFC 4291 §2.5.5.2).
const MAPPED_BITS: u32 = 96;

/// Ranges broader than this are nobody's own (S3 user guide, "The meaning of public").
const BROADEST_FIXED_V4_BITS: u32 = 8;
const BROADEST_FIXED_V6_BITS: u32 = 32;

impl Cidr {
    /// Reads `192.0.2.0/24`, `2001:db8::/32`, or an address alone. Bits of the address beyond those
    /// that count do not matter.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().ok()?;
        let bits_max = if network.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => bits_max,
            Some(digits) if is_digits(digits) => digits.parse().ok()?,
            Some(_) => return None,
        };
        if bits > bits_max {
            return None;
        }
        // As the addresses that are compared with it.
        Some(match network.to_canonical() {
            network @ IpAddr::V4(_) if bits_max == 128 && bits >= MAPPED_BITS => Self {
                network,
                bits: bits - MAPPED_BITS,
            },
            _ => Self { network, bits },
        })
    }

    /// Whether an address is in the range. One of IPv4 that was mapped into IPv6, as sockets for
    /// both hand them out, is one of IPv4.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(32 - self.bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(128 - self.bits).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Whether the range is narrow enough to be somebody's, so that who limits access to it does
    /// not make it public: private networks, and others up to a size.
    pub(super) fn is_fixed(&self) -> bool {
        const PRIVATE: [(Ipv4Addr, u32); 3] = [
            (Ipv4Addr::new(10, 0, 0, 0), 8),
            (Ipv4Addr::new(172, 16, 0, 0), 12),
            (Ipv4Addr::new(192, 168, 0, 0), 16),
        ];
        let is_private = PRIVATE.iter().any(|(network, bits)| {
            let private = Self {
                network: IpAddr::V4(*network),
                bits: *bits,
            };
            self.bits >= *bits && private.contains(self.network)
        });
        match self.network {
            IpAddr::V4(_) => is_private || self.bits >= BROADEST_FIXED_V4_BITS,
            IpAddr::V6(_) => self.bits >= BROADEST_FIXED_V6_BITS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (range, address, expected) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.77/24", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.2.9", true),
            ("::ffff:192.0.2.0/120", "192.0.3.9", false),
            ("::ffff:0:0/96", "192.0.2.9", true),
            ("::ffff:0:0/95", "192.0.2.9", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("2001:db8::1", "2001:db8::1", true),
        ] {
            let cidr = Cidr::parse(range).unwrap();
            assert_eq!(
                cidr.contains(address.parse().unwrap()),
                expected,
                "{range} {address}"
            );
        }
        for text in [
            "",
            "1.2.3",
            "1.2.3.4/33",
            "1.2.3.4/",
            "1.2.3.4/+8",
            "::/129",
            "x",
            "1.2.3.4/-1",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }

    #[test]
    fn broad_ranges_are_not_fixed() {
        for (range, fixed) in [
            ("0.0.0.0/0", false),
            ("0.0.0.0/1", false),
            ("54.0.0.0/7", false),
            ("54.0.0.0/8", true),
            ("10.0.0.0/8", true),
            ("10.0.0.0/32", true),
            ("::/0", false),
            ("2001::/31", false),
            ("2001:db8::/32", true),
        ] {
            assert_eq!(Cidr::parse(range).unwrap().is_fixed(), fixed, "{range}");
        }
    }
}
