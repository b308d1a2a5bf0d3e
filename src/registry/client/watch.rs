//! Whether a link still moves: one rule for every body that is waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::{ByteRate, RegistryError};
use crate::types::Registry;

/// When a link counts as stalled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    /// How long nothing may come.
    pub(super) silence: Duration,
    /// The least that must come on average over that time.
    pub(super) slowest: ByteRate,
}

/// Watches bytes come in. Only the time counts in which they were waited for: whoever reads slowly,
/// because the disk is slow or the pace is limited, does not blame the link.
#[derive(Debug)]
pub(super) struct Watch {
    stall: Stall,
    waiting_since: Option<Instant>,
    waited: Duration,
    moved: u64,
}

impl Watch {
    pub(super) fn new(stall: Stall) -> Self {
        Self { stall, waiting_since: None, waited: Duration::ZERO, moved: 0 }
    }

    /// Begins to wait, or goes on; until when the next bytes must be here.
    pub(super) fn deadline(&mut self, now: Instant) -> Instant {
        *self.waiting_since.get_or_insert(now) + self.stall.silence
    }

    /// Some bytes came. Refused if there were too few lately.
    pub(super) fn came(
        &mut self,
        bytes: usize,
        now: Instant,
        registry: &Registry,
    ) -> Result<(), RegistryError> {
        let since = self.waiting_since.take().unwrap_or(now);
        self.waited += now.saturating_duration_since(since);
        self.moved += bytes as u64;
        if self.waited < self.stall.silence {
            return Ok(());
        }
        let (waited, bytes) = (self.waited, self.moved);
        (self.waited, self.moved) = (Duration::ZERO, 0);
        let least = u128::from(self.stall.slowest.bytes_per_second()) * waited.as_millis() / 1000;
        if u128::from(bytes) < least {
            return Err(RegistryError::Slow { registry: registry.clone(), bytes, waited });
        }
        Ok(())
    }

    /// Nothing came in time.
    pub(super) fn silent(&self, registry: &Registry) -> RegistryError {
        RegistryError::Timeout { registry: registry.clone(), waited: self.stall.silence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch::new(Stall { silence: Duration::from_secs(30), slowest: "1000".parse().unwrap() })
    }

    /// `bytes` come each second for `seconds`; the second in which that was too slow.
    fn stalls(watch: &mut Watch, bytes: usize, seconds: u64) -> Option<u64> {
        let registry = "r.example:5000".parse().unwrap();
        let begin = Instant::now();
        (0..seconds).find(|second| {
            let now = begin + Duration::from_secs(*second);
            watch.deadline(now);
            watch.came(bytes, now + Duration::from_secs(1), &registry).is_err()
        })
    }

    #[test]
    fn a_slow_link_that_moves_is_never_given_up() {
        assert_eq!(stalls(&mut watch(), 1000, 10_000), None);
    }

    #[test]
    fn a_trickle_counts_as_stalled() {
        assert_eq!(stalls(&mut watch(), 900, 10_000), Some(29));
    }

    #[test]
    fn time_that_is_not_waited_does_not_count() {
        let mut watch = watch();
        let (begin, registry) = (Instant::now(), "r.example:5000".parse().unwrap());
        for hour in 0..100 {
            let now = begin + Duration::from_hours(hour);
            assert_eq!(watch.deadline(now), now + Duration::from_secs(30));
            watch.came(1, now, &registry).unwrap();
        }
    }
}
