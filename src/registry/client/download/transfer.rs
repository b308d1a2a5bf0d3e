//! The streams of one blob: asked as planned, gathered into batches for the writer.

use std::{
    io,
    ops::Range,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::{
    sync::{SemaphorePermit, mpsc},
    time::{Instant, interval_at, sleep, sleep_until, timeout_at},
};

use super::{
    DownloadError, Mirror, Patience, Progress, RegistryClient, RegistryError, Source, Sources,
    body::Body,
    part::Part,
    plan::{Ended, LONG, Plan, Stopped},
    writer::{Batch, Writer, on_a_thread},
};
use crate::image::Descriptor;

/// How much goes to the disk at once, at least, unless it takes [`LATENCY`] to come.
const BATCH: usize = 256 << 10;
/// How long bytes stay in memory while more are waited for: a kill takes them.
const LATENCY: Duration = Duration::from_millis(250);
/// The most chunks of a batch, since each may hold more memory than it has bytes.
const CHUNKS: usize = 64;
/// How often it is looked at how fast the blob comes.
const LOOK: Duration = Duration::from_millis(500);
/// What comes in that time, in bytes, where one stream fills what there is: more would only come out
/// of order.
const FAST: u64 = 16 << 20;
/// How long to wait before looking again whether another download of the same blob has ended.
const BUSY: Duration = Duration::from_millis(100);

/// A blob on its way.
pub(super) struct Transfer<'a> {
    client: &'a RegistryClient,
    descriptor: &'a Descriptor,
    progress: &'a dyn Progress,
    /// How much is here, in bytes.
    received: AtomicU64,
    /// Whether a server was seen to send what it is asked for, so that several streams make sense.
    has_ranges: AtomicBool,
}

impl<'a> Transfer<'a> {
    pub(super) fn new(
        client: &'a RegistryClient,
        descriptor: &'a Descriptor,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            client,
            descriptor,
            progress,
            received: AtomicU64::new(0),
            has_ranges: AtomicBool::new(false),
        }
    }

    /// Brings what is missing of it from `sources` into `partial`; `asked` are the mirrors that gave
    /// something.
    pub(super) async fn run(
        &self,
        partial: &Path,
        sources: Sources,
        asked: &mut Vec<Mirror>,
    ) -> Result<(), DownloadError> {
        let failed = || DownloadError::disk(partial);
        let mut part = self.open(partial).await.map_err(failed())?;
        self.received.store(part.received(), Ordering::Relaxed);
        self.progress.moved(self.descriptor, part.received());
        let missing = part.missing();
        if !missing.is_empty() {
            let patience = Patience::new(self.client.retry, part.received());
            let plan = Plan::new(self.descriptor, missing, sources, asked, patience);
            let (sender, writer) = Writer::start(part);
            let outcome = self.fetch(plan, sender).await;
            // A full disk ends the fetching too: that is what is to be told.
            part = writer.end().await.map_err(failed())?;
            outcome?;
        }
        let finished = on_a_thread(move || part.finish()).await.map_err(failed())?;
        let expected = self.descriptor.digest;
        finished.map_err(|received| DownloadError::WrongContent { expected, received })
    }

    /// Opens the partial file, as soon as nobody else works on it.
    async fn open(&self, partial: &Path) -> io::Result<Part> {
        loop {
            let (path, wanted) = (partial.to_owned(), self.descriptor.clone());
            if let Some(part) = on_a_thread(move || Part::open(&path, &wanted)).await? {
                return Ok(part);
            }
            sleep(BUSY).await;
        }
    }

    /// Carries out `plan`. The sender, and all made of it, are gone at the end.
    async fn fetch(
        &self,
        mut plan: Plan<'_>,
        sender: mpsc::Sender<Batch>,
    ) -> Result<(), DownloadError> {
        let mut running = FuturesUnordered::new();
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        let (mut before, mut is_slow) = (self.received(), false);
        loop {
            while !plan.is_done() {
                // The first stream of a blob has leave already.
                let more = match (running.is_empty(), is_slow) {
                    (true, _) => None,
                    (false, true) => self.another_stream(),
                    (false, false) => break,
                };
                if !running.is_empty() && more.is_none() {
                    break;
                }
                let Some((piece, source)) = plan.next() else { break };
                running.push(self.fetch_piece(piece, source, more, &sender));
            }
            if running.is_empty() && plan.is_done() {
                return Ok(());
            }
            let quiet_until = plan.quiet_until;
            let quiet = async {
                match quiet_until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(ended) = running.next() => {
                    if !plan.take_in(ended, self.received(), self.progress)? {
                        return Ok(());
                    }
                }
                () = quiet => plan.quiet_until = None,
                _ = look.tick() => {
                    let received = self.received();
                    is_slow = received.saturating_sub(before) < FAST;
                    before = received;
                }
            }
        }
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed).min(self.descriptor.size)
    }

    /// Leave for one more stream, where the server can and no other blob waits for it.
    fn another_stream(&self) -> Option<SemaphorePermit<'a>> {
        let can_be = self.descriptor.size >= LONG && self.has_ranges.load(Ordering::Relaxed);
        can_be.then(|| self.client.streams.try_acquire().ok()).flatten()
    }

    /// Fetches one piece as far as it comes.
    async fn fetch_piece(
        &self,
        piece: Range<u64>,
        source: Source,
        _stream: Option<SemaphorePermit<'a>>,
        sender: &mpsc::Sender<Batch>,
    ) -> Ended {
        let (began, first) = (Instant::now(), piece.start);
        let mut rest = piece;
        let mut to_the_end = false;
        let opened =
            self.client.open_range(&source.repository, self.descriptor, rest.clone()).await;
        let result = match opened {
            Ok(mut body) => {
                if body.has_ranges {
                    self.has_ranges.store(true, Ordering::Relaxed);
                } else if !self.has_ranges.load(Ordering::Relaxed) {
                    to_the_end = true;
                    rest.end = self.descriptor.size;
                    body.read_to_the_end(first);
                }
                self.carry(&mut body, &mut rest, sender).await
            }
            Err(error) => Err(Stopped::Refused(error)),
        };
        Ended { source, began, first, rest, to_the_end, result }
    }

    /// Hands on what `body` brings; `rest` is what it has not brought.
    async fn carry(
        &self,
        body: &mut Body,
        rest: &mut Range<u64>,
        sender: &mpsc::Sender<Batch>,
    ) -> Result<(), Stopped> {
        loop {
            let Gathered { chunks, length, end } = gather(body).await;
            if length > 0 {
                let batch = Batch { at: rest.start, chunks };
                sender.send(batch).await.map_err(|_| Stopped::Writer)?;
                rest.start += length as u64;
                self.received.fetch_add(length as u64, Ordering::Relaxed);
                self.progress.moved(self.descriptor, self.received());
            }
            match end {
                Some(end) => return end.map_err(Stopped::BrokenOff),
                None => self.client.pace.take(length).await,
            }
        }
    }
}

/// What came together.
struct Gathered {
    chunks: Vec<Bytes>,
    /// In bytes.
    length: usize,
    /// How the body ended, if it did.
    end: Option<Result<(), RegistryError>>,
}

/// Gathers enough for a batch, or what comes in time.
async fn gather(body: &mut Body) -> Gathered {
    let mut gathered = Gathered { chunks: Vec::new(), length: 0, end: None };
    let mut deadline = None;
    while gathered.length < BATCH && gathered.chunks.len() < CHUNKS {
        let next = match deadline {
            None => body.next().await,
            Some(deadline) => match timeout_at(deadline, body.next()).await {
                Ok(next) => next,
                Err(_) => break,
            },
        };
        match next {
            Ok(Some(chunk)) => {
                gathered.length += chunk.len();
                gathered.chunks.push(chunk);
                deadline.get_or_insert_with(|| Instant::now() + LATENCY);
            }
            Ok(None) => gathered.end = Some(Ok(())),
            Err(error) => gathered.end = Some(Err(error)),
        }
        if gathered.end.is_some() {
            break;
        }
    }
    gathered
}
