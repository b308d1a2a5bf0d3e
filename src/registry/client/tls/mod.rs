//! Connections: whom we trust as which registry, and where we do not go.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error as StdError,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Client;
use rustls::pki_types::CertificateDer;
use url::Url;

use super::{RegistryError, TlsProblem};
use crate::{
    authority::{self, ClientAuthRequests, Identity, ShownCertificate},
    types::Registry,
};

mod chain;
mod endpoint;
mod files;
mod problem;
mod proxies;
mod resolver;

pub(super) use endpoint::Endpoint;
pub(super) use problem::connection_error;
pub use proxies::Proxies;

use files::BadFile;
use resolver::GuardedResolver;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections are dropped before the usual servers drop them.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// The kinds of connections, which do not share pools.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    /// To this machine, in plain.
    Loopback,
    /// To this machine, with the system's authorities.
    LoopbackTls,
    /// To a registry that was named as one without TLS.
    Plain,
    /// In plain, to where such a registry pointed.
    GuardedPlain,
    /// With the system's authorities.
    System,
    /// With the system's authorities, to where a registry elsewhere pointed.
    Guarded,
    /// With the system's authorities and those of one host, and our own certificate for it.
    Private(Registry),
}

/// The versions of HTTP that are offered, as TLS names them.
const PROTOCOLS: &[&str] = &["h2", "http/1.1"];

/// Makes and keeps connections.
#[derive(Debug)]
pub(super) struct Connections {
    authorities: BTreeMap<Registry, Vec<String>>,
    certs_dirs: Vec<PathBuf>,
    plain_http: BTreeSet<Registry>,
    proxies: Proxies,
    user_agent: String,
    pools: Mutex<HashMap<Kind, Pool>>,
}

/// The connections of one kind.
#[derive(Debug, Clone)]
struct Pool {
    client: Client,
    client_auth: ClientAuthRequests,
}

impl Connections {
    pub(super) fn new(
        authorities: BTreeMap<Registry, Vec<String>>,
        certs_dirs: Vec<PathBuf>,
        plain_http: BTreeSet<Registry>,
        proxies: Proxies,
        user_agent: String,
    ) -> Self {
        let pools = Mutex::default();
        Self { authorities, certs_dirs, plain_http, proxies, user_agent, pools }
    }

    /// Where the API of `registry` is. Plain HTTP is spoken to registries named as such, and on
    /// this machine unless a certificate for the registry says otherwise.
    pub(super) fn endpoint(&self, registry: &Registry) -> Result<Endpoint, RegistryError> {
        let host = match registry.as_str() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        };
        let plain = self.plain_http.contains(registry)
            || registry.is_loopback() && !self.has_certificates(registry);
        let scheme = if plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/"))
            .map_err(|error| RegistryError::protocol(&registry.into(), error.to_string()))?;
        Ok(Endpoint { registry: registry.clone(), base })
    }

    /// Whether anything was configured for TLS with `registry`.
    fn has_certificates(&self, registry: &Registry) -> bool {
        self.authorities.get(registry).is_some_and(|pems| !pems.is_empty())
            || self.certs_dirs.iter().any(|dir| files::has_any(dir, registry))
    }

    /// The connections to use for `url`, on behalf of the registry at `endpoint`.
    pub(super) fn client(&self, url: &Url, endpoint: &Endpoint) -> Result<Client, RegistryError> {
        let kind = self.kind(url, endpoint);
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&kind) {
            return Ok(pool.client.clone());
        }
        let pool = self.build(&kind, &endpoint.registry)?;
        let client = pool.client.clone();
        pools.insert(kind, pool);
        Ok(client)
    }

    /// What `error` means, by which a request to `url` failed.
    ///
    /// A server that rejects our certificate, or that we have none, sends its alert after the handshake; the
    /// alert is lost where the connection ends before it is read. Where the server asked for a certificate and
    /// a second connection ends before an answer as well, the certificate is the cause.
    pub(super) async fn explain(
        &self,
        error: RegistryError,
        url: &Url,
        endpoint: &Endpoint,
        patience: Duration,
    ) -> RegistryError {
        let kind = self.kind(url, endpoint);
        let is_requested = self.pool(&kind).is_some_and(|it| it.client_auth.is_requested());
        if url.scheme() != "https" || !ends_before_answer(&error, is_requested) {
            return error;
        }
        self.probe(&kind, url, endpoint, patience).await.unwrap_or(error)
    }

    /// Asks for `/` on a new connection. None: the server answers, or the failure is not about certificates.
    async fn probe(
        &self,
        kind: &Kind,
        url: &Url,
        endpoint: &Endpoint,
        patience: Duration,
    ) -> Option<RegistryError> {
        let registry = &endpoint.registry;
        let pool = self.build(kind, registry).ok()?;
        let root = url.join("/").ok()?;
        let asked = tokio::time::timeout(patience, pool.client.head(root).send()).await.ok()?;
        let error = connection_error(asked.err()?, registry);
        if pool.client_auth.is_requested() && ends_before_answer(&error, true) {
            let (registry, problem) = (registry.clone(), TlsProblem::WantsIdentity);
            return Some(RegistryError::Tls { registry, problem, source: error.into() });
        }
        matches!(error, RegistryError::Tls { .. }).then_some(error)
    }

    fn pool(&self, kind: &Kind) -> Option<Pool> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).get(kind).cloned()
    }

    fn kind(&self, url: &Url, endpoint: &Endpoint) -> Kind {
        let target =
            if endpoint.owns(url) { Some(endpoint.registry.clone()) } else { registry_of(url) };
        let is_plain = url.scheme() == "http";
        match target {
            Some(target) if !is_plain && self.has_certificates(&target) => Kind::Private(target),
            Some(target) if target.is_loopback() => {
                if is_plain {
                    Kind::Loopback
                } else {
                    Kind::LoopbackTls
                }
            }
            target => {
                let is_named = target.is_some_and(|it| self.plain_http.contains(&it));
                let is_free = endpoint.owns(url) || endpoint.registry.is_loopback();
                match (is_plain, is_free) {
                    (true, free) if free || is_named => Kind::Plain,
                    (true, _) => Kind::GuardedPlain,
                    (false, true) => Kind::System,
                    (false, false) => Kind::Guarded,
                }
            }
        }
    }

    fn build(&self, kind: &Kind, registry: &Registry) -> Result<Pool, RegistryError> {
        let failed = |problem, source: Box<dyn StdError + Send + Sync>| RegistryError::Tls {
            registry: registry.clone(),
            problem,
            source,
        };
        let builder = Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        // A proxy would look for this machine in its own place.
        let on_this_machine = match kind {
            Kind::Loopback | Kind::LoopbackTls => true,
            Kind::Private(host) => host.is_loopback(),
            _ => false,
        };
        let builder = if on_this_machine {
            builder.no_proxy()
        } else {
            let unusable = |source: proxies::UnusableProxy| RegistryError::Unreachable {
                registry: registry.clone(),
                source: source.into(),
            };
            self.proxies.of(builder).map_err(unusable)?
        };
        let builder = match kind {
            Kind::Guarded | Kind::GuardedPlain => {
                let proxies = self.proxies.hosts();
                builder.dns_resolver(Arc::new(GuardedResolver { proxies }))
            }
            _ => builder,
        };
        let mut client_auth = ClientAuthRequests::default();
        let builder = match kind {
            Kind::Loopback | Kind::Plain | Kind::GuardedPlain => builder.tls_certs_only([]),
            Kind::LoopbackTls | Kind::System | Kind::Guarded => {
                let mut config = authority::client_config(Vec::new(), None, PROTOCOLS)
                    .map_err(|error| failed(TlsProblem::Other, error.into()))?;
                client_auth = ClientAuthRequests::record(&mut config);
                builder.tls_backend_preconfigured(config)
            }
            Kind::Private(host) => {
                let authorities = self
                    .certificates(host)
                    .map_err(|error| failed(TlsProblem::BadAuthority, error))?;
                let identity =
                    self.identity(host).map_err(|error| failed(TlsProblem::BadIdentity, error))?;
                // A key that does not fit its certificate is found here.
                let problem = match identity {
                    Some(_) => TlsProblem::BadIdentity,
                    None => TlsProblem::BadAuthority,
                };
                let mut config = authority::client_config(authorities, identity, PROTOCOLS)
                    .map_err(|error| failed(problem, error.into()))?;
                client_auth = ClientAuthRequests::record(&mut config);
                builder.tls_backend_preconfigured(config)
            }
        };
        let client = builder.build().map_err(|error| failed(TlsProblem::Other, error.into()))?;
        Ok(Pool { client, client_auth })
    }

    fn certificates(&self, registry: &Registry) -> Result<Vec<CertificateDer<'static>>, BadFile> {
        let mut certificates = Vec::new();
        for pem in self.authorities.get(registry).into_iter().flatten() {
            certificates.extend(authority::certificates(pem)?);
        }
        for dir in &self.certs_dirs {
            certificates.extend(files::authorities(dir, registry)?);
        }
        Ok(certificates)
    }

    /// Our own certificate for `registry`, from the first folder that has one.
    fn identity(&self, registry: &Registry) -> Result<Option<Identity>, BadFile> {
        for dir in &self.certs_dirs {
            if let Some(identity) = files::identity(dir, registry)? {
                return Ok(Some(identity));
            }
        }
        Ok(None)
    }

    /// The proxy on the way to `endpoint`, without its credentials.
    pub(super) fn proxy(&self, endpoint: &Endpoint) -> Option<String> {
        if endpoint.registry.is_loopback() {
            None
        } else {
            self.proxies.on_the_way_to(&endpoint.base)
        }
    }

    /// The certificates that the server at `endpoint` shows, its own first.
    pub(super) async fn chain(
        &self,
        endpoint: &Endpoint,
    ) -> std::io::Result<Vec<ShownCertificate>> {
        let host = endpoint.base.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = endpoint.base.port_or_known_default().unwrap_or(443);
        tokio::task::spawn_blocking(move || chain::shown_by(&host, port, CONNECT_TIMEOUT))
            .await
            .unwrap_or_else(|error| Err(error.into()))
    }
}

/// Whether a connection ended before an answer, so that an alert of TLS may have been lost. Where the server
/// asked for a client certificate, the HTTP client may also report that no connection was made.
fn ends_before_answer(error: &RegistryError, is_requested: bool) -> bool {
    match error {
        RegistryError::Tls { problem: TlsProblem::Other, .. } => is_requested,
        RegistryError::Unreachable { source, .. } => {
            source.downcast_ref::<reqwest::Error>().is_some_and(|it| {
                !it.is_timeout() && (is_requested || it.is_request() && !it.is_connect())
            })
        }
        _ => false,
    }
}

fn registry_of(url: &Url) -> Option<Registry> {
    let host = url.host_str()?;
    match url.port() {
        Some(port) => format!("{host}:{port}").parse().ok(),
        None => host.parse().ok(),
    }
}
