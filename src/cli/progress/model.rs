//! What is known of a transfer: how far each blob is, how fast it goes, when it will be there. No clock and
//! no screen: it is told the time, as the time since the transfer began.

use std::{collections::HashMap, mem, time::Duration};

use crate::{
    image::Descriptor,
    registry::client::BlobOutcome,
    types::{Digest, Repository},
};

/// Over how much time rates are taken: what is longer past hardly counts.
const MEMORY: Duration = Duration::from_secs(3);
/// Rates are not taken over less than this, since what arrives comes in gusts.
const GUST: Duration = Duration::from_millis(50);
/// Slower than this, in bytes a second, nobody can say when it will be there.
const STANDSTILL: f64 = 1.0;

/// How far a transfer is.
#[derive(Debug, Default)]
pub(super) struct Model {
    blobs: Vec<Blob>,
    places: HashMap<Digest, usize>,
    news: Vec<News>,
    rate: Rate,
    /// What has gone through, with what had to go again.
    moved: u64,
}

/// How far a blob is.
#[derive(Debug)]
pub(super) struct Blob {
    /// Which one.
    pub(super) digest: Digest,
    /// Its length in bytes.
    pub(super) size: u64,
    /// How many of them are through.
    pub(super) bytes: u64,
    /// What is happening to it.
    pub(super) state: State,
    rate: Rate,
}

/// How a blob came to be where it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was there.
    Existed,
    /// This other repository of the same registry had it.
    Mounted(Repository),
    /// It was sent to a registry.
    Uploaded,
    /// It came from a registry.
    Downloaded,
    /// It came from one place of this machine to another.
    Copied,
}

impl From<BlobOutcome> for Outcome {
    fn from(outcome: BlobOutcome) -> Self {
        match outcome {
            BlobOutcome::Existed => Self::Existed,
            BlobOutcome::Mounted { from } => Self::Mounted(from),
            BlobOutcome::Downloaded => Self::Downloaded,
            BlobOutcome::Uploaded => Self::Uploaded,
        }
    }
}

/// What is happening to a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing yet.
    Waiting,
    /// It is on its way.
    Moving,
    /// It broke off, and is tried again.
    Again,
    /// It is where it should be.
    Settled(Outcome),
}

/// What is worth a line of its own.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// So many blobs more are gone through.
    Planned {
        /// How many.
        blobs: usize,
        /// Their length in bytes.
        bytes: u64,
    },
    /// A blob broke off.
    Again {
        /// Which one.
        blob: Digest,
        /// Why.
        why: String,
        /// How long it waits before it is tried again.
        wait: Duration,
    },
    /// A blob is where it should be.
    Settled {
        /// Which one.
        blob: Digest,
        /// Its length in bytes.
        size: u64,
        /// How it came there.
        outcome: Outcome,
    },
}

/// How far everything is.
#[derive(Debug, PartialEq)]
pub(super) struct Total {
    /// How many blobs there are.
    pub(super) blobs: usize,
    /// How many of them are where they should be.
    pub(super) settled: usize,
    /// How many of those were there before.
    pub(super) existed: usize,
    /// How many bytes are where they should be.
    pub(super) bytes: u64,
    /// How many bytes there are.
    pub(super) size: u64,
    /// How many bytes went through, with those that had to go again.
    pub(super) moved: u64,
    /// Bytes a second, of late.
    pub(super) rate: f64,
    /// How long it will take, if that can be said.
    pub(super) left: Option<Duration>,
}

impl Model {
    /// These blobs are gone through, besides those that are known.
    pub(super) fn planned(&mut self, blobs: &[Descriptor]) {
        let (before, size) = (self.blobs.len(), self.size());
        for blob in blobs {
            self.place(blob);
        }
        let (blobs, bytes) = (self.blobs.len() - before, self.size() - size);
        if blobs > 0 {
            self.news.push(News::Planned { blobs, bytes });
        }
    }

    /// So many bytes of a blob are through.
    pub(super) fn moved(&mut self, descriptor: &Descriptor, bytes: u64) {
        let place = self.place(descriptor);
        let Some(blob) = self.blobs.get_mut(place) else { return };
        let more = bytes.saturating_sub(blob.bytes);
        blob.bytes = bytes;
        if !matches!(blob.state, State::Settled(_)) {
            blob.state = State::Moving;
        }
        blob.rate.add(more);
        self.rate.add(more);
        self.moved = self.moved.saturating_add(more);
    }

    /// A blob broke off.
    pub(super) fn again(&mut self, descriptor: &Descriptor, why: String, wait: Duration) {
        let place = self.place(descriptor);
        if let Some(blob) = self.blobs.get_mut(place) {
            blob.state = State::Again;
        }
        self.news.push(News::Again { blob: descriptor.digest, why, wait });
    }

    /// A blob is where it should be.
    pub(super) fn settled(&mut self, descriptor: &Descriptor, outcome: Outcome) {
        let place = self.place(descriptor);
        if let Some(blob) = self.blobs.get_mut(place) {
            blob.bytes = blob.size;
            blob.state = State::Settled(outcome.clone());
        }
        let (blob, size) = (descriptor.digest, descriptor.size);
        self.news.push(News::Settled { blob, size, outcome });
    }

    /// Time has passed: it is `now` after the beginning.
    pub(super) fn tick(&mut self, now: Duration) {
        self.rate.tick(now);
        for blob in self.blobs.iter_mut().filter(|it| it.is_moving()) {
            blob.rate.tick(now);
        }
    }

    /// What has happened since the last call.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        mem::take(&mut self.news)
    }

    /// The blobs that are on their way.
    pub(super) fn moving(&self) -> impl Iterator<Item = &Blob> {
        self.blobs.iter().filter(|it| it.is_moving())
    }

    /// How far everything is.
    pub(super) fn total(&self) -> Total {
        let bytes = self.blobs.iter().map(|it| it.bytes.min(it.size)).sum();
        let size = self.size();
        let rate = self.rate.per_second();
        let settled = |blob: &&Blob| matches!(blob.state, State::Settled(_));
        let existed = |blob: &&Blob| blob.state == State::Settled(Outcome::Existed);
        Total {
            blobs: self.blobs.len(),
            settled: self.blobs.iter().filter(settled).count(),
            existed: self.blobs.iter().filter(existed).count(),
            bytes,
            size,
            moved: self.moved,
            rate,
            left: time_for(size.saturating_sub(bytes), rate),
        }
    }

    fn size(&self) -> u64 {
        self.blobs.iter().map(|it| it.size).sum()
    }

    /// Where a blob stands in the list, at whose end it is put if it is new.
    fn place(&mut self, descriptor: &Descriptor) -> usize {
        let next = self.blobs.len();
        let place = *self.places.entry(descriptor.digest).or_insert(next);
        if place == next {
            self.blobs.push(Blob {
                digest: descriptor.digest,
                size: descriptor.size,
                bytes: 0,
                state: State::Waiting,
                rate: Rate::default(),
            });
        }
        place
    }
}

impl Blob {
    fn is_moving(&self) -> bool {
        matches!(self.state, State::Moving | State::Again)
    }

    /// Bytes a second, of late.
    pub(super) fn rate(&self) -> f64 {
        self.rate.per_second()
    }

    /// How long it will take, if that can be said.
    pub(super) fn left(&self) -> Option<Duration> {
        time_for(self.size.saturating_sub(self.bytes), self.rate())
    }
}

/// How long `bytes` take, if that can be said.
fn time_for(bytes: u64, rate: f64) -> Option<Duration> {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let seconds = bytes as f64 / rate;
    if rate < STANDSTILL { None } else { Duration::try_from_secs_f64(seconds).ok() }
}

/// Bytes a second, of late: a mean in which each moment counts the less the longer it is past.
#[derive(Debug, Default)]
struct Rate {
    mean: f64,
    /// How much of the mean is made of moments that have been: less than one at the beginning.
    weight: f64,
    /// When it was last taken; none before anything moved.
    at: Option<Duration>,
    /// What has come since.
    bytes: u64,
}

impl Rate {
    fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn tick(&mut self, now: Duration) {
        let Some(at) = self.at else {
            self.at = Some(now);
            return;
        };
        let passed = now.saturating_sub(at);
        if passed < GUST {
            return;
        }
        let seconds = passed.as_secs_f64();
        let keep = (-seconds / MEMORY.as_secs_f64()).exp();
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let now_per_second = mem::take(&mut self.bytes) as f64 / seconds;
        self.mean = self.mean * keep + now_per_second * (1.0 - keep);
        self.weight = self.weight * keep + (1.0 - keep);
        self.at = Some(now);
    }

    fn per_second(&self) -> f64 {
        if self.weight > 0.0 { self.mean / self.weight } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(name: &str, size: u64) -> Descriptor {
        Descriptor::new("application/octet-stream", Digest::of(name.as_bytes()), size)
    }

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A blob of `size` bytes that moves at `rate` bytes a second for `seconds`.
    fn moving(
        model: &mut Model,
        blob: &Descriptor,
        rate: u64,
        from: Duration,
        seconds: u64,
    ) -> Duration {
        let before =
            model.blobs.iter().find(|it| it.digest == blob.digest).map_or(0, |it| it.bytes);
        for tick in 1..=seconds * 10 {
            model.moved(blob, before + rate * tick / 10);
            model.tick(from + ms(tick * 100));
        }
        from + Duration::from_secs(seconds)
    }

    #[test]
    fn a_steady_blob_has_its_rate_and_the_time_that_is_left() {
        let (mut model, layer) = (Model::default(), blob("layer", 100_000_000));
        model.planned(std::slice::from_ref(&layer));
        model.tick(ms(0));

        moving(&mut model, &layer, 10_000_000, ms(0), 5);

        let total = model.total();
        assert!((total.rate - 10e6).abs() < 0.5e6, "{total:?}");
        let left = total.left.unwrap().as_secs_f64();
        assert!((left - 5.0).abs() < 0.3, "{left}");
        assert_eq!((total.bytes, total.size), (50_000_000, 100_000_000));
        let seen = model.moving().next().unwrap();
        assert!((seen.left().unwrap().as_secs_f64() - 5.0).abs() < 0.3, "{seen:?}");
    }

    #[test]
    fn a_rate_follows_the_link_within_seconds_and_a_standstill_has_no_end() {
        let (mut model, layer) = (Model::default(), blob("layer", 1_000_000_000));
        let now = moving(&mut model, &layer, 10_000_000, ms(0), 10);
        let now = moving(&mut model, &layer, 1_000_000, now, 10);
        let slow = model.total().rate;
        assert!((0.9e6..1.8e6).contains(&slow), "{slow}");

        for tick in 1..=600 {
            model.tick(now + ms(tick * 100));
        }

        assert_eq!(model.total().left, None);
        assert!(model.total().rate < 1.0);
    }

    #[test]
    fn bytes_that_go_again_count_as_moved_and_not_as_done() {
        let (mut model, layer) = (Model::default(), blob("layer", 100));
        model.moved(&layer, 80);
        model.again(&layer, "cut".to_owned(), ms(200));
        model.moved(&layer, 60);
        model.moved(&layer, 100);
        model.settled(&layer, Outcome::Uploaded);

        let total = model.total();
        assert_eq!((total.bytes, total.moved, total.settled), (100, 120, 1));
        let news = model.take_news();
        assert!(matches!(&news[0], News::Again { why, .. } if why == "cut"), "{news:?}");
        assert!(matches!(&news[1], News::Settled { size: 100, .. }), "{news:?}");
        assert_eq!(model.take_news(), []);
    }

    #[test]
    fn images_that_share_a_blob_plan_it_once() {
        let mut model = Model::default();
        model.planned(&[blob("base", 10), blob("one", 1)]);
        model.settled(&blob("base", 10), Outcome::Existed);
        model.planned(&[blob("base", 10), blob("two", 2)]);

        let total = model.total();
        assert_eq!((total.blobs, total.size, total.existed, total.bytes), (3, 13, 1, 10));
        let planned: Vec<_> = model
            .take_news()
            .into_iter()
            .filter_map(|it| match it {
                News::Planned { blobs, bytes } => Some((blobs, bytes)),
                _ => None,
            })
            .collect();
        assert_eq!(planned, [(2, 11), (1, 2)]);
    }

    #[test]
    fn what_is_there_moves_nothing() {
        let (mut model, layer) = (Model::default(), blob("layer", 100));
        model.planned(std::slice::from_ref(&layer));
        model.settled(&layer, Outcome::Existed);
        assert_eq!(model.moving().count(), 0);
        assert_eq!((model.total().moved, model.total().bytes), (0, 100));
    }
}
