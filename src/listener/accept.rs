//! The loop that accepts connections.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::net::{TcpListener, TcpStream};

use super::{connection::ConnectionServer, connections::ConnectionTable};

/// The wait after an accept that failed for want of descriptors or memory; it doubles up to the second one.
const FIRST_BACKOFF: Duration = Duration::from_millis(20);
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);

/// Accepts connections and serves each in a task of its own. It never returns.
pub(super) async fn accept(
    listener: TcpListener,
    table: Arc<ConnectionTable>,
    server: Arc<ConnectionServer>,
    log_interval: Duration,
) {
    let mut failures = AcceptFailures { log_interval, ..AcceptFailures::default() };
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                failures.backoff = Duration::ZERO;
                match table.admit(peer.ip().into()).await {
                    Some(connection) => {
                        let server = Arc::clone(&server);
                        tokio::spawn(async move { server.serve(stream, peer, connection).await });
                    }
                    None => refuse(&stream, peer),
                }
            }
            Err(error) if is_of_one_connection(&error) => {
                tracing::debug!(event = "connection.accept_failed", %error, "a connection ended early");
            }
            Err(error) => {
                failures.record(&error);
                table.evict_for(None);
                tokio::time::sleep(failures.backoff).await;
            }
        }
    }
}

fn refuse(stream: &TcpStream, peer: SocketAddr) {
    tracing::debug!(event = "connection.refused", %peer, "all connections are in use");
    // A reset frees the descriptor's memory at once.
    let _ = stream.set_zero_linger();
}

/// Whether an accept failed for a reason of the peer or of the network, so that the next one may succeed at once.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as E;
    matches!(
        error.kind(),
        E::ConnectionAborted
            | E::ConnectionReset
            | E::ConnectionRefused
            | E::HostUnreachable
            | E::NetworkUnreachable
            | E::NetworkDown
            | E::PermissionDenied
            | E::Interrupted
    )
}

/// Accepts that failed for want of descriptors or memory.
#[derive(Debug, Default)]
struct AcceptFailures {
    backoff: Duration,
    log_interval: Duration,
    logged: Option<Instant>,
    /// Failures since the last line in the log.
    count: u64,
}

impl AcceptFailures {
    /// Counts a failure, lengthens the backoff, and logs once in an interval.
    fn record(&mut self, error: &io::Error) {
        self.backoff = (self.backoff * 2).clamp(FIRST_BACKOFF, LONGEST_BACKOFF);
        self.count += 1;
        if self.logged.is_none_or(|it| it.elapsed() >= self.log_interval) {
            let failures = std::mem::take(&mut self.count);
            self.logged = Some(Instant::now());
            tracing::error!(event = "connection.accept_failed", %error, failures, "connections cannot be accepted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_failures_are_logged_once_in_an_interval_and_wait_longer_each_time() {
        let mut failures =
            AcceptFailures { log_interval: Duration::from_mins(1), ..AcceptFailures::default() };
        let error = io::Error::from_raw_os_error(24);
        assert!(!is_of_one_connection(&error), "EMFILE is of the process");
        let waits: Vec<_> = (0..8)
            .map(|_| {
                failures.record(&error);
                failures.backoff.as_millis()
            })
            .collect();
        assert_eq!(waits, [20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(failures.count, 7, "all but the first wait for the next line");
    }
}
