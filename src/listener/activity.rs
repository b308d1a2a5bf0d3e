//! What a connection is doing, as its stream, its requests and its bodies record it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::memory::ResponseMemory;

/// The counters of one connection. They are written without a lock and read by [`Activity::sample`]; a reader may
/// see one counter a moment before another, which matters to none of the limits.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// When bytes last moved or a request last began, in milliseconds since `opened`.
    progress: AtomicU64,
    /// Bytes read and written.
    moved: AtomicU64,
    /// Requests that have begun since the connection was opened.
    begun: AtomicU64,
    /// Requests in progress.
    open: AtomicUsize,
    /// Bodies that cannot go on before the peer sends or takes more.
    waiting: AtomicUsize,
    /// Whether the peer takes nothing of what was written.
    is_blocked: AtomicBool,
    unblocked: Notify,
    is_reset: AtomicBool,
    /// Bytes of responses that the peer has not taken.
    pub(super) held: AtomicU64,
    /// When the peer last took a piece of a response, in milliseconds since `opened`.
    taken: AtomicU64,
    /// What all connections hold.
    pub(super) memory: Arc<ResponseMemory>,
}

/// Who has to act next on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// No request has come yet.
    Opening,
    /// All requests are answered.
    Idle,
    /// The peer has to send more of a request, or to take more of a response.
    Waiting,
    /// The server computes an answer, or waits for an event to report.
    Working,
}

/// The state of a connection at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) phase: Phase,
    pub(super) moved: u64,
    pub(super) begun: u64,
    pub(super) open: usize,
}

impl Activity {
    pub(super) fn new(memory: Arc<ResponseMemory>) -> Self {
        Self {
            opened: Instant::now(),
            progress: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            is_blocked: AtomicBool::new(false),
            unblocked: Notify::new(),
            is_reset: AtomicBool::new(false),
            held: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            memory,
        }
    }

    pub(super) fn sample(&self) -> Sample {
        let (begun, open) = (self.begun.load(Relaxed), self.open.load(Relaxed));
        let waits = self.waiting.load(Relaxed) > 0 || self.is_blocked.load(Relaxed);
        let phase = match (waits, begun, open) {
            (_, 0, _) => Phase::Opening,
            (true, ..) => Phase::Waiting,
            (false, _, 0) => Phase::Idle,
            (false, ..) => Phase::Working,
        };
        Sample { phase, moved: self.moved.load(Relaxed), begun, open }
    }

    /// How long nothing has moved.
    pub(super) fn silence(&self) -> Duration {
        self.since(&self.progress)
    }

    /// How much the responses hold, in bytes, times how long the peer has taken nothing, in milliseconds; and the bytes.
    pub(super) fn burden(&self) -> (u128, u64) {
        let held = self.held.load(Relaxed);
        (u128::from(held) * (self.since(&self.taken).as_millis() + 1), held)
    }

    /// Records that the peer has taken what came before in a response.
    pub(super) fn record_taken(&self) {
        self.taken.store(self.now(), Relaxed);
    }

    /// Records bytes that were read.
    pub(super) fn record_read(&self, bytes: usize) {
        if bytes > 0 {
            self.moved.fetch_add(bytes as u64, Relaxed);
            self.record_progress();
        }
    }

    /// Records bytes that the system has taken for the peer.
    pub(super) fn record_written(&self, bytes: usize) {
        self.record_read(bytes);
        if self.is_blocked.swap(false, Relaxed) {
            self.unblocked.notify_waiters();
        }
    }

    /// Records that the system takes no more bytes for the peer.
    pub(super) fn record_blocked(&self) {
        self.is_blocked.store(true, Relaxed);
    }

    /// Returns once the peer takes what was written. Requests begin after this, so that a peer that sends requests
    /// and reads no responses does not fill the memory.
    pub(super) async fn unblocked(&self) {
        loop {
            let mut unblocked = std::pin::pin!(self.unblocked.notified());
            // Registered before the flag is read, so that no wake-up is lost.
            unblocked.as_mut().enable();
            if !self.is_blocked.load(Relaxed) {
                return;
            }
            unblocked.await;
        }
    }

    /// Lets the connection end by a reset, which frees what the system holds for the peer at once.
    pub(super) fn reset_at_end(&self) {
        self.is_reset.store(true, Relaxed);
    }

    /// Whether the connection ends by a reset.
    pub(super) fn is_reset(&self) -> bool {
        self.is_reset.load(Relaxed)
    }

    fn record_progress(&self) {
        self.progress.store(self.now(), Relaxed);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn since(&self, time: &AtomicU64) -> Duration {
        Duration::from_millis(self.now().saturating_sub(time.load(Relaxed)))
    }
}

/// A request in progress, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenRequest(Arc<Activity>);

impl OpenRequest {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.open.fetch_add(1, Relaxed);
        activity.begun.fetch_add(1, Relaxed);
        activity.record_progress();
        Self(Arc::clone(activity))
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// Whether one body waits for the peer. It does not after this is dropped.
#[derive(Debug)]
pub(super) struct PeerWait {
    activity: Arc<Activity>,
    is_waiting: bool,
}

impl PeerWait {
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        Self { activity: Arc::clone(activity), is_waiting: false }
    }

    pub(super) fn activity(&self) -> &Activity {
        &self.activity
    }

    pub(super) fn set(&mut self, is_waiting: bool) {
        match (self.is_waiting, is_waiting) {
            (false, true) => drop(self.activity.waiting.fetch_add(1, Relaxed)),
            (true, false) => drop(self.activity.waiting.fetch_sub(1, Relaxed)),
            _ => {}
        }
        self.is_waiting = is_waiting;
    }
}

impl Drop for PeerWait {
    fn drop(&mut self) {
        self.set(false);
    }
}
