//! What is to be asked of whom next, and what a failure means.

use std::{collections::VecDeque, ops::Range, time::Duration};

use tokio::time::Instant;

use super::{
    DownloadError, Mirror, Patience, Progress, RegistryError, Source, Sources, blocks::BLOCK,
    is_worth_another_try,
};
use crate::image::Descriptor;

/// From which length on a blob may come by several streams, in bytes.
pub(super) const LONG: u64 = 64 << 20;
/// The most that one request of several asks for: long enough that its latency does not count.
const LONGEST_PIECE: u64 = 32 << 20;
/// The least that one request of several asks for.
const SHORTEST_PIECE: u64 = 4 << 20;
/// Into how many pieces the rest is cut towards the end, so that all streams end together.
const PIECES: u64 = 8;

/// What became of one request.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) source: Source,
    pub(super) began: Instant,
    /// Where the piece began.
    pub(super) first: u64,
    /// What it did not bring.
    pub(super) rest: Range<u64>,
    /// Whether it went on to the end of the blob, because the server knows no ranges.
    pub(super) to_the_end: bool,
    pub(super) result: Result<(), Stopped>,
}

/// Why a request ended early.
#[derive(Debug)]
pub(super) enum Stopped {
    /// It was not answered with the bytes.
    Refused(RegistryError),
    /// The answer broke off.
    BrokenOff(RegistryError),
    /// The writer takes no more; it says why.
    Writer,
}

/// What is left to do for a blob.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) descriptor: &'a Descriptor,
    /// What nobody is fetching, in order.
    missing: VecDeque<Range<u64>>,
    sources: Sources,
    /// The mirrors that gave something.
    asked: &'a mut Vec<Mirror>,
    patience: Patience,
    /// When the link last broke. Streams from before then broke with it.
    broke: Instant,
    /// Until when nothing new is asked.
    pub(super) quiet_until: Option<Instant>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        descriptor: &'a Descriptor,
        missing: Vec<Range<u64>>,
        sources: Sources,
        asked: &'a mut Vec<Mirror>,
        patience: Patience,
    ) -> Self {
        let (missing, broke) = (missing.into(), Instant::now());
        Self { descriptor, missing, sources, asked, patience, broke, quiet_until: None }
    }

    /// Whether nothing is left that nobody is fetching.
    pub(super) fn is_done(&self) -> bool {
        self.missing.is_empty()
    }

    /// The next piece, and who is to be asked for it; nothing while it is quiet.
    pub(super) fn next(&mut self) -> Option<(Range<u64>, Source)> {
        if self.quiet_until.is_some() {
            return None;
        }
        let range = self.missing.pop_front()?;
        let longest = if self.descriptor.size < LONG {
            u64::MAX
        } else {
            let left: u64 = self.missing.iter().map(|it| it.end - it.start).sum();
            let left = left + range.end - range.start;
            (left / PIECES).clamp(SHORTEST_PIECE, LONGEST_PIECE)
        };
        // Blocks are not parted, so that what comes of each is its beginning.
        let cut = (range.start.saturating_add(longest)) / BLOCK * BLOCK;
        let piece = range.start..range.end.min(cut.max(range.start + 1));
        if piece.end < range.end {
            self.missing.push_front(piece.end..range.end);
        }
        Some((piece, self.sources.current().clone()))
    }

    /// Takes in what became of a piece, when `received` bytes are here in all. `false`: the writer
    /// takes no more.
    pub(super) fn take_in(
        &mut self,
        ended: Ended,
        received: u64,
        progress: &dyn Progress,
    ) -> Result<bool, DownloadError> {
        let Ended { source, began, first, rest, to_the_end, result } = ended;
        if to_the_end {
            self.missing.retain(|it| it.end <= first);
        }
        let brought = rest.start - first;
        if let Some(mirror) =
            source.mirror.as_ref().filter(|it| brought > 0 && !self.asked.contains(it))
        {
            self.asked.push(mirror.clone());
        }
        let lacks = !rest.is_empty();
        if lacks {
            let at = self.missing.partition_point(|it| it.start < rest.start);
            self.missing.insert(at, rest);
        }
        let (error, refused) = match result {
            // A server may send less at a time than it was asked for, but not nothing.
            Ok(()) if lacks && brought == 0 => {
                let place = (&source.repository).into();
                (RegistryError::protocol(&place, "it sent an empty range"), true)
            }
            Ok(()) => return Ok(true),
            Err(Stopped::Writer) => return Ok(false),
            Err(Stopped::Refused(error)) => (error, true),
            Err(Stopped::BrokenOff(error)) => (error, false),
        };
        if self.sources.pass_over(&source, &error) {
            progress.again(self.descriptor, &error, Duration::ZERO);
            return Ok(true);
        }
        if !is_worth_another_try(&error) {
            return Err(self.failure(error, refused, received));
        }
        if began < self.broke {
            return Ok(true);
        }
        let Some(wait) = self.patience.after(&error, received) else {
            return Err(self.failure(error, refused, received));
        };
        tracing::info!(digest = %self.descriptor.digest, received, %error, "the download is taken up again");
        progress.again(self.descriptor, &error, wait);
        self.broke = Instant::now();
        self.quiet_until = (!wait.is_zero()).then(|| self.broke + wait);
        Ok(true)
    }

    fn failure(&self, source: RegistryError, refused: bool, received: u64) -> DownloadError {
        let Descriptor { digest, size, .. } = *self.descriptor;
        let source = Box::new(source);
        if refused {
            DownloadError::Origin { digest, source }
        } else {
            DownloadError::BrokenOff { digest, received, size, source }
        }
    }
}
