//! Trying again, with patience, what may well succeed in a moment.

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder, Retryable as _};

use super::{RegistryError, error::error_chain};

/// How often and how patiently a request is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often it is tried in all.
    pub tries: usize,
    /// How long to wait before the second try; doubled for each further one, with jitter.
    pub first_delay: Duration,
    /// The longest wait that is our own choice.
    pub longest_delay: Duration,
    /// The longest wait that a registry may ask for. One that asks for more is not asked again.
    pub longest_asked: Duration,
    /// How often in a row a transfer may break off without getting a few kilobytes further than ever
    /// before. One that moves is never given up, however slow the link.
    pub fruitless: usize,
}

impl Default for RetryPolicy {
    /// Four tries in some ten seconds, or as the registry asks by `Retry-After` within a quarter of an hour.
    fn default() -> Self {
        Self {
            tries: 4,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_mins(1),
            longest_asked: Duration::from_mins(15),
            fruitless: 5,
        }
    }
}

impl RetryPolicy {
    /// Every request is sent once, and no transfer is taken up again.
    pub fn once() -> Self {
        Self { tries: 1, fruitless: 1, ..Self::default() }
    }

    /// Does `attempt` until it succeeds, fails for good, or has been tried often enough.
    pub(super) async fn run<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        self.run_while(RegistryError::may_pass, attempt).await
    }

    /// As [`RetryPolicy::run`], where `may_pass` says which errors are worth another try.
    pub(super) async fn run_while<T, F>(
        &self,
        mut may_pass: impl FnMut(&RegistryError) -> bool,
        attempt: impl FnMut() -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let backoff = ExponentialBuilder::new()
            .with_jitter()
            .with_min_delay(self.first_delay)
            .with_max_delay(self.longest_delay)
            .with_max_times(self.tries.saturating_sub(1));
        attempt
            .retry(backoff)
            .when(|error| may_pass(error) && self.grants(error.retry_after()))
            .adjust(|error: &RegistryError, delay| {
                delay.map(|delay| error.retry_after().unwrap_or(delay))
            })
            .notify(|error, delay| {
                let (error, delay_ms) = (error_chain(error), delay.as_millis());
                tracing::warn!(event = "registry.retry", error, delay_ms, "a request is repeated");
            })
            .await
    }
}

impl RetryPolicy {
    /// Whether a wait that a registry asks for is short enough.
    fn grants(&self, asked: Option<Duration>) -> bool {
        asked.is_none_or(|wait| wait <= self.longest_asked)
    }
}

/// After so many new bytes a broken link is taken up at once: it was not overloaded, it broke.
const PROGRESS: u64 = 256 << 10;
/// What came is none if it is less, in bytes: or a byte now and then would hold us for ever.
const LEAST: u64 = 4 << 10;

/// What has been tried in vain lately.
#[derive(Debug)]
pub(super) struct Patience {
    policy: RetryPolicy,
    waits: ExponentialBackoff,
    reached: u64,
}

impl Patience {
    /// Nothing has been tried in vain; `reached` bytes are through.
    pub(super) fn new(policy: RetryPolicy, reached: u64) -> Self {
        Self { policy, waits: waits(policy), reached }
    }

    /// How long to wait after `error`, by when `reached` bytes were through; none: give it up.
    pub(super) fn after(&mut self, error: &RegistryError, reached: u64) -> Option<Duration> {
        let fresh = reached.saturating_sub(self.reached);
        if fresh >= LEAST {
            self.reached = reached;
            self.waits = waits(self.policy);
        }
        let asked_for = error.retry_after();
        if !self.policy.grants(asked_for) {
            return None;
        }
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
        .with_max_times(policy.fruitless.saturating_sub(1))
        .with_jitter()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_moves_is_never_given_up_and_whoever_does_not_soon() {
        let policy = RetryPolicy { first_delay: Duration::from_secs(1), ..RetryPolicy::default() };
        let mut patience = Patience::new(policy, 0);
        let registry = "r.example:5000".parse().unwrap();
        let error = RegistryError::Timeout { registry, waited: Duration::ZERO };
        for round in 1..100 {
            assert!(patience.after(&error, round * LEAST).is_some());
        }
        let reached = 99 * LEAST + PROGRESS;
        assert_eq!(patience.after(&error, reached), Some(Duration::ZERO));
        let crumbs = |more: &u64| patience.after(&error, reached + more).is_some();
        assert_eq!((0..100).take_while(crumbs).count(), policy.fruitless - 1);
    }

    #[test]
    fn the_jitter_differs_each_time() {
        let waited = || waits(RetryPolicy::default()).collect::<Vec<_>>();
        assert_ne!(waited(), waited(), "a fleet would retry in step");
    }

    #[test]
    fn a_registry_that_asks_for_time_gets_it_within_bounds() {
        let mut patience = Patience::new(RetryPolicy::default(), 0);
        let place = (&"r.example:5000".parse::<crate::types::Registry>().unwrap()).into();
        let busy = |seconds| RegistryError::Refused {
            place: Clone::clone(&place),
            status: 429,
            code: None,
            message: String::new(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(patience.after(&busy(7), 0), Some(Duration::from_secs(7)));
        assert_eq!(patience.after(&busy(600), 0), Some(Duration::from_mins(10)));
        assert_eq!(patience.after(&busy(7000), 0), None);
    }
}
