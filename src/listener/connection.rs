//! One connection: TLS, HTTP/1 or HTTP/2, and its end.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use super::{
    certificate::Certificate,
    connections::{Connection, Ending},
    service::ObservedService,
    stream::ObservedStream,
};

/// The most bytes of a response that wait in a connection for the peer, beside one piece of a body; also the longest
/// head of a request. The same bound holds for the buffers of HTTP/2 streams and of TLS.
const BUFFER: usize = 32 * 1024;
/// The most requests at a time on one HTTP/2 connection.
const STREAMS: u32 = 20;
/// The longest list of headers of an HTTP/2 request, in bytes.
const HEADER_LIST: u32 = 16 * 1024;
/// How many HTTP/2 streams may be reset before the server has seen their requests, or for errors of the peer, before
/// the connection is closed.
const PENDING_RESETS: usize = 20;
const ERROR_RESETS: usize = 128;
/// When an HTTP/2 peer is asked whether it still reads, which finds a process that was stopped during a long poll, and
/// how long it may take to answer behind what a slow link holds already.
const PING_INTERVAL: Duration = Duration::from_mins(1);
const PING_TIMEOUT: Duration = Duration::from_mins(1);

/// What serves the connections of one listener.
#[derive(Debug)]
pub(super) struct ConnectionServer {
    http: Builder<TokioExecutor>,
    router: Router,
    certificate: Option<Arc<Certificate>>,
}

impl ConnectionServer {
    pub(super) fn new(router: Router, certificate: Option<Arc<Certificate>>) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        // Silence is bounded for all connections alike by the sweep of the table.
        http.http1().max_buf_size(BUFFER).header_read_timeout(None);
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_LIST)
            .max_send_buf_size(BUFFER)
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .max_local_error_reset_streams(ERROR_RESETS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { http, router, certificate }
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        mut connection: Connection,
    ) {
        let activity = Arc::clone(&connection.activity);
        let stream = ObservedStream::new(stream, Arc::clone(&activity));
        let service = ObservedService { router: self.router.clone(), peer, activity };
        let Some(certificate) = &self.certificate else {
            return self.drive(stream, service, &mut connection).await;
        };
        let acceptor = TlsAcceptor::from(certificate.config());
        let handshake = acceptor.accept_with(stream, |tls| tls.set_buffer_limit(Some(BUFFER)));
        tokio::select! {
            accepted = handshake => match accepted {
                Ok(stream) => self.drive(stream, service, &mut connection).await,
                Err(error) => {
                    tracing::debug!(event = "tls.handshake_failed", %peer, %error, "a TLS handshake failed");
                }
            },
            _ = connection.ending() => {}
        }
    }

    async fn drive<S>(&self, stream: S, service: ObservedService, connection: &mut Connection)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = service.peer;
        let service = TowerToHyperService::new(service);
        let mut served = pin!(self.http.serve_connection(TokioIo::new(stream), service));
        loop {
            tokio::select! {
                ended = served.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(event = "connection.failed", %peer, error, "a connection failed");
                    }
                    return;
                }
                ending = connection.ending() => match ending {
                    Ending::None => {}
                    Ending::Graceful => served.as_mut().graceful_shutdown(),
                    Ending::Reset => return,
                },
            }
        }
    }
}
