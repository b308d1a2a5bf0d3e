//! Connections: whom we trust as which registry, and where we do not go.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error as StdError,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Client;
use rustls::pki_types::CertificateDer;
use url::Url;

use super::{RegistryError, TlsProblem};
use crate::{
    authority::{self, ClientAuthRequests, ShownCertificate},
    proxies::{Proxies, ProxyFailure, ProxyRules},
    types::Registry,
};

mod authorities;
mod chain;
mod endpoint;
mod files;
mod problem;
mod resolver;

pub(super) use authorities::Authorities;
pub(super) use endpoint::Endpoint;
pub(super) use problem::connection_error;

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

/// The most certificates of which each is tried by itself.
const MOST_TRIED: usize = 16;

/// By whose word a registry is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryTrust {
    /// It is spoken to without TLS.
    Plain,
    /// By the system's authorities.
    System,
    /// By these certificates, which were configured: an authority's, or its own.
    Given(Vec<CertificateDer<'static>>),
}

/// The versions of HTTP that are offered, as TLS names them.
const PROTOCOLS: &[&str] = &["h2", "http/1.1"];

/// Makes and keeps connections.
#[derive(Debug)]
pub(super) struct Connections {
    authorities: Authorities,
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
        authorities: Authorities,
        plain_http: BTreeSet<Registry>,
        proxies: Proxies,
        user_agent: String,
    ) -> Self {
        let pools = Mutex::default();
        Self { authorities, plain_http, proxies, user_agent, pools }
    }

    /// Where the API of `registry` is. Plain HTTP is spoken to registries named as such, and on
    /// this machine unless a certificate for the registry says otherwise.
    pub(super) fn endpoint(&self, registry: &Registry) -> Result<Endpoint, RegistryError> {
        let host = match registry.as_str() {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            host => host,
        };
        let plain = self.plain_http.contains(registry)
            || registry.is_loopback() && !self.authorities.has_any(registry);
        let scheme = if plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/"))
            .map_err(|error| RegistryError::protocol(&registry.into(), error.to_string()))?;
        Ok(Endpoint { registry: registry.clone(), base })
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
        let error = if url.scheme() == "https" && ends_before_answer(&error, is_requested) {
            self.probe(&kind, url, endpoint, patience).await.unwrap_or(error)
        } else {
            error
        };
        let error = self.with_proxy(error, url);
        match registry_of(url) {
            Some(target) if !endpoint.owns(url) => error.at_target(target),
            _ => error,
        }
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
            Some(target) if !is_plain && self.authorities.has_any(&target) => Kind::Private(target),
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
        let trusted = match kind {
            Kind::Loopback | Kind::Plain | Kind::GuardedPlain => Ok(Vec::new()),
            Kind::LoopbackTls | Kind::System | Kind::Guarded => self.authorities.of_all(),
            Kind::Private(host) => self.authorities.of(host),
        };
        let trusted = trusted.map_err(|source| RegistryError::Tls {
            registry: registry.clone(),
            problem: TlsProblem::BadAuthority,
            source,
        })?;
        self.build_trusting(kind, registry, trusted)
    }

    /// Connections of a kind, where `trusted` counts beside the system's authorities.
    fn build_trusting(
        &self,
        kind: &Kind,
        registry: &Registry,
        trusted: Vec<CertificateDer<'static>>,
    ) -> Result<Pool, RegistryError> {
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
            self.proxy_rules(registry)?.apply(builder)
        };
        let builder = match kind {
            Kind::Guarded | Kind::GuardedPlain => {
                let proxies = self.proxy_rules(registry)?.hosts().collect();
                builder.dns_resolver(Arc::new(GuardedResolver { proxies }))
            }
            _ => builder,
        };
        let mut client_auth = ClientAuthRequests::default();
        let builder = match kind {
            Kind::Loopback | Kind::Plain | Kind::GuardedPlain => builder.tls_certs_only([]),
            Kind::LoopbackTls | Kind::System | Kind::Guarded => {
                let mut config = authority::client_config(trusted, None, PROTOCOLS)
                    .map_err(|error| failed(TlsProblem::Other, error.into()))?;
                client_auth = ClientAuthRequests::record(&mut config);
                builder.tls_backend_preconfigured(config)
            }
            Kind::Private(host) => {
                let identity = self
                    .authorities
                    .identity(host)
                    .map_err(|error| failed(TlsProblem::BadIdentity, error))?;
                // A key that does not fit its certificate is found here.
                let problem = match identity {
                    Some(_) => TlsProblem::BadIdentity,
                    None => TlsProblem::BadAuthority,
                };
                let mut config = authority::client_config(trusted, identity, PROTOCOLS)
                    .map_err(|error| failed(problem, error.into()))?;
                client_auth = ClientAuthRequests::record(&mut config);
                builder.tls_backend_preconfigured(config)
            }
        };
        let client = builder.build().map_err(|error| failed(TlsProblem::Other, error.into()))?;
        Ok(Pool { client, client_auth })
    }

    /// By whose word the registry at `endpoint` is trusted: each certificate that is configured is tried by
    /// itself, so that the one which counts is found.
    pub(super) async fn trust_of(
        &self,
        endpoint: &Endpoint,
        patience: Duration,
    ) -> Result<RegistryTrust, RegistryError> {
        if endpoint.is_plain() {
            return Ok(RegistryTrust::Plain);
        }
        let registry = &endpoint.registry;
        let given = self.authorities.of(registry).map_err(|source| RegistryError::Tls {
            registry: registry.clone(),
            problem: TlsProblem::BadAuthority,
            source,
        })?;
        if given.is_empty() || self.is_trusted_by(&[], endpoint, patience).await? {
            return Ok(RegistryTrust::System);
        }
        for one in given.iter().take(MOST_TRIED) {
            if self.is_trusted_by(std::slice::from_ref(one), endpoint, patience).await? {
                return Ok(RegistryTrust::Given(vec![one.clone()]));
            }
        }
        Ok(RegistryTrust::Given(given))
    }

    /// Whether a connection is made where `trusted` alone counts beside the system's authorities.
    async fn is_trusted_by(
        &self,
        trusted: &[CertificateDer<'static>],
        endpoint: &Endpoint,
        patience: Duration,
    ) -> Result<bool, RegistryError> {
        let registry = &endpoint.registry;
        let kind = Kind::Private(registry.clone());
        let pool = self.build_trusting(&kind, registry, trusted.to_vec())?;
        let request = pool.client.head(endpoint.base.clone()).timeout(patience).send();
        match request.await.map_err(|error| connection_error(error, registry)) {
            Ok(_) => Ok(true),
            // Other: an authority of the same name as one that is trusted, and the like.
            Err(RegistryError::Tls {
                problem: TlsProblem::UnknownIssuer | TlsProblem::Other,
                ..
            }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn proxy_rules(&self, registry: &Registry) -> Result<ProxyRules, RegistryError> {
        self.proxies.rules().map_err(|source| RegistryError::Unreachable {
            registry: registry.clone(),
            source: source.into(),
        })
    }

    /// The proxy on the way to `endpoint`, without its credentials.
    pub(super) fn proxy(&self, endpoint: &Endpoint) -> Option<String> {
        if endpoint.registry.is_loopback() {
            return None;
        }
        self.proxies.rules().ok()?.on_the_way_to(&endpoint.base).map(ToString::to_string)
    }

    /// The same failure, as one of the proxy on the way to `url`, if one is and no connection was made.
    fn with_proxy(&self, error: RegistryError, url: &Url) -> RegistryError {
        let is_local = registry_of(url).is_some_and(|it| it.is_loopback());
        match error {
            RegistryError::Unreachable { registry, source } if !is_local => {
                let is_connect = source.downcast_ref().is_some_and(reqwest::Error::is_connect);
                let rules = self.proxies.rules().ok().filter(|_| is_connect);
                match rules.as_ref().and_then(|rules| rules.on_the_way_to(url)) {
                    Some(proxy) => {
                        let source = ProxyFailure::new(proxy, source.as_ref()).into();
                        RegistryError::Unreachable { registry, source }
                    }
                    None => RegistryError::Unreachable { registry, source },
                }
            }
            error => error,
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
