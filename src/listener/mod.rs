//! How a router is served: TLS, bounds on connections that are silent or slow, and an end that lets requests finish.
//!
//! Every connection is bounded by the same few rules, whatever it speaks: how many there are ([`ListenerLimits`]), how
//! long one may be without a request, and how slow a transfer may be. [`activity`](self) counts what moves and who has
//! to act next; one sweep over all connections ends those that are overdue.

mod accept;
mod activity;
mod certificate;
mod connection;
mod connections;
mod deadline;
mod discard;
mod limits;
mod memory;
mod network;
mod service;
mod stream;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use axum::Router;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, task::JoinHandle};

use self::{
    certificate::Certificate,
    connection::ConnectionServer,
    connections::{ConnectionTable, Ending},
};
pub use self::{
    certificate::Tls,
    discard::discard,
    limits::{ListenerLimits, raise_descriptor_limit},
};
use crate::{private_file::PrivateFileError, text_file::TextFileError, types::pem::PemProblem};

/// How many connections the system completes before they are accepted.
const BACKLOG: i32 = 4096;

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is taken, or not of this machine, or needs more rights.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate or key file cannot be read.
    #[error("failed to read `{}`", file.display())]
    Text {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: TextFileError,
    },
    /// A certificate or key file cannot be read as PEM.
    #[error("cannot read `{}` as PEM", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: PemProblem,
    },
    /// The key file is missing, or others than its owner may read it.
    #[error("failed to open the TLS key `{}`", file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: PrivateFileError,
    },
    /// Certificate and key do not go together, or are of no use for TLS.
    #[error("cannot serve TLS with `{}` and `{}`: {why}", tls.cert_file.display(), tls.key_file.display())]
    Tls {
        /// The files.
        tls: Tls,
        /// What is wrong with them.
        why: &'static str,
    },
}

/// An address that is bound, with its certificate loaded. What can fail has not, so that a server may be opened behind
/// it. Clients that connect wait until [`BoundListener::serve`].
#[derive(Debug)]
pub struct BoundListener {
    listener: TcpListener,
    address: SocketAddr,
    certificate: Option<Arc<Certificate>>,
}

/// Binds `address` with a backlog that lasts for a fleet that reconnects at once.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart takes the address again while connections of the process before are being closed.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A router being served on one address.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    certificate: Option<Arc<Certificate>>,
    limits: ListenerLimits,
    table: Arc<ConnectionTable>,
    accepting: JoinHandle<()>,
    /// The sweep, and the watch over the certificate's files.
    upkeep: Vec<JoinHandle<()>>,
}

impl BoundListener {
    /// Takes `address`; port 0 takes a free one.
    pub fn open(address: SocketAddr, tls: Option<&Tls>) -> Result<Self, ListenError> {
        let certificate = tls.map(Certificate::load).transpose()?.map(Arc::new);
        let refuse = |source| ListenError::Bind { address, source };
        let listener = listen(address).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        Ok(Self { listener, address, certificate })
    }

    /// Starts to serve `router`.
    pub fn serve(self, router: Router, limits: ListenerLimits) -> Listener {
        let Self { listener, address, certificate } = self;
        let table = Arc::new(ConnectionTable::new(limits));
        let server = Arc::new(ConnectionServer::new(router.with_state(()), certificate.clone()));
        let accepting = accept::accept(listener, Arc::clone(&table), server, limits.log_interval);
        let mut upkeep = vec![tokio::spawn(Arc::clone(&table).sweep())];
        if let Some(certificate) = &certificate {
            let watch = Arc::clone(certificate).watch(limits.certificate_poll);
            upkeep.push(tokio::spawn(watch));
        }
        let accepting = tokio::spawn(accepting);
        Listener { address, certificate, limits, table, accepting, upkeep }
    }
}

impl Listener {
    /// Starts to serve `router` on `address`; port 0 takes a free one.
    pub fn bind(
        address: SocketAddr,
        tls: Option<&Tls>,
        router: Router,
        limits: ListenerLimits,
    ) -> Result<Self, ListenError> {
        Ok(BoundListener::open(address, tls)?.serve(router, limits))
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://address` or `https://address`.
    pub fn url(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Loads the certificate and key again. If they cannot be used, those in use stay, and the log says why.
    pub async fn reload(&self) {
        if let Some(certificate) = self.certificate.clone() {
            let _ = tokio::task::spawn_blocking(move || certificate.reload()).await;
        }
    }

    /// Takes no more connections, lets requests in progress finish for a few seconds, and ends.
    pub async fn shutdown(self) {
        self.accepting.abort();
        // The socket is closed once the task has ended.
        let _ = self.accepting.await;
        for ending in [Ending::Graceful, Ending::Reset] {
            self.table.end_all(ending);
            if tokio::time::timeout(self.limits.shutdown_grace, self.table.closed()).await.is_ok() {
                break;
            }
        }
        self.upkeep.iter().for_each(JoinHandle::abort);
    }
}
