//! Names become addresses, but not those of this machine or its link.

use std::{collections::BTreeSet, io, net::SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::endpoint::is_forbidden;

/// Resolves names, but not to forbidden addresses; what was checked is what is connected to.
#[derive(Debug)]
pub(super) struct GuardedResolver {
    /// The user's own proxies, which may be on this machine.
    pub(super) proxies: BTreeSet<String>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let is_proxy = self.proxies.contains(name.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await?
                .filter(|address| is_proxy || !is_forbidden(address.ip()))
                .collect();
            if found.is_empty() {
                let why = format!("{} has no address that may be connected to", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
