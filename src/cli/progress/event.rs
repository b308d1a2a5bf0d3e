//! Progress for programs: one JSON object a line. The table in docs/images.md of these fields is a promise: fields
//! are added, and none changes its meaning while `v` stays what it is.

use std::{collections::HashMap, time::Duration};

use serde::Serialize;

use super::model::{Model, News, Outcome, Total};
use crate::types::Digest;

/// The version of the events' form.
const VERSION: u8 = 1;
/// A blob on its way is told of no more often than this.
const PAUSE: Duration = Duration::from_secs(1);

/// Something that happened.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    v: u8,
    /// Seconds since the beginning, to the millisecond.
    time: f64,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum What {
    /// So many blobs more are gone through.
    Planned { blobs: usize, size: u64 },
    /// A blob is on its way.
    Moved { blob: Digest, bytes: u64, size: u64, rate: u64, left: Option<u64> },
    /// A blob broke off, and is tried again after some seconds.
    Again { blob: Digest, why: String, wait: f64 },
    /// A blob is where it should be.
    Settled { blob: Digest, size: u64, outcome: &'static str },
    /// It is over; what ended it, the result says.
    Ended { blobs: usize, settled: usize, bytes: u64, size: u64, moved: u64 },
}

/// Tells a model's progress by events.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// How far a blob was when it was last told of, and when that was.
    told: HashMap<Digest, (u64, Duration)>,
}

impl Events {
    /// What is to be told `now` after the beginning.
    pub(super) fn of(&mut self, model: &mut Model, now: Duration) -> Vec<Event> {
        let mut events: Vec<_> =
            model.take_news().into_iter().map(|it| event(now, of_news(it))).collect();
        for blob in model.moving() {
            let told = self.told.get(&blob.digest);
            let due = told
                .is_none_or(|(bytes, at)| *bytes != blob.bytes && now.saturating_sub(*at) >= PAUSE);
            if due {
                self.told.insert(blob.digest, (blob.bytes, now));
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "rates are positive and round"
                )]
                let rate = blob.rate() as u64;
                let left = blob.left().map(|it| it.as_secs());
                let (blob, bytes, size) = (blob.digest, blob.bytes, blob.size);
                events.push(event(now, What::Moved { blob, bytes, size, rate, left }));
            }
        }
        events
    }

    /// The last event.
    pub(super) fn end(total: &Total, now: Duration) -> Event {
        let Total { blobs, settled, bytes, size, moved, .. } = *total;
        event(now, What::Ended { blobs, settled, bytes, size, moved })
    }
}

fn event(now: Duration, what: What) -> Event {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of a transfer")]
    let time = now.as_millis() as f64 / 1000.0;
    Event { v: VERSION, time, what }
}

fn of_news(news: News) -> What {
    match news {
        News::Planned { blobs, bytes } => What::Planned { blobs, size: bytes },
        News::Again { blob, why, wait } => What::Again { blob, why, wait: wait.as_secs_f64() },
        News::Settled { blob, size, outcome } => {
            What::Settled { blob, size, outcome: word(&outcome) }
        }
    }
}

/// What became of a blob, in a word.
fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Existed => "existed",
        Outcome::Mounted(_) => "mounted",
        Outcome::Uploaded => "uploaded",
        Outcome::Downloaded => "downloaded",
        Outcome::Copied => "copied",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::image::Descriptor;

    fn told(events: &[Event]) -> Vec<Value> {
        events.iter().map(|it| serde_json::to_value(it).unwrap()).collect()
    }

    #[test]
    fn events_keep_the_form_that_is_promised() {
        let blob = Descriptor::of("layer", b"content");
        let digest = blob.digest.to_string();
        let (mut model, mut events) = (Model::default(), Events::default());
        model.planned(std::slice::from_ref(&blob));
        model.moved(&blob, 3);
        let first = told(&events.of(&mut model, Duration::from_millis(1500)));
        model.again(&blob, "cut".to_owned(), Duration::from_millis(200));
        model.settled(&blob, Outcome::Uploaded);
        let second = told(&events.of(&mut model, Duration::from_secs(2)));
        let last = told(&[Events::end(&model.total(), Duration::from_secs(2))]);

        assert_eq!(
            first,
            [
                json!({"v": 1, "time": 1.5, "event": "planned", "blobs": 1, "size": 7}),
                json!({"v": 1, "time": 1.5, "event": "moved", "blob": digest, "bytes": 3, "size": 7, "rate": 0, "left": null}),
            ]
        );
        assert_eq!(
            second,
            [
                json!({"v": 1, "time": 2.0, "event": "again", "blob": digest, "why": "cut", "wait": 0.2}),
                json!({"v": 1, "time": 2.0, "event": "settled", "blob": digest, "size": 7, "outcome": "uploaded"}),
            ]
        );
        assert_eq!(
            last,
            [
                json!({"v": 1, "time": 2.0, "event": "ended", "blobs": 1, "settled": 1, "bytes": 7, "size": 7, "moved": 3})
            ]
        );
    }

    #[test]
    fn a_blob_is_told_of_once_a_second_and_not_while_it_stands() {
        let blob = Descriptor::new("layer", Digest::of(b""), 1_000_000);
        let (mut model, mut events) = (Model::default(), Events::default());
        let mut count = 0;
        for tick in 0..100_u64 {
            model.moved(&blob, tick * 1000);
            count += events.of(&mut model, Duration::from_millis(tick * 100)).len();
        }
        assert_eq!(count, 10);
        for tick in 100..200_u64 {
            count += events.of(&mut model, Duration::from_millis(tick * 100)).len();
        }
        assert_eq!(count, 11, "how far it came before it stood is told once");
    }
}
