//! How many transfers go at a time: several on a fast link, fewer where they only take the room
//! from each other.
//!
//! One lane takes the shortest that is left, so that a link that breaks leaves much done; the others
//! take the longest, so that none of them has to go alone at the end.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::image::Descriptor;

/// How many lanes there are at the most.
pub(super) const MOST: usize = 4;
/// Another transfer begins when the latest one has moved so much, in bytes: more than what systems
/// take in at once without sending it.
const WARM: u64 = 1024 * 1024;
/// Over how long a rate is measured.
const WINDOW: Duration = Duration::from_secs(1);
/// From this rate on, in bytes per second, the number of lanes does not matter.
const FAST: f64 = 16.0 * 1024.0 * 1024.0;
/// By how much the whole must become faster for another lane to be worth it.
const GAIN: f64 = 1.1;
/// How long a lane that was closed stays closed.
const QUIET: Duration = Duration::from_secs(30);
/// How often those who wait look again.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be sent over one link, and its lanes.
#[derive(Debug)]
pub(super) struct Lanes<'a> {
    waiting: Mutex<Waiting<'a>>,
    link: Link,
    door: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting<'a> {
    /// The shortest first.
    blobs: VecDeque<&'a Descriptor>,
    /// No more will come.
    is_closed: bool,
}

#[derive(Debug)]
struct Link {
    state: Mutex<Adaptive>,
    /// Somebody came or left, or proved that there is room for another.
    changed: Notify,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, Adaptive> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to transfer something, until it is dropped.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    link: &'a Link,
    id: u64,
    moved: AtomicU64,
}

impl<'a> Lanes<'a> {
    /// All of them are open, and nobody waits yet.
    pub(super) fn new() -> Self {
        Self {
            waiting: Mutex::default(),
            link: Link { state: Mutex::new(Adaptive::new(Instant::now())), changed: Notify::new() },
            door: tokio::sync::Mutex::default(),
        }
    }

    /// Lets `blob` wait with the others.
    pub(super) fn offer(&self, blob: &'a Descriptor) {
        let mut waiting = self.waiting();
        let at =
            waiting.blobs.partition_point(|it| (it.size, it.digest) < (blob.size, blob.digest));
        waiting.blobs.insert(at, blob);
        self.link.changed.notify_one();
    }

    /// Nothing more will be offered.
    pub(super) fn close(&self) {
        self.waiting().is_closed = true;
        self.link.changed.notify_one();
    }

    /// Waits for a lane; gives it with the blob that goes there. None if none is left, nor will come.
    pub(super) async fn enter(&self) -> Option<(Lane<'_>, &'a Descriptor)> {
        let _door = self.door.lock().await;
        loop {
            let changed = self.link.changed.notified();
            if let Some(entered) = self.try_enter() {
                return Some(entered);
            }
            if self.waiting().is_done() {
                return None;
            }
            // Lanes are also opened by time alone.
            let _ = tokio::time::timeout(LOOK, changed).await;
        }
    }

    fn try_enter(&self) -> Option<(Lane<'_>, &'a Descriptor)> {
        let mut waiting = self.waiting();
        if waiting.blobs.is_empty() {
            return None;
        }
        let (id, end) = self.link.state().enter(Instant::now())?;
        let lane = Lane { link: &self.link, id, moved: AtomicU64::new(0) };
        let blob = match end {
            End::Short => waiting.blobs.pop_front(),
            End::Long => waiting.blobs.pop_back(),
        }?;
        Some((lane, blob))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<'a>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    fn is_done(&self) -> bool {
        self.is_closed && self.blobs.is_empty()
    }
}

impl Lane<'_> {
    /// The transfer has moved so many bytes since the lane was entered.
    pub(super) fn moved(&self, bytes: u64) {
        let before = self.moved.fetch_max(bytes, Ordering::Relaxed);
        let fresh = bytes.saturating_sub(before);
        if self.link.state().moved(self.id, fresh, Instant::now()) {
            self.link.changed.notify_one();
        }
    }

    /// The transfer broke off, or stalled.
    pub(super) fn trouble(&self) {
        self.link.state().trouble(Instant::now());
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.link.state().leave(self.id, Instant::now());
        self.link.changed.notify_one();
    }
}

/// Additive increase, multiplicative decrease: a lane is opened after a while without trouble, closed
/// if it made nothing faster, and half of them are closed when a transfer breaks.
#[derive(Debug)]
struct Adaptive {
    open: usize,
    /// Who is in, in the order of entering.
    inside: Vec<Inside>,
    next: u64,
    /// When the present measurement began, and what has moved since.
    since: Instant,
    moved: u64,
    /// The latest rate with so many inside, in bytes per second.
    rates: [Option<f64>; MOST + 1],
    /// Until when no lane is opened.
    quiet: Instant,
}

/// Which end of what waits a lane takes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Short,
    Long,
}

#[derive(Debug)]
struct Inside {
    id: u64,
    end: End,
    /// How many bytes it has to move before another may enter.
    cold: u64,
}

impl Adaptive {
    fn new(now: Instant) -> Self {
        Self {
            open: MOST,
            inside: Vec::new(),
            next: 0,
            since: now,
            moved: 0,
            rates: [None; MOST + 1],
            quiet: now,
        }
    }

    fn enter(&mut self, now: Instant) -> Option<(u64, End)> {
        let is_warm = self.inside.last().is_none_or(|it| it.cold == 0);
        if self.inside.len() >= self.open || !is_warm {
            return None;
        }
        let has_short = self.inside.iter().any(|it| it.end == End::Short);
        let end = if has_short { End::Long } else { End::Short };
        let id = self.next;
        self.next += 1;
        self.inside.push(Inside { id, end, cold: WARM });
        self.measure_anew(now);
        Some((id, end))
    }

    fn leave(&mut self, id: u64, now: Instant) {
        self.inside.retain(|it| it.id != id);
        self.measure_anew(now);
    }

    /// `true` if another may enter now.
    fn moved(&mut self, id: u64, bytes: u64, now: Instant) -> bool {
        let mut proved = false;
        if let Some(it) = self.inside.iter_mut().find(|it| it.id == id) {
            proved = it.cold > 0 && it.cold <= bytes;
            it.cold = it.cold.saturating_sub(bytes);
        }
        self.moved += bytes;
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= WINDOW {
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            let rate = self.moved as f64 / elapsed.as_secs_f64();
            self.judge(rate, now);
            self.measure_anew(now);
        }
        proved
    }

    fn trouble(&mut self, now: Instant) {
        self.open = (self.open / 2).max(1);
        self.quiet = now + QUIET;
        self.measure_anew(now);
    }

    fn judge(&mut self, rate: f64, now: Instant) {
        let inside = self.inside.len().min(MOST);
        let smoothed = self.rates[inside].map_or(rate, |before| f64::midpoint(before, rate));
        self.rates[inside] = Some(smoothed);
        let fewer = inside.checked_sub(1).and_then(|fewer| self.rates[fewer]);
        match fewer {
            Some(fewer) if inside > 1 && smoothed < FAST && smoothed < fewer * GAIN => {
                self.open = inside - 1;
                self.quiet = now + QUIET;
            }
            _ if inside >= self.open && self.open < MOST && now >= self.quiet => {
                self.open += 1;
                // What was measured long ago says little of the link as it is.
                self.rates[self.open] = None;
                self.quiet = now + WINDOW * 2;
            }
            _ => (),
        }
    }

    fn measure_anew(&mut self, now: Instant) {
        (self.since, self.moved) = (now, 0);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    /// A link that carries what `rate` says for so many transfers, looked at ten times a second.
    fn run(adaptive: &mut Adaptive, now: &mut Instant, seconds: u64, rate: impl Fn(u64) -> u64) {
        for _ in 0..seconds * 10 {
            *now += Duration::from_millis(100);
            adaptive.enter(*now);
            let inside: Vec<u64> = adaptive.inside.iter().map(|it| it.id).collect();
            let each = rate(inside.len() as u64) / inside.len() as u64 / 10;
            for id in inside {
                adaptive.moved(id, each, *now);
            }
        }
    }

    #[test]
    fn a_fast_link_carries_all_of_them() {
        let mut now = Instant::now();
        let mut adaptive = Adaptive::new(now);
        run(&mut adaptive, &mut now, 3, |_| 100 << 20);
        assert_eq!((adaptive.inside.len(), adaptive.open), (MOST, MOST));
    }

    #[test]
    fn a_slow_link_is_not_drowned() {
        let mut now = Instant::now();
        let mut adaptive = Adaptive::new(now);
        run(&mut adaptive, &mut now, 5, |_| 200 << 10);
        assert_eq!(adaptive.inside.len(), 1, "the first proves nothing for five seconds");
        run(&mut adaptive, &mut now, 20, |_| 200 << 10);
        assert_eq!(adaptive.open, 1, "the second made nothing faster");
    }

    #[test]
    fn a_link_that_limits_each_stream_gets_several() {
        let mut now = Instant::now();
        let mut adaptive = Adaptive::new(now);
        run(&mut adaptive, &mut now, 30, |streams| streams * (1 << 20));
        assert_eq!((adaptive.inside.len(), adaptive.open), (MOST, MOST));
    }

    #[test]
    fn trouble_halves_and_peace_adds_one_at_a_time() {
        let mut now = Instant::now();
        let mut adaptive = Adaptive::new(now);
        run(&mut adaptive, &mut now, 3, |_| 100 << 20);
        adaptive.trouble(now);
        assert_eq!(adaptive.open, 2);
        adaptive.trouble(now);
        adaptive.trouble(now);
        assert_eq!(adaptive.open, 1);
        assert_eq!(adaptive.enter(now), None);
        run(&mut adaptive, &mut now, 29, |_| 100 << 20);
        assert_eq!(adaptive.open, 1);
        run(&mut adaptive, &mut now, 10, |_| 100 << 20);
        assert_eq!(adaptive.open, MOST);
    }

    #[tokio::test]
    async fn one_lane_takes_the_short_end_and_the_others_the_long_one() {
        let blobs: Vec<_> = (0..3).map(|at| Descriptor::of("x/y", &[0; 5][..at])).collect();
        let lanes = Lanes::new();
        assert!(lanes.enter().now_or_never().is_none(), "something may come");
        for at in [1, 2, 0] {
            lanes.offer(&blobs[at]);
        }
        lanes.close();
        let (short, blob) = lanes.enter().await.unwrap();
        assert_eq!(blob, &blobs[0]);
        assert!(lanes.enter().now_or_never().is_none(), "nothing is known of the link yet");
        short.moved(WARM);
        let (long, blob) = lanes.enter().await.unwrap();
        assert_eq!(blob, &blobs[2]);
        drop(short);
        long.moved(WARM);
        let (_short, blob) = lanes.enter().await.unwrap();
        assert_eq!(blob, &blobs[1]);
        assert!(lanes.enter().await.is_none());
    }
}
