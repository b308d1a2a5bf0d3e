//! How much memory responses hold that their peers have not taken.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::Notify;

use super::activity::Activity;

/// The bytes of responses that were made and are not taken, over all connections of a listener.
#[derive(Debug)]
pub(super) struct ResponseMemory {
    held: AtomicU64,
    most: u64,
    exceeded: Notify,
}

impl ResponseMemory {
    pub(super) fn new(most: u64) -> Self {
        Self { held: AtomicU64::new(0), most, exceeded: Notify::new() }
    }

    /// How much more is held than may be.
    pub(super) fn excess(&self) -> u64 {
        self.held.load(Relaxed).saturating_sub(self.most)
    }

    /// Returns once more is held than may be.
    pub(super) async fn exceeded(&self) {
        self.exceeded.notified().await;
    }
}

/// What one response holds, until this is dropped.
#[derive(Debug)]
pub(super) struct HeldBytes {
    activity: Arc<Activity>,
    bytes: u64,
}

impl HeldBytes {
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        Self { activity: Arc::clone(activity), bytes: 0 }
    }

    pub(super) fn set(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        let (held, memory) = (&self.activity.held, &self.activity.memory);
        for total in [held, &memory.held] {
            total.fetch_add(bytes, Relaxed);
            total.fetch_sub(self.bytes, Relaxed);
        }
        if bytes > self.bytes && memory.excess() > 0 {
            memory.exceeded.notify_one();
        }
        self.bytes = bytes;
    }
}

impl Drop for HeldBytes {
    fn drop(&mut self) {
        self.set(0);
    }
}
