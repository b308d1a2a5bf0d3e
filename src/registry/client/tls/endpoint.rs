//! Where a registry's API is, and where it may not send us.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

use crate::{registry::client::RegistryError, types::Registry};

/// Where a registry's API is.
#[derive(Debug, Clone)]
pub(in crate::registry::client) struct Endpoint {
    pub(in crate::registry::client) registry: Registry,
    /// Scheme, host and port.
    pub(in crate::registry::client) base: Url,
}

impl Endpoint {
    /// Whether what goes there goes in plain.
    pub(in crate::registry::client) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Whether `url` is of this endpoint, so that its credentials may go there.
    pub(in crate::registry::client) fn owns(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }

    /// Refuses a `url` that the registry points to but that we do not go to.
    pub(in crate::registry::client) fn check_target(&self, url: &Url) -> Result<(), RegistryError> {
        let why = if !matches!(url.scheme(), "http" | "https") {
            "is no web address"
        } else if !url.username().is_empty() || url.password().is_some() {
            "holds credentials of its own"
        } else if url.scheme() == "http" && !self.is_plain() {
            "is not encrypted"
        } else if !self.registry.is_loopback() && is_forbidden_literal(url) {
            "is an address of this machine or of its link"
        } else {
            return Ok(());
        };
        Err(self.unsafe_target(url, why))
    }

    pub(in crate::registry::client) fn unsafe_target(
        &self,
        url: &Url,
        why: &'static str,
    ) -> RegistryError {
        let target = url.origin().ascii_serialization();
        RegistryError::UnsafeTarget { registry: self.registry.clone(), target, why }
    }
}

/// Where clouds keep credentials besides their links: Alibaba, Azure, Amazon.
const CLOUD_V4: [Ipv4Addr; 2] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16)];
const CLOUD_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Addresses that a registry elsewhere has no business to point to: this machine, and its link,
/// where clouds keep credentials. Private networks are allowed: sites keep their storage there.
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || CLOUD_V4.contains(&v4)
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6 == CLOUD_V6
        }
    }
}

fn is_forbidden_literal(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_forbidden(address.into()),
        Some(Host::Ipv6(address)) => is_forbidden(address.into()),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => true,
    }
}
