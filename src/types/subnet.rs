//! The part of a network address that one client controls.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// An IPv4 address, or the /64 of an IPv6 address: limits of one client apply to it as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subnet(u128);

/// The bits of an IPv6 address that name the network.
const NETWORK: u128 = !0 << 64;

impl Subnet {
    /// The subnet of `address`; an IPv4 address in IPv6 form is the same as in IPv4 form.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
            IpAddr::V6(address) => u128::from(address) & NETWORK,
        })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match IpAddr::V6(Ipv6Addr::from(self.0)).to_canonical() {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnet_is_the_ipv4_address_or_the_ipv6_64() {
        let subnet = |text: &str| Subnet::of(text.parse().unwrap());
        assert_eq!(subnet("2001:db8::1"), subnet("2001:db8::ffff:2"));
        assert_ne!(subnet("2001:db8::1"), subnet("2001:db8:0:1::1"));
        assert_eq!(subnet("10.0.0.1"), subnet("::ffff:10.0.0.1"));
        assert_ne!(subnet("10.0.0.1"), subnet("10.0.0.2"));
        assert_eq!(subnet("::ffff:10.0.0.1").to_string(), "10.0.0.1");
        assert_eq!(subnet("2001:db8::7").to_string(), "2001:db8::/64");
    }
}
