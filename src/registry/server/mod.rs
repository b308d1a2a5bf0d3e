//! A registry on a folder of plain files: the whole of the OCI distribution-spec but for digests
//! other than SHA-256.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    audit::AuditLog,
    claim::{Claim, ClaimError},
    listener::{ListenError, Listener},
    login::Authenticator,
    types::{Clock as _, SystemClock},
};

mod access;
mod blobs;
mod error;
mod lists;
mod manifests;
mod query;
mod range;
mod routes;
mod share;
pub mod storage;
mod uploads;

use access::Gate;
pub use access::{Access, Account, Password};
pub use share::{ShareError, SharedImage};
use storage::{Folder, StorageError};

pub use crate::listener::{ListenerLimits, Tls};

/// An upload that nobody has gone on with for so long is given up.
const UPLOADS_LIVE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How often uploads are looked at for that.
const PURGE_EVERY: Duration = Duration::from_hours(1);
/// How often counted audit lines are looked at.
const AUDIT_EVERY: Duration = Duration::from_secs(10);
/// How many lists are read from the disk at once.
const LISTS_AT_ONCE: usize = 4;
/// How long a list waits for others before the answer is 429.
const LONGEST_LIST_WAIT: Duration = Duration::from_secs(10);

/// Where a registry keeps its content, where it listens, and whom it serves.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// The folder of its content; it is made if it does not exist.
    pub folder: PathBuf,
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<Tls>,
    /// Who may pull, and who may push.
    pub access: Access,
    /// How many connections there may be, and how silent or slow.
    pub limits: ListenerLimits,
}

/// Why a registry did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartRegistryError {
    /// Its folder is not to be had.
    #[error("cannot use the registry's folder")]
    Claim(#[source] ClaimError),
    /// Its folder is of no use.
    #[error("cannot use the registry's folder")]
    Folder(#[source] StorageError),
    /// Its address or its certificate is of no use.
    #[error("cannot serve the registry")]
    Listen(#[source] ListenError),
}

/// A registry that is being served.
#[derive(Debug)]
pub struct RegistryServer {
    listener: Listener,
    folder: Folder,
    housekeeping: JoinHandle<()>,
    audit: Arc<AuditLog>,
    /// None where the folder is its opener's.
    claim: Option<Claim>,
}

impl RegistryServer {
    /// Opens the folder and starts to serve it.
    pub async fn bind(config: RegistryConfig) -> Result<Self, StartRegistryError> {
        let path = config.folder.clone();
        let claim = Claim::of(&path).map_err(StartRegistryError::Claim)?;
        let opened = tokio::task::spawn_blocking(move || Folder::open(path)).await;
        let folder =
            opened.unwrap_or(Err(StorageError::Stopping)).map_err(StartRegistryError::Folder)?;
        let server = Self::serve_within(
            folder,
            config.listen,
            config.tls.as_ref(),
            config.access,
            config.limits,
        )?;
        Ok(Self { claim: Some(claim), ..server })
    }

    /// Starts to serve a folder that is open already: one that the process also writes to itself.
    pub fn serve(
        folder: Folder,
        listen: SocketAddr,
        tls: Option<&Tls>,
        access: Access,
    ) -> Result<Self, StartRegistryError> {
        Self::serve_within(folder, listen, tls, access, ListenerLimits::default())
    }

    fn serve_within(
        folder: Folder,
        listen: SocketAddr,
        tls: Option<&Tls>,
        access: Access,
        limits: ListenerLimits,
    ) -> Result<Self, StartRegistryError> {
        let audit = Arc::<AuditLog>::default();
        let logins = Authenticator::default();
        let router = router_with(folder.clone(), access, logins, Arc::clone(&audit));
        let listener =
            Listener::bind(listen, tls, router, limits).map_err(StartRegistryError::Listen)?;
        let housekeeping = tokio::spawn(keep_house(folder.clone(), Arc::clone(&audit)));
        Ok(Self { listener, folder, housekeeping, audit, claim: None })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// `http://address` or `https://address`.
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// Its content.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Loads the TLS certificate and key again.
    pub async fn reload(&self) {
        self.listener.reload().await;
    }

    /// Takes no more connections, lets requests under way finish for a few seconds, and ends.
    /// Uploads that are not finished by then can go on with the next server on the folder.
    pub async fn shutdown(self) {
        self.housekeeping.abort();
        self.listener.shutdown().await;
        self.audit.close();
        drop(self.claim);
    }
}

/// The registry's routes over `folder`, for a listener of one's own.
pub fn router(folder: Folder, access: Access) -> axum::Router {
    router_with(folder, access, Authenticator::default(), Arc::default())
}

/// The same, where logins are checked and security events recorded together with another server's.
pub fn router_with(
    folder: Folder,
    access: Access,
    logins: Authenticator,
    audit: Arc<AuditLog>,
) -> axum::Router {
    routes::router(Registry::new(folder, access, logins, audit))
}

/// What every request needs.
#[derive(Debug, Clone)]
struct Registry {
    folder: Folder,
    gate: Arc<Gate>,
    audit: Arc<AuditLog>,
    /// Lists that are read from the disk.
    lists: Arc<Semaphore>,
}

impl Registry {
    /// Waits until few enough other lists are read: each looks at every name in a folder.
    async fn list_turn(&self) -> Result<OwnedSemaphorePermit, error::ApiError> {
        let turn = Arc::clone(&self.lists).acquire_owned();
        let turn = timeout(LONGEST_LIST_WAIT, turn).await.ok().and_then(Result::ok);
        turn.ok_or_else(error::ApiError::too_many_lists)
    }

    fn new(folder: Folder, access: Access, logins: Authenticator, audit: Arc<AuditLog>) -> Self {
        let gate = Arc::new(Gate::new(access, logins, Arc::clone(&audit)));
        Self { folder, gate, audit, lists: Arc::new(Semaphore::new(LISTS_AT_ONCE)) }
    }
}

/// Gives up uploads that nobody came back for, and writes the audit lines that were counted, now and then.
/// It never ends by itself.
pub async fn keep_house(folder: Folder, audit: Arc<AuditLog>) {
    let mut purging = tokio::time::interval(PURGE_EVERY);
    let mut auditing = tokio::time::interval(AUDIT_EVERY);
    loop {
        tokio::select! {
            _ = purging.tick() => purge(&folder).await,
            _ = auditing.tick() => audit.write_counted(Instant::now()),
        }
    }
}

async fn purge(folder: &Folder) {
    let Ok(then) = SystemClock.now().checked_sub(UPLOADS_LIVE) else { return };
    match folder.purge_uploads(then).await {
        Ok(0) => (),
        Ok(purged) => tracing::info!(event = "uploads.purged", purged, "gave up old uploads"),
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(event = "uploads.purge_failed", error, "cannot purge uploads");
        }
    }
}

#[cfg(test)]
mod tests;
