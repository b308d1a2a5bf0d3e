//! How a router is served: TLS, bounds on slow clients, and an end that lets requests finish.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use axum_server::{
    Handle, Server,
    accept::NoDelayAcceptor,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use hyper_util::rt::TokioTimer;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::task::JoinHandle;

/// A client that has not sent its request's headers by then is cut off.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests under way may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(5);

/// The certificate chain and the private key of a server, as PEM files.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate and its intermediates.
    pub cert_file: PathBuf,
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key_file: PathBuf,
}

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
    /// A certificate or key file cannot be read as PEM.
    #[error("cannot read `{}` as PEM", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key do not go together, or are of no use for TLS.
    #[error("cannot serve TLS with `{}` and `{}`", tls.cert_file.display(), tls.key_file.display())]
    Tls {
        /// The files.
        tls: Tls,
        /// What is wrong with them.
        source: rustls::Error,
    },
}

/// A router being served on one address.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    secure: bool,
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
}

/// An address that is ours, with its certificate read: what can go wrong with serving has not, so that a
/// server can be opened behind it and told about.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    address: SocketAddr,
    secure: Option<RustlsConfig>,
}

impl Door {
    /// Takes `address`; port 0 takes a free one. Who connects waits until [`Door::serve`].
    pub fn open(address: SocketAddr, tls: Option<&Tls>) -> Result<Self, ListenError> {
        let secure = tls.map(tls_config).transpose()?;
        let refuse = |source| ListenError::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(refuse)?;
        listener.set_nonblocking(true).map_err(refuse)?;
        let address = listener.local_addr().map_err(refuse)?;
        Ok(Self { listener, address, secure })
    }

    /// Starts to serve `router`.
    pub fn serve(self, router: Router) -> Result<Listener, ListenError> {
        let Self { listener, address, secure } = self;
        let refuse = |source| ListenError::Bind { address, source };
        let handle = Handle::new();
        let mut server = axum_server::from_tcp(listener).map_err(refuse)?.handle(handle.clone());
        bound(&mut server);
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let is_secure = secure.is_some();
        // Without this, a small body waits up to 40 ms for the acknowledgement of its headers.
        let prompt = NoDelayAcceptor::new();
        let task = match secure {
            Some(config) => {
                let acceptor =
                    RustlsAcceptor::new(config).handshake_timeout(HEADER_TIMEOUT).acceptor(prompt);
                tokio::spawn(server.acceptor(acceptor).serve(service))
            }
            None => tokio::spawn(server.acceptor(prompt).serve(service)),
        };
        Ok(Listener { address, secure: is_secure, handle, task })
    }
}

impl Listener {
    /// Starts to serve `router` on `address`; port 0 takes a free one.
    pub fn bind(
        address: SocketAddr,
        tls: Option<&Tls>,
        router: Router,
    ) -> Result<Self, ListenError> {
        Door::open(address, tls)?.serve(router)
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://address` or `https://address`.
    pub fn url(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.address)
    }

    /// Takes no more connections, lets requests under way finish for a few seconds, and ends.
    pub async fn shutdown(self) {
        self.handle.graceful_shutdown(Some(GRACE));
        if let Ok(Err(error)) = self.task.await {
            tracing::warn!(%error, address = %self.address, "the server ended badly");
        }
    }
}

/// Bounds what a slow client can hold on to.
fn bound<A>(server: &mut Server<SocketAddr, A>) {
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
}

/// The TLS side of a server, from its files.
fn tls_config(tls: &Tls) -> Result<RustlsConfig, ListenError> {
    let pem = |file: &PathBuf, source| ListenError::Pem { file: file.clone(), source };
    let chain = CertificateDer::pem_file_iter(&tls.cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| pem(&tls.cert_file, source))?;
    let key =
        PrivateKeyDer::from_pem_file(&tls.key_file).map_err(|source| pem(&tls.key_file, source))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|source| ListenError::Tls { tls: tls.clone(), source })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(RustlsConfig::from_config(Arc::new(config)))
}
