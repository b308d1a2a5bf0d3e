//! How fast bytes may go: one allowance that everything on its way shares.

use std::{
    fmt,
    num::NonZeroU64,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How much may go at once after a silence, as time at the full rate.
const BURST: Duration = Duration::from_millis(100);
/// The most that is asked for at once, in bytes.
const SLICE: usize = 64 * 1024;

/// Bytes per second, as people write it: `500k`, `2M`, `1.5MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRate(NonZeroU64);

impl ByteRate {
    /// So many bytes a second.
    pub const fn new(bytes_per_second: NonZeroU64) -> Self {
        Self(bytes_per_second)
    }

    /// Bytes a second.
    pub const fn bytes_per_second(self) -> u64 {
        self.0.get()
    }

    /// How long `bytes` take.
    fn time_for(self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.0.get());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate: expected bytes per second like 500k, 2M or 1.5MiB")]
pub struct ParseRateError(String);

impl FromStr for ByteRate {
    type Err = ParseRateError;

    fn from_str(text: &str) -> Result<Self, ParseRateError> {
        let wrong = || ParseRateError(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit: f64 = match unit.trim_end_matches("/s") {
            "" | "B" => 1.0,
            "k" | "K" | "kB" | "KB" => 1e3,
            "KiB" => 1024.0,
            "m" | "M" | "MB" => 1e6,
            "MiB" => 1024.0 * 1024.0,
            "g" | "G" | "GB" => 1e9,
            "GiB" => 1024.0 * 1024.0 * 1024.0,
            _ => return Err(wrong()),
        };
        let rate = number.parse::<f64>().map_err(|_| wrong())? * unit;
        if !(1.0..=1e15).contains(&rate) {
            return Err(wrong());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 1e15")]
        NonZeroU64::new(rate as u64).map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B/s", self.0)
    }
}

/// An allowance of bytes per second; clones share it, so that all transfers together keep to it.
#[derive(Debug, Clone, Default)]
pub struct Pace(Option<Arc<Limited>>);

#[derive(Debug)]
struct Limited {
    rate: ByteRate,
    /// When the allowance of everything that was let through is used up.
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// As fast as it goes.
    pub const fn unlimited() -> Self {
        Self(None)
    }

    /// Never more than `rate`, but for a tenth of a second's worth after a silence.
    pub fn limited(rate: ByteRate) -> Self {
        Self(Some(Arc::new(Limited { rate, free_at: Mutex::new(None) })))
    }

    /// How many bytes to ask for at once, so that a transfer moves several times a second.
    pub(super) fn slice(&self) -> usize {
        let Some(limited) = &self.0 else { return SLICE };
        let tenth = usize::try_from(limited.rate.bytes_per_second() / 10).unwrap_or(SLICE);
        tenth.clamp(1024, SLICE)
    }

    /// Waits until `bytes` more may go.
    pub async fn take(&self, bytes: usize) {
        let Some(limited) = &self.0 else { return };
        tokio::time::sleep_until(limited.book(bytes as u64, Instant::now())).await;
    }
}

impl Limited {
    /// Books `bytes`, and says from when on they may go.
    fn book(&self, bytes: u64, now: Instant) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let begin = free_at.unwrap_or(earliest).max(earliest);
        let end = begin + self.rate.time_for(bytes);
        *free_at = Some(end);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("500", 500),
            ("500k", 500_000),
            ("2M", 2_000_000),
            ("1.5MiB", 1_572_864),
            ("1MB/s", 1_000_000),
        ] {
            assert_eq!(text.parse::<ByteRate>().unwrap().bytes_per_second(), bytes, "{text}");
        }
        for text in ["", "0", "-1", "fast", "5x", "1e99", "NaN", "0.2"] {
            assert!(text.parse::<ByteRate>().is_err(), "{text}");
        }
    }

    #[test]
    fn all_transfers_together_keep_to_the_rate() {
        let limited = Limited { rate: "1000".parse().unwrap(), free_at: Mutex::new(None) };
        let now = Instant::now() + Duration::from_secs(10);
        assert!(limited.book(100, now) <= now, "a burst of a tenth of a second");
        assert_eq!(limited.book(500, now) - now, Duration::from_millis(500));
        assert_eq!(limited.book(500, now) - now, Duration::from_secs(1));
        let later = now + Duration::from_mins(1);
        assert!(limited.book(100, later) <= later, "silence is not saved up beyond the burst");
        assert_eq!(limited.book(1000, later) - later, Duration::from_secs(1));
    }

    #[tokio::test]
    async fn without_a_limit_nothing_waits() {
        let before = Instant::now();
        for _ in 0..1000 {
            Pace::unlimited().take(usize::MAX).await;
        }
        assert!(before.elapsed() < Duration::from_secs(5));
    }
}
