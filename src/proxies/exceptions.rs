//! `NO_PROXY`: the hosts that are reached without a proxy, as curl and Go's programs read it.

use std::net::IpAddr;

use url::{Host, Url};

/// Hosts that are reached without a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Exceptions(Vec<Exception>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Exception {
    hosts: Hosts,
    /// None: whatever the port.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    All,
    /// A name, and all names under it.
    Domain(String),
    /// The addresses that begin with so many bits of this one.
    Network(IpAddr, u8),
}

impl Exceptions {
    /// Reads entries that are parted by commas or blanks: `*`, `NAME`, `.NAME`, `*.NAME`, an address or a
    /// network (`10.0.0.0/8`, `fd00::/8`), each but a network with a port or without, IPv6 then in brackets.
    /// What is none of these counts for nothing.
    pub(super) fn read(text: &str) -> Self {
        let entries = text.split(|c: char| c == ',' || c.is_whitespace());
        Self(entries.filter(|entry| !entry.is_empty()).filter_map(Exception::read).collect())
    }

    /// Whether `url` is reached without a proxy.
    pub(super) fn cover(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        self.0.iter().any(|it| (it.port.is_none() || it.port == port) && it.hosts.cover(url))
    }
}

impl Exception {
    fn read(entry: &str) -> Option<Self> {
        if let Some(network) = Hosts::network(entry) {
            return Some(Self { hosts: network, port: None });
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        let hosts = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(address) => Hosts::network(address)?,
            None => Hosts::network(host).unwrap_or_else(|| Hosts::named(host)),
        };
        Some(Self { hosts, port })
    }
}

impl Hosts {
    /// An address, in brackets or not, or a network.
    fn network(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let address = address.parse::<IpAddr>().ok()?.to_canonical();
        let all = if address.is_ipv4() { 32 } else { 128 };
        Some(Self::Network(address, bits.unwrap_or(all).min(all)))
    }

    fn named(name: &str) -> Self {
        let name = name.strip_prefix('*').unwrap_or(name).trim_matches('.').to_ascii_lowercase();
        if name.is_empty() { Self::All } else { Self::Domain(name) }
    }

    fn cover(&self, url: &Url) -> bool {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::from(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::from(address).to_canonical()),
            _ => None,
        };
        match self {
            Self::All => true,
            Self::Domain(domain) => {
                let host = url.host_str().unwrap_or_default().trim_end_matches('.');
                let host = host.to_ascii_lowercase();
                host.strip_suffix(domain.as_str())
                    .is_some_and(|it| it.is_empty() || it.ends_with('.'))
            }
            Self::Network(network, bits) => address.is_some_and(|it| is_in(it, *network, *bits)),
        }
    }
}

/// Whether two addresses of one family begin with the same `bits`.
fn is_in(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let (a, b, all) = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (u128::from(u32::from(a)), u128::from(u32::from(b)), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => (u128::from(a), u128::from(b), 128),
        _ => return false,
    };
    let ignored = u32::from(all - bits);
    a.checked_shr(ignored).unwrap_or_default() == b.checked_shr(ignored).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(entries: &str, url: &str) -> bool {
        Exceptions::read(entries).cover(&url.parse().unwrap())
    }

    #[test]
    fn entries_cover_names_ports_addresses_and_networks() {
        for (entries, url) in [
            ("*", "https://anything/"),
            ("a, reg.example:5000", "https://reg.example:5000/v2/"),
            ("reg.example:443", "https://REG.example/"),
            ("example", "https://reg.example/"),
            (".example b", "https://example/"),
            ("*.example", "https://a.reg.example./"),
            ("10.0.0.0/8", "http://10.1.2.3:5000/"),
            ("10.1.2.3", "http://10.1.2.3:5000/"),
            ("10.1.2.3:5000", "http://10.1.2.3:5000/"),
            ("fd00::/8", "http://[fd12::1]/"),
            ("::1", "http://[::1]:8080/"),
            ("[fd00::1]", "http://[fd00::1]/"),
            ("[fd00::1]:8080", "http://[fd00::1]:8080/"),
            ("0.0.0.0/0", "http://192.168.1.1/"),
        ] {
            assert!(covers(entries, url), "{entries} {url}");
        }
        for (entries, url) in [
            ("", "https://a/"),
            ("reg.example:5000", "https://reg.example/"),
            ("reg.example:5000", "https://reg.example:5001/"),
            ("example", "https://notexample/"),
            ("reg.example", "https://example/"),
            ("10.0.0.0/8", "http://11.0.0.1/"),
            ("10.0.0.0/8", "http://10.example/"),
            ("fd00::/8", "http://[fe80::1]/"),
            ("[fd00::1]:8080", "http://[fd00::1]:8081/"),
            ("a:port", "http://a/"),
        ] {
            assert!(!covers(entries, url), "{entries} {url}");
        }
    }
}
