//! The thread that writes and hashes a blob while the next bytes arrive.

use bytes::Bytes;
use std::io;
use tokio::{sync::mpsc, task::JoinHandle};

use super::part::Part;

/// How many batches wait for the disk; with their size this bounds the memory of a download.
const QUEUE: usize = 1;

/// Bytes that belong together, and where.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) at: u64,
    pub(super) chunks: Vec<Bytes>,
}

/// A [`Part`] at work on a thread of its own, which ends when all senders are gone.
#[derive(Debug)]
pub(super) struct Writer {
    thread: JoinHandle<io::Result<Part>>,
}

impl Writer {
    /// Starts it. What has been taken by the sender is written even if nobody waits for it.
    pub(super) fn start(mut part: Part) -> (mpsc::Sender<Batch>, Self) {
        let (sender, mut batches) = mpsc::channel::<Batch>(QUEUE);
        let thread = tokio::task::spawn_blocking(move || {
            while let Some(Batch { at, chunks }) = batches.blocking_recv() {
                part.write(at, &chunks)?;
            }
            Ok(part)
        });
        (sender, Self { thread })
    }

    /// Waits until everything is written. All senders must be gone, or it never is.
    pub(super) async fn end(self) -> io::Result<Part> {
        joined(self.thread).await
    }
}

/// Does `work`, which waits for the disk, where waiting harms nobody.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    joined(tokio::task::spawn_blocking(work)).await
}

async fn joined<T>(thread: JoinHandle<io::Result<T>>) -> io::Result<T> {
    match thread.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(io::Error::other("the program is ending")),
    }
}
