//! The bounds of a listener: how many connections, and how long each may be silent or slow.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most connections by default, however many descriptors there are: each holds memory as well.
const MOST_CONNECTIONS: usize = 10_000;
/// The fewest connections, however few descriptors there are.
const FEWEST_CONNECTIONS: usize = 16;
/// The memory that responses may hold by default, in bytes.
const RESPONSE_MEMORY: u64 = 64 << 20;
/// Descriptors that connections never use: the database, uploads, blobs that are being read.
const LEAST_RESERVE: u64 = 128;

/// The bounds of a listener. The default is for servers that nodes reach over slow radio links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// The most connections at a time. By default three quarters of the descriptors that the process may open,
    /// and no more than 10,000.
    pub connections: usize,
    /// The first request of a connection must be there by then, the TLS handshake included.
    pub first_request: Duration,
    /// A connection without a request in progress is closed after so long.
    pub idle: Duration,
    /// How far a transfer may fall behind [`least_rate`](Self::least_rate) before its connection is closed: the
    /// longest interruption of a link that a transfer survives.
    pub stall: Duration,
    /// The least rate of a transfer in bytes a second, requests and responses together. It is a quarter of what the
    /// slowest supported link carries (2 KiB/s), since an engine pulls several layers of an image at the same time.
    pub least_rate: u32,
    /// The bytes of responses that may be held for peers that have not taken them, over all connections. Beyond it,
    /// the connections end that hold the most for the longest time.
    pub response_memory: u64,
    /// How often the certificate's files are looked at for a change.
    pub certificate_poll: Duration,
    /// How long requests in progress may go on after a shutdown was asked for.
    pub shutdown_grace: Duration,
    /// A condition that goes on is logged once in this interval.
    pub log_interval: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: connections_within(descriptor_limit()),
            first_request: Duration::from_secs(15),
            idle: Duration::from_mins(1),
            stall: Duration::from_mins(1),
            least_rate: 512,
            response_memory: RESPONSE_MEMORY,
            certificate_poll: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(5),
            log_interval: Duration::from_mins(1),
        }
    }
}

impl ListenerLimits {
    /// How often all connections are compared with the limits.
    pub(super) fn sweep_interval(&self) -> Duration {
        let shortest = self.first_request.min(self.idle).min(self.stall);
        (shortest / 10).clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}

/// Raises the limit of open descriptors (`RLIMIT_NOFILE`) of this process to what the system grants it at most, and
/// returns the limit in force. Processes that it starts inherit the limit, so that only servers call this.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(event = "descriptors.limit_not_raised", %error, "the descriptor limit stays as it is");
    }
    descriptor_limit()
}

/// How many descriptors this process may open.
fn descriptor_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many of `descriptors` connections may use.
fn connections_within(descriptors: u64) -> usize {
    let reserve = (descriptors / 4).max(LEAST_RESERVE);
    let connections = usize::try_from(descriptors.saturating_sub(reserve)).unwrap_or(usize::MAX);
    connections.clamp(FEWEST_CONNECTIONS, MOST_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_files() {
        for (descriptors, connections) in
            [(0, 16), (100, 16), (256, 128), (1024, 768), (20_000, 10_000), (u64::MAX, 10_000)]
        {
            assert_eq!(connections_within(descriptors), connections, "{descriptors}");
        }
    }
}
