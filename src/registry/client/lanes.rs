//! How many transfers go at a time: several on a fast link, fewer where they only take the room
//! from each other.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

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

/// The lanes of one link. Whoever comes first gets the next one.
#[derive(Debug)]
pub(super) struct Lanes {
    state: Mutex<Adaptive>,
    /// Somebody left, or proved that there is room for another.
    changed: Notify,
    door: tokio::sync::Mutex<()>,
}

/// The right to transfer something, until it is dropped.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    lanes: &'a Lanes,
    id: u64,
    moved: AtomicU64,
}

impl Lanes {
    /// All of them are open.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(Adaptive::new(Instant::now())),
            changed: Notify::new(),
            door: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Adaptive> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a lane for `size` bytes.
    pub(super) async fn enter(&self, size: u64) -> Lane<'_> {
        let _door = self.door.lock().await;
        loop {
            let changed = self.changed.notified();
            if let Some(id) = self.state().enter(size, Instant::now()) {
                return Lane { lanes: self, id, moved: AtomicU64::new(0) };
            }
            // Lanes are also opened by time alone.
            let _ = tokio::time::timeout(LOOK, changed).await;
        }
    }
}

impl Lane<'_> {
    /// The transfer has moved so many bytes since the lane was entered.
    pub(super) fn moved(&self, bytes: u64) {
        let before = self.moved.fetch_max(bytes, Ordering::Relaxed);
        let fresh = bytes.saturating_sub(before);
        if self.lanes.state().moved(self.id, fresh, Instant::now()) {
            self.lanes.changed.notify_one();
        }
    }

    /// The transfer broke off, or stalled.
    pub(super) fn trouble(&self) {
        self.lanes.state().trouble(Instant::now());
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.lanes.state().leave(self.id, Instant::now());
        self.lanes.changed.notify_one();
    }
}

/// Additive increase, multiplicative decrease: a lane is opened after a while without trouble, closed
/// if it made nothing faster, and half of them are closed when a transfer breaks.
#[derive(Debug)]
struct Adaptive {
    open: usize,
    /// Who is in, and how many bytes each has to move before another may enter.
    inside: Vec<(u64, u64)>,
    next: u64,
    /// When the present measurement began, and what has moved since.
    since: Instant,
    moved: u64,
    /// The latest rate with so many inside, in bytes per second.
    rates: [Option<f64>; MOST + 1],
    /// Until when no lane is opened.
    quiet: Instant,
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

    fn enter(&mut self, size: u64, now: Instant) -> Option<u64> {
        let is_warm = self.inside.last().is_none_or(|(_, left)| *left == 0);
        if self.inside.len() >= self.open || !is_warm {
            return None;
        }
        let id = self.next;
        self.next += 1;
        self.inside.push((id, size.min(WARM)));
        self.measure_anew(now);
        Some(id)
    }

    fn leave(&mut self, id: u64, now: Instant) {
        self.inside.retain(|(it, _)| *it != id);
        self.measure_anew(now);
    }

    /// `true` if another may enter now.
    fn moved(&mut self, id: u64, bytes: u64, now: Instant) -> bool {
        let mut proved = false;
        if let Some((_, left)) = self.inside.iter_mut().find(|(it, _)| *it == id) {
            proved = *left > 0 && *left <= bytes;
            *left = left.saturating_sub(bytes);
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
    use super::*;

    /// A link that carries what `rate` says for so many transfers, looked at ten times a second.
    fn run(adaptive: &mut Adaptive, now: &mut Instant, seconds: u64, rate: impl Fn(u64) -> u64) {
        for _ in 0..seconds * 10 {
            *now += Duration::from_millis(100);
            adaptive.enter(u64::MAX, *now);
            let inside: Vec<u64> = adaptive.inside.iter().map(|(id, _)| *id).collect();
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
        assert_eq!(adaptive.enter(1, now), None);
        run(&mut adaptive, &mut now, 29, |_| 100 << 20);
        assert_eq!(adaptive.open, 1);
        run(&mut adaptive, &mut now, 10, |_| 100 << 20);
        assert_eq!(adaptive.open, MOST);
    }

    #[tokio::test]
    async fn who_leaves_makes_room_for_the_next() {
        let lanes = Lanes::new();
        let first = lanes.enter(10).await;
        let waiting = lanes.enter(10);
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures_util::FutureExt::now_or_never(&mut waiting).is_none());
        drop(first);
        waiting.await.moved(5);
    }
}
