//! Pushes to and pulls from a registry.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU64,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use reqwest::Method;
use tokio::sync::Semaphore;

use crate::{
    registry::protocol::path,
    types::{Registry, Repository},
};

mod auth;
mod blobs;
pub mod check;
pub mod cloud;
mod delete;
pub mod download;
pub mod error;
pub mod explain;
mod http;
mod lanes;
mod lists;
pub mod logins;
mod manifests;
pub mod memory;
pub mod mirrors;
mod mount;
pub mod pace;
mod pages;
mod progress;
pub mod pull;
mod push;
mod referrers;
mod retry;
mod source;
mod tls;
mod upload;
mod warnings;
mod watch;

pub use crate::{authority::TlsProblem, proxies::Proxies};
pub use auth::AZURE_TOKEN_USER;
pub use blobs::BlobOutcome;
pub use check::{Challenge, Way};
pub use cloud::Cloud;
pub use download::{BlobStream, DownloadError};
pub use error::{Place, RegistryError};
pub use logins::{
    FoundLogin, HelperProblem, Keeper, Login, LoginError, LoginOrigin, Logins, forget_login,
    keep_login,
};
pub use memory::Memory;
pub use mirrors::Mirror;
pub use pace::{ByteRate, Pace};
pub use progress::Progress;
pub use push::{Foreign, PushOptions, Pushed, push_image};
pub use referrers::{ListedBy, Referrers};
pub use retry::RetryPolicy;
pub use source::RegistryImage;
pub use tls::RegistryTrust;
pub use warnings::Warnings;

use http::{Call, refuse_page};
use watch::Stall;

/// How long a registry may be silent before it counts as gone.
const STALL: Duration = Duration::from_secs(30);
/// What counts as silence too, in bytes per second. The slowest links that people have bring more.
const SLOWEST: ByteRate = ByteRate::new(NonZeroU64::new(1000).unwrap());
/// How many blobs, or pieces of a long one, come at a time: enough to fill a link, few enough for a
/// small node, since each takes some 2 MB of memory.
const STREAMS: usize = 3;
/// How long a registry may take to keep an upload whose last byte it has: some copy it first.
const COMMIT: Duration = Duration::from_mins(10);

/// What a [`RegistryClient`] is told beforehand.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Who we are at which registry.
    pub logins: Logins,
    /// CA certificates in PEM, each trusted for one registry alone, besides the system's.
    pub ca: BTreeMap<Registry, Vec<String>>,
    /// CA certificates in PEM, trusted for every registry besides the system's: that of a proxy that reads
    /// TLS. They make no registry on this machine one with TLS.
    pub ca_for_all: Vec<String>,
    /// Folders like `/etc/docker/certs.d`, whose `HOST[:PORT]/*.crt` are CA certificates; `*.cert` with
    /// `*.key` is our own certificate for that registry.
    pub certs_dirs: Vec<PathBuf>,
    /// Whether the CA certificates in `certs_dirs` count. Our own certificates in there do in any case.
    pub ca_of_certs_dirs: bool,
    /// Registries without TLS: whoever is on the way sees and changes everything. A registry on
    /// this machine needs no entry.
    pub plain_http: BTreeSet<Registry>,
    /// Hosts of token servers that may see the login of a registry on another host.
    pub token_servers: BTreeMap<Registry, BTreeSet<String>>,
    /// The proxies on the way to registries that are not on this machine.
    pub proxies: Proxies,
    /// What we call ourselves.
    pub user_agent: String,
    /// How often and how patiently requests are tried.
    pub retry: RetryPolicy,
    /// How long a registry may be silent before it counts as gone.
    pub stall: Duration,
    /// The least that must come of an answer on average over that time, or it counts as stalled; a blob
    /// is taken up on a new connection then: 1 kB/s by default. A link that is slow but faster is never given up.
    pub slowest: ByteRate,
    /// How many blobs, or pieces of a long one, come at a time, all downloads of the client together.
    pub streams: usize,
    /// Who else has what a registry has: asked in this order before it, for blobs, and for manifests
    /// by digest. Whoever sends it, content is believed by its digest alone.
    pub mirrors: BTreeMap<Registry, Vec<Mirror>>,
    /// Whether mirrors may say what a tag names while the registry itself is away. What they say then
    /// is not verified by anything.
    pub tags_from_mirrors: bool,
    /// How fast blobs may go, up and down together.
    pub pace: Pace,
    /// What earlier transfers taught: where blobs can be mounted from, which uploads were begun.
    pub memory: Memory,
    /// The registries' warnings that were logged, which several clients may share.
    pub warnings: Warnings,
    /// The most bytes of a blob that go in one request, for proxies that refuse longer ones; all of
    /// them if it is not given, and less by itself after such a refusal.
    pub largest_chunk: Option<u64>,
}

impl Default for ClientConfig {
    /// No logins, the system's authorities, TLS everywhere but on this machine.
    fn default() -> Self {
        Self {
            logins: Logins::none(),
            ca: BTreeMap::new(),
            ca_for_all: Vec::new(),
            certs_dirs: Vec::new(),
            ca_of_certs_dirs: true,
            plain_http: BTreeSet::new(),
            token_servers: BTreeMap::new(),
            proxies: Proxies::Environment,
            user_agent: concat!("edgepost/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry: RetryPolicy::default(),
            stall: STALL,
            slowest: SLOWEST,
            streams: STREAMS,
            mirrors: BTreeMap::new(),
            tags_from_mirrors: false,
            pace: Pace::unlimited(),
            memory: Memory::default(),
            warnings: Warnings::default(),
            largest_chunk: None,
        }
    }
}

/// Talks to registries; a clone shares connections and logins.
#[derive(Debug, Clone)]
pub struct RegistryClient {
    auth: Arc<auth::Authenticator>,
    connections: Arc<tls::Connections>,
    retry: RetryPolicy,
    stall: Stall,
    /// Leave to bring something down.
    streams: Arc<Semaphore>,
    mirrors: Arc<mirrors::Mirrors>,
    tags_from_mirrors: bool,
    pace: Pace,
    memory: Memory,
    warnings: Warnings,
    largest: upload::Largest,
}

impl RegistryClient {
    /// A client that has not connected to anything.
    pub fn new(config: ClientConfig) -> Self {
        let ClientConfig {
            logins,
            ca,
            ca_for_all,
            certs_dirs,
            ca_of_certs_dirs,
            mut plain_http,
            token_servers,
            proxies,
            user_agent,
            retry,
            stall,
            slowest,
            streams,
            mirrors,
            tags_from_mirrors,
            pace,
            memory,
            warnings,
            largest_chunk,
        } = config;
        let mirrors = mirrors::Mirrors::new(mirrors);
        let stall = Stall { silence: stall, slowest };
        plain_http.extend(mirrors.plain_http().cloned());
        let authorities =
            tls::Authorities { of_host: ca, of_all: ca_for_all, certs_dirs, ca_of_certs_dirs };
        let connections = tls::Connections::new(authorities, plain_http, proxies, user_agent);
        Self {
            auth: Arc::new(auth::Authenticator::new(logins, token_servers, stall)),
            connections: Arc::new(connections),
            retry,
            stall,
            streams: Arc::new(Semaphore::new(streams.max(1))),
            mirrors: Arc::new(mirrors),
            tags_from_mirrors,
            pace,
            memory,
            warnings,
            largest: upload::Largest::new(largest_chunk),
        }
    }

    /// Whether there is a registry, and whether it accepts our login. A web page is none.
    pub async fn ping(&self, registry: &Registry) -> Result<(), RegistryError> {
        let endpoint = self.connections.endpoint(registry)?;
        let call = Call::new(registry.into(), &endpoint, Method::GET, path::BASE)?
            .asking_for("registry API at /v2/", auth::Scopes::new());
        self.retry
            .run(|| async {
                let mut response = self.send_following(&endpoint, &call).await?;
                if response.status().is_success() {
                    refuse_page(&mut response, &call.place, self.stall).await
                } else {
                    Err(self.refusal(&call.place, &call.what, response).await)
                }
            })
            .await
    }
}

/// The name of `repository` in request paths: Docker Hub keeps its own images under `library/`.
fn api_path(repository: &Repository) -> String {
    let path = repository.path();
    if *repository.registry() == Registry::docker_hub() && !path.contains('/') {
        format!("library/{path}")
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests;
