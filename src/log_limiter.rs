//! Bounds the log: of each kind of line so many a minute, then one line that says how many were left out.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tracing::{
    Event, Level, Subscriber,
    callsite::Identifier,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Lines of one kind in a window that are written.
const WRITTEN: u64 = 30;
/// How long lines are counted.
const WINDOW: Duration = Duration::from_mins(1);
/// The longest name of a kind, in characters.
const LONGEST: usize = 80;

/// A layer that bounds the lines of each kind at the levels info, warn and error. A kind is a place in the
/// code, so their number is bounded by the program. Lines for debugging are written as asked for, and
/// audit lines have a bound of their own (see [`crate::audit`]). Clones share their counts.
#[derive(Debug, Clone, Default)]
pub struct LogLimiter(Arc<Mutex<HashMap<Kind, Count>>>);

/// What is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Line(Identifier),
    Panic,
}

#[derive(Debug)]
struct Count {
    since: Instant,
    lines: u64,
    left_out: u64,
    name: String,
}

impl LogLimiter {
    /// Writes for each kind how many lines were left out since the last time. A server calls this once a
    /// minute and at its end.
    pub fn write_left_out(&self) {
        for (kind, lines) in self.take_left_out(Instant::now()) {
            let event = "log.suppressed";
            tracing::warn!(event, kind, lines, "repeated log lines were left out");
        }
    }

    /// Whether one more panic may be written.
    pub fn admit_panic(&self) -> bool {
        self.admit(Kind::Panic, Instant::now(), || "panic".to_owned())
    }

    fn admit(&self, kind: Kind, now: Instant, name: impl FnOnce() -> String) -> bool {
        let mut kinds = self.kinds();
        let fresh = || Count { since: now, lines: 0, left_out: 0, name: String::new() };
        let count = kinds.entry(kind).or_insert_with(fresh);
        if now.saturating_duration_since(count.since) >= WINDOW {
            (count.since, count.lines) = (now, 0);
        }
        count.lines += 1;
        if count.lines <= WRITTEN {
            return true;
        }
        if count.left_out == 0 {
            count.name = name();
        }
        count.left_out += 1;
        false
    }

    fn take_left_out(&self, now: Instant) -> Vec<(String, u64)> {
        let mut left_out = Vec::new();
        self.kinds().retain(|_, count| {
            if count.left_out > 0 {
                left_out.push((std::mem::take(&mut count.name), count.left_out));
                count.left_out = 0;
            }
            now.saturating_duration_since(count.since) < WINDOW
        });
        left_out
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<Kind, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for LogLimiter {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_exempt = [crate::audit::TARGET, module_path!()].contains(&metadata.target());
        if is_exempt || *metadata.level() > Level::INFO {
            return true;
        }
        let kind = Kind::Line(metadata.callsite());
        self.admit(kind, Instant::now(), || Name::of(event))
    }
}

/// The name of a kind of line: its field `event`, or else its message.
#[derive(Debug, Default)]
struct Name {
    event: Option<String>,
    message: Option<String>,
}

impl Name {
    fn of(event: &Event<'_>) -> String {
        let mut name = Self::default();
        event.record(&mut name);
        let text = name.event.or(name.message);
        let text = text.unwrap_or_else(|| event.metadata().target().to_owned());
        text.chars().filter(|it| !it.is_control()).take(LONGEST).collect()
    }

    fn set(&mut self, field: &Field, value: impl FnOnce() -> String) {
        match field.name() {
            "event" => self.event = Some(value()),
            "message" => self.message = Some(value()),
            _ => {}
        }
    }
}

impl Visit for Name {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, || value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, || format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::{fmt::MakeWriter, layer::SubscriberExt as _};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Lines {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn repeated_lines_are_written_then_counted_and_other_lines_are_not_affected() {
        let (lines, limiter) = (Lines::default(), LogLimiter::default());
        let fmt = tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(fmt.with(limiter.clone()), || {
            for number in 0..100_000 {
                tracing::error!(event = "request.failed", number, "a request failed");
            }
            tracing::info!(event = "trust.changed", "another line");
            for _ in 0..100 {
                tracing::info!(target: crate::audit::TARGET, event = "node.deleted");
            }
            limiter.write_left_out();
            limiter.write_left_out();
        });
        let text = lines.text();
        assert_eq!(text.matches("request.failed\" number").count() as u64, WRITTEN);
        assert_eq!(text.matches("trust.changed").count(), 1);
        assert_eq!(text.matches("node.deleted").count(), 100);
        let summary: Vec<_> = text.lines().filter(|it| it.contains("log.suppressed")).collect();
        assert_eq!(summary.len(), 1, "{text}");
        assert!(
            summary[0].contains("kind=\"request.failed\"") && summary[0].contains("lines=99970")
        );
    }

    #[test]
    fn window_that_is_over_admits_lines_again() {
        let (limiter, now) = (LogLimiter::default(), Instant::now());
        let admitted = |now| {
            (0..100).filter(|_| limiter.admit(Kind::Panic, now, || "panic".to_owned())).count()
                as u64
        };
        assert_eq!(admitted(now), WRITTEN);
        assert_eq!(admitted(now), 0);
        let later = now + WINDOW;
        assert_eq!(admitted(later), WRITTEN);
        assert_eq!(limiter.take_left_out(later), [("panic".to_owned(), 300 - 2 * WRITTEN)]);
        assert!(limiter.take_left_out(later).is_empty());
        limiter.take_left_out(later + WINDOW);
        assert!(limiter.kinds().is_empty());
    }
}
