//! How long to wait before a blob is asked for again, and when to give it up.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::{RegistryError, RetryPolicy};

/// How often in a row a blob may break off without a single new byte. One that makes progress is
/// never given up, however slow the link.
pub(super) const FRUITLESS: usize = 5;

/// After so many new bytes a broken link is taken up at once: it was not overloaded, it broke.
const PROGRESS: u64 = 256 << 10;

/// What has been tried in vain lately.
#[derive(Debug)]
pub(super) struct Patience {
    policy: RetryPolicy,
    waits: ExponentialBackoff,
    reached: u64,
}

impl Patience {
    /// None has been lost; `received` bytes are here.
    pub(super) fn new(policy: RetryPolicy, received: u64) -> Self {
        Self { policy, waits: waits(policy), reached: received }
    }

    /// How long to wait after `error`, by when `received` bytes were here; `None`: give it up.
    pub(super) fn after(&mut self, error: &RegistryError, received: u64) -> Option<Duration> {
        let fresh = received.saturating_sub(self.reached);
        self.reached = self.reached.max(received);
        if fresh > 0 {
            self.waits = waits(self.policy);
        }
        let asked_for = error.retry_after().map(|wait| wait.min(self.policy.longest_delay));
        if fresh >= PROGRESS {
            return Some(asked_for.unwrap_or_default());
        }
        let wait = self.waits.next()?;
        Some(asked_for.unwrap_or(wait))
    }
}

fn waits(policy: RetryPolicy) -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(policy.first_delay)
        .with_max_delay(policy.longest_delay)
        .with_max_times(FRUITLESS - 1)
        .with_jitter()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_moves_is_never_given_up_and_whoever_does_not_soon() {
        let policy = RetryPolicy { first_delay: Duration::from_secs(1), ..RetryPolicy::once() };
        let mut patience = Patience::new(policy, 0);
        let registry = "r.example:5000".parse().unwrap();
        let error = RegistryError::Timeout { registry, waited: Duration::ZERO };
        for round in 1..100 {
            assert!(patience.after(&error, round).is_some());
        }
        assert_eq!(patience.after(&error, 99 + PROGRESS), Some(Duration::ZERO));
        let fruitless = (0..).take_while(|_| patience.after(&error, 99).is_some()).count();
        assert_eq!(fruitless, FRUITLESS - 1);
    }
}
