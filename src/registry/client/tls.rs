//! Connections: whom we trust as which registry, and where we do not go.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error as StdError,
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Certificate, Client,
    dns::{Addrs, Name, Resolve, Resolving},
};
use url::{Host, Url};

use super::{RegistryError, TlsProblem};
use crate::types::Registry;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are dropped before the usual servers drop them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Where a registry's API is.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) registry: Registry,
    /// Scheme, host and port.
    pub(super) base: Url,
}

impl Endpoint {
    /// Whether what goes there goes in plain.
    pub(super) fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Whether `url` is of this endpoint, so that its credentials may go there.
    pub(super) fn owns(&self, url: &Url) -> bool {
        self.base.origin() == url.origin()
    }

    /// Refuses a `url` that the registry points to but that we do not go to.
    pub(super) fn check_target(&self, url: &Url) -> Result<(), RegistryError> {
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

    pub(super) fn unsafe_target(&self, url: &Url, why: &'static str) -> RegistryError {
        let target = url.origin().ascii_serialization();
        RegistryError::UnsafeTarget { registry: self.registry.clone(), target, why }
    }
}

/// Addresses that a registry elsewhere has no business to point to: this machine, and its link,
/// where clouds keep credentials. Private networks are allowed: sites keep their storage there.
fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
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

/// Resolves names, but not to forbidden addresses; what was checked is what is connected to.
#[derive(Debug)]
struct GuardedResolver;

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await?
                .filter(|address| !is_forbidden(address.ip()))
                .collect();
            if found.is_empty() {
                let why = format!("{} has no address that may be connected to", name.as_str());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The kinds of connections, which do not share pools.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// To this machine, in plain.
    Loopback,
    /// To a registry that was named as one without TLS.
    Plain,
    /// With the system's authorities.
    System,
    /// With the system's authorities, to where a registry elsewhere pointed.
    Guarded,
    /// With the system's authorities and those of one host.
    Private(Registry),
}

/// Makes and keeps connections.
#[derive(Debug)]
pub(super) struct Connections {
    authorities: BTreeMap<Registry, Vec<String>>,
    certs_dirs: Vec<PathBuf>,
    plain_http: BTreeSet<Registry>,
    user_agent: String,
    clients: Mutex<HashMap<Kind, Client>>,
}

impl Connections {
    pub(super) fn new(
        authorities: BTreeMap<Registry, Vec<String>>,
        certs_dirs: Vec<PathBuf>,
        plain_http: BTreeSet<Registry>,
        user_agent: String,
    ) -> Self {
        let clients = Mutex::default();
        Self { authorities, certs_dirs, plain_http, user_agent, clients }
    }

    /// Where the API of `registry` is. Plain HTTP is spoken to registries named as such, and on
    /// this machine unless a CA certificate for the registry says otherwise.
    pub(super) fn endpoint(&self, registry: &Registry) -> Result<Endpoint, RegistryError> {
        let host = match registry.as_str() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        };
        let plain = self.plain_http.contains(registry)
            || registry.is_loopback() && !self.has_authority(registry);
        let scheme = if plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/"))
            .map_err(|error| RegistryError::protocol(&registry.into(), error.to_string()))?;
        Ok(Endpoint { registry: registry.clone(), base })
    }

    fn has_authority(&self, registry: &Registry) -> bool {
        self.authorities.get(registry).is_some_and(|pems| !pems.is_empty())
            || self.certs_dirs.iter().any(|dir| !authority_files(dir, registry).is_empty())
    }

    /// The connections to use for `url`, on behalf of the registry at `endpoint`.
    pub(super) fn client(&self, url: &Url, endpoint: &Endpoint) -> Result<Client, RegistryError> {
        let target =
            if endpoint.owns(url) { Some(endpoint.registry.clone()) } else { registry_of(url) };
        let kind = match target {
            Some(target) if url.scheme() == "https" && self.has_authority(&target) => {
                Kind::Private(target)
            }
            Some(target) if url.scheme() == "http" && target.is_loopback() => Kind::Loopback,
            _ if url.scheme() == "http" => Kind::Plain,
            _ if endpoint.owns(url) || endpoint.registry.is_loopback() => Kind::System,
            _ => Kind::Guarded,
        };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&kind) {
            return Ok(client.clone());
        }
        let client = self.build(&kind, &endpoint.registry)?;
        clients.insert(kind, client.clone());
        Ok(client)
    }

    fn build(&self, kind: &Kind, registry: &Registry) -> Result<Client, RegistryError> {
        let bad_authority = |source: Box<dyn StdError + Send + Sync>| RegistryError::Tls {
            registry: registry.clone(),
            problem: TlsProblem::BadAuthority,
            source,
        };
        let builder = Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        let builder = match kind {
            Kind::Loopback => builder.tls_certs_only([]).no_proxy(),
            Kind::Plain => builder.tls_certs_only([]),
            Kind::System => builder,
            Kind::Guarded => builder.dns_resolver(Arc::new(GuardedResolver)),
            Kind::Private(host) => {
                let certificates = self.certificates(host).map_err(bad_authority)?;
                let builder = builder.tls_certs_merge(certificates);
                if host.is_loopback() { builder.no_proxy() } else { builder }
            }
        };
        builder.build().map_err(|error| RegistryError::Tls {
            registry: registry.clone(),
            problem: TlsProblem::Other,
            source: error.into(),
        })
    }

    fn certificates(
        &self,
        registry: &Registry,
    ) -> Result<Vec<Certificate>, Box<dyn StdError + Send + Sync>> {
        let mut certificates = Vec::new();
        for pem in self.authorities.get(registry).into_iter().flatten() {
            certificates.extend(Certificate::from_pem_bundle(pem.as_bytes())?);
        }
        for dir in &self.certs_dirs {
            for path in authority_files(dir, registry) {
                let pem = std::fs::read(&path)
                    .map_err(|error| format!("failed to read {}: {error}", path.display()))?;
                certificates.extend(Certificate::from_pem_bundle(&pem)?);
            }
        }
        if certificates.is_empty() {
            Err("there is no certificate in it".into())
        } else {
            Ok(certificates)
        }
    }
}

/// The CA certificates for `registry` in a folder like `/etc/docker/certs.d`: `HOST[:PORT]/*.crt`.
fn authority_files(certs_dir: &Path, registry: &Registry) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(certs_dir.join(registry.as_str())) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "crt"))
        .collect();
    files.sort();
    files
}

fn registry_of(url: &Url) -> Option<Registry> {
    let host = url.host_str()?;
    match url.port() {
        Some(port) => format!("{host}:{port}").parse().ok(),
        None => host.parse().ok(),
    }
}

/// What a failed request means.
pub(super) fn connection_error(error: reqwest::Error, registry: &Registry) -> RegistryError {
    let error = error.without_url(); // its query may hold a credential
    let registry = registry.clone();
    match tls_problem(&error) {
        Some(problem) => RegistryError::Tls { registry, problem, source: error.into() },
        None => RegistryError::Unreachable { registry, source: error.into() },
    }
}

/// Looks for what the TLS library says among the causes of `error`.
fn tls_problem(error: &(dyn StdError + 'static)) -> Option<TlsProblem> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = inside
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .or_else(|| error.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Some(problem_of(tls));
        }
        if let Some(problem) = inside.and_then(|inner| tls_problem(inner)) {
            return Some(problem);
        }
        cause = error.source();
    }
    None
}

fn problem_of(error: &rustls::Error) -> TlsProblem {
    use rustls::CertificateError as Bad;

    let bad = match error {
        rustls::Error::InvalidCertificate(bad) => bad,
        rustls::Error::InvalidMessage(_) => return TlsProblem::NotTls,
        _ => return TlsProblem::Other,
    };
    match bad {
        // A bad signature: an authority of the same name with another key, as after its renewal.
        Bad::UnknownIssuer | Bad::BadSignature => TlsProblem::UnknownIssuer,
        Bad::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            TlsProblem::NoAlternativeName
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => TlsProblem::WrongName,
        Bad::Expired
        | Bad::ExpiredContext { .. }
        | Bad::NotValidYet
        | Bad::NotValidYetContext { .. } => TlsProblem::Expired,
        // A CA certificate used as the server's own: self-signed, and not given as trusted.
        Bad::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            TlsProblem::UnknownIssuer
        }
        _ => TlsProblem::Other,
    }
}
