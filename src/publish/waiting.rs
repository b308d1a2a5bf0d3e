//! Waiting for what takes time at a registry: rights that were just given, scans, quarantine, replicas.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::registry::client::RegistryError;

/// The pauses between questions; the last one is repeated.
const PAUSES: [Duration; 7] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(10),
    Duration::from_secs(20),
    Duration::from_secs(30),
];
/// How long a registry of several replicas may take to show what was pushed, also if no wait was asked for.
const REPLICAS: Duration = Duration::from_secs(10);

/// How long each step may wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting(pub(super) Duration);

impl Waiting {
    /// Repeats `attempt`, which is `step`, while its failure may pass with time. That it waits, and for what, is
    /// logged once.
    pub(super) async fn run<T, F>(
        self,
        step: &str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let begun = Instant::now();
        let mut is_logged = false;
        let mut attempts = 0;
        loop {
            let error = match attempt().await {
                Err(error) => error,
                done => return done,
            };
            let Some(pause) = self.pause(&error, begun.elapsed(), attempts) else {
                return Err(error);
            };
            if !is_logged && self.0 > REPLICAS {
                is_logged = true;
                let (cause, seconds) = (cause(&error), self.0.as_secs());
                tracing::warn!(event = "publish.waiting", step, %error, cause, seconds, "waiting for the registry");
            }
            sleep(pause).await;
            attempts += 1;
        }
    }

    /// How long to pause after `error`, when `waited` has gone by; none: no time mends it, or it is up.
    fn pause(self, error: &RegistryError, waited: Duration, attempts: usize) -> Option<Duration> {
        cause(error)?;
        let left = self.most(error).checked_sub(waited).filter(|left| !left.is_zero())?;
        let pause = PAUSES.get(attempts).or(PAUSES.last())?;
        Some(left.min(*pause))
    }

    fn most(self, error: &RegistryError) -> Duration {
        match error {
            RegistryError::NotFound { .. } => self.0.max(REPLICAS),
            _ => self.0,
        }
    }
}

/// What may pass with time, if this may.
fn cause(error: &RegistryError) -> Option<&'static str> {
    match error {
        RegistryError::NotFound { .. } => {
            Some("what was pushed is not shown yet: a scan or quarantine holds it, or replicas lag")
        }
        RegistryError::Denied { .. } | RegistryError::Unauthorized { user: Some(_), .. } => Some(
            "a right that was just given takes some minutes to arrive, and a scan or quarantine may hold the image",
        ),
        // So Harbor answers while an image is not scanned yet, and others while they hold it.
        RegistryError::Refused { status: 412 | 423, .. } => {
            Some("a scan or quarantine holds the image")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Registry;

    /// How long is waited for `error` in all, and how often is asked, if it never passes.
    fn waited(most: u64, error: &RegistryError) -> (u64, usize) {
        let (mut waited, mut attempts) = (Duration::ZERO, 0);
        while let Some(pause) = Waiting(Duration::from_secs(most)).pause(error, waited, attempts) {
            waited += pause;
            attempts += 1;
        }
        (waited.as_secs(), attempts)
    }

    #[test]
    fn what_takes_time_is_waited_for_as_long_as_was_asked_and_what_does_not_is_not() {
        let registry: Registry = "r.example".parse().unwrap();
        let denied = RegistryError::Denied { place: (&registry).into(), message: String::new() };
        let absent = RegistryError::NotFound {
            place: (&registry).into(),
            what: "manifest".to_owned(),
            message: String::new(),
        };
        let away = RegistryError::Timeout { registry, waited: REPLICAS };
        assert_eq!(waited(0, &denied), (0, 0));
        assert_eq!(waited(0, &absent).0, REPLICAS.as_secs());
        let (seconds, attempts) = waited(900, &denied);
        assert!(seconds == 900 && attempts < 50, "{seconds} {attempts}");
        assert_eq!(waited(900, &absent).0, 900);
        assert_eq!(waited(900, &away), (0, 0));
    }
}
