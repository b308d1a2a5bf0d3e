//! Trying again, with patience, what may well succeed in a moment.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};

use super::RegistryError;

/// How often and how patiently a request is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often it is tried in all.
    pub tries: usize,
    /// How long to wait before the second try; doubled for each further one, with jitter.
    pub first_delay: Duration,
    /// The longest wait, also when the registry asks for a longer one.
    pub longest_delay: Duration,
}

impl Default for RetryPolicy {
    /// Four tries in some ten seconds, or as the registry asks by `Retry-After` within a minute.
    fn default() -> Self {
        Self {
            tries: 4,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_mins(1),
        }
    }
}

impl RetryPolicy {
    /// Every request is sent once.
    pub fn once() -> Self {
        Self { tries: 1, ..Self::default() }
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
        may_pass: impl FnMut(&RegistryError) -> bool,
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
            .when(may_pass)
            .adjust(|error: &RegistryError, delay| {
                let asked_for = error.retry_after().map(|wait| wait.min(self.longest_delay));
                delay.map(|delay| asked_for.unwrap_or(delay))
            })
            .notify(|error, delay| {
                tracing::info!(%error, delay_ms = delay.as_millis(), "trying again");
            })
            .await
    }
}
