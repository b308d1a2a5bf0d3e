//! How a registry wants to know who we are, and whether its token server may.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::offered;
use crate::{
    registry::client::{Place, RegistryError, tls::Endpoint},
    types::Registry,
};

/// Token servers on other hosts than their registries, known to everybody.
const KNOWN_TOKEN_SERVERS: [(&str, &str); 4] = [
    ("docker.io", "auth.docker.io"),
    ("index.docker.io", "auth.docker.io"),
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
];

/// Why a token server gets no login.
pub(in crate::registry::client) const UNKNOWN_TOKEN_SERVER: &str =
    "is not known as its token server, so it gets no login";

/// Hosts of token servers that may see the login of a registry on another host.
pub(in crate::registry::client) type TokenServers = BTreeMap<Registry, BTreeSet<String>>;

/// How a registry wants to know who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::registry::client) enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

/// The scheme to use of those that a registry offers: Bearer if it can be had, else Basic.
pub(super) fn scheme_of(
    endpoint: &Endpoint,
    challenges: &[String],
    allowed: &TokenServers,
) -> Result<Scheme, RegistryError> {
    let place = Place::from(&endpoint.registry);
    let offered: Vec<_> = challenges.iter().flat_map(|header| offered::parse(header)).collect();
    let bearers = || offered.iter().filter(|it| it.is("Bearer"));
    let usable = bearers().find_map(|it| {
        let realm = endpoint.base.join(it.parameter("realm")?).ok()?;
        Some((realm, it.parameter("service").map(str::to_owned)))
    });
    if let Some((realm, service)) = usable {
        check_realm(endpoint, &realm, allowed)?;
        return Ok(Scheme::Bearer { realm, service });
    }
    if offered.iter().any(|it| it.is("Basic")) {
        return Ok(Scheme::Basic);
    }
    let why = if bearers().next().is_some() {
        "its challenge names no realm"
    } else {
        "it wants a login, but neither Basic nor Bearer"
    };
    Err(RegistryError::protocol(&place, why))
}

/// Refuses a token server that may not see our login.
fn check_realm(
    endpoint: &Endpoint,
    realm: &Url,
    allowed: &TokenServers,
) -> Result<(), RegistryError> {
    endpoint.check_target(realm)?;
    if endpoint.owns(realm) {
        return Ok(());
    }
    let registry = &endpoint.registry;
    let host = realm.host_str().unwrap_or_default();
    let ours = endpoint.base.host_str().unwrap_or_default();
    let same_host = host == ours && realm.port() == endpoint.base.port();
    let is_known =
        KNOWN_TOKEN_SERVERS.iter().any(|(of, server)| *of == registry.as_str() && *server == host)
            || allowed.get(registry).is_some_and(|servers| servers.contains(host));
    let on_loopback =
        registry.is_loopback() && host.parse::<Registry>().is_ok_and(|realm| realm.is_loopback());
    if (realm.scheme() == "https" && (same_host || is_known)) || on_loopback {
        return Ok(());
    }
    Err(endpoint.unsafe_target(realm, UNKNOWN_TOKEN_SERVER))
}
