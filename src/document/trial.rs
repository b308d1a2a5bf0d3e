//! What became of one version of a service on a node, and whether it has had its chances: the rules
//! of a priority, over failures and their times. Nothing here reads a clock.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::document::choice::Priority;

/// So many failures are remembered, whatever a priority asks for: they are kept in a file. A priority
/// with more retries has these.
const MOST_FAILURES: u64 = 1000;

/// What became of a version that has a priority.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Trial {
    /// When it failed, as far as that still counts.
    failures: Vec<Timestamp>,
    /// Whether it failed so often in so short a time that it is the next version's turn.
    used_up: bool,
    /// Whether it has run long enough to be kept for good.
    verified: bool,
    /// Since when it runs, if it does.
    #[serde(skip)]
    since: Option<Timestamp>,
}

impl Trial {
    /// It did not start, or ended: a failure that counts, unless it has proved itself before.
    pub fn fails(&mut self, priority: &Priority, now: Timestamp) {
        self.since = None;
        if self.verified || self.used_up || !priority.is_set() {
            return;
        }
        let window = seconds(priority.retry_durations);
        // A clock that was moved back leaves failures of the future; they are as good as now.
        self.failures.iter_mut().for_each(|it| *it = (*it).min(now));
        self.failures.retain(|it| now.duration_since(*it) <= window);
        self.failures.push(now);
        if self.failures.len() as u64 >= priority.retries.min(MOST_FAILURES) {
            self.used_up = true;
            self.failures.clear();
        }
    }

    /// It runs. Once it has for as long as it takes, its failures count no more.
    pub fn runs(&mut self, priority: &Priority, now: Timestamp) {
        let since = self.since.map_or(now, |it| it.min(now));
        self.since = Some(since);
        let enough = seconds(priority.verified_durations);
        if priority.is_set() && enough.is_positive() && now.duration_since(since) >= enough {
            self.verified = true;
            self.failures.clear();
        }
    }

    /// Whether it ran when it was last looked at.
    pub fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it is the next version's turn.
    pub fn is_used_up(&self) -> bool {
        self.used_up
    }

    /// Whether it is kept for good: what fails later is tried again, and never given up for another.
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// How many failures count at the moment.
    pub fn failures(&self) -> usize {
        self.failures.len()
    }
}

impl Priority {
    /// Whether there is one: a version that stands alone has none, and is never given up.
    pub fn is_set(&self) -> bool {
        self.priority_value > 0 && self.retries > 0
    }

    /// The longest wait between two tries with which all of them still fall into the time in which
    /// they count.
    pub fn longest_wait(&self) -> Option<SignedDuration> {
        let parts = self.retries.checked_add(1)?;
        self.is_set().then(|| seconds(self.retry_durations / parts))
    }
}

/// A number of seconds; what no clock could count is as long as can be.
fn seconds(count: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn priority(retries: u64, within: u64, verified: u64) -> Priority {
        Priority {
            priority_value: 1,
            retries,
            retry_durations: within,
            verified_durations: verified,
            ..Priority::default()
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    /// A version that fails at these seconds.
    fn failing(priority: &Priority, seconds: &[i64]) -> Trial {
        let mut trial = Trial::default();
        for second in seconds {
            trial.fails(priority, at(*second));
        }
        trial
    }

    #[test]
    fn a_version_is_used_up_by_so_many_failures_within_so_many_seconds() {
        let twice_a_minute = priority(2, 60, 0);
        assert!(!failing(&twice_a_minute, &[0]).is_used_up());
        assert!(failing(&twice_a_minute, &[0, 60]).is_used_up());
        assert!(!failing(&twice_a_minute, &[0, 61]).is_used_up());
        assert!(failing(&twice_a_minute, &[0, 61, 100]).is_used_up());
        assert!(failing(&priority(1, 1, 0), &[0]).is_used_up());
    }

    #[test]
    fn once_used_up_a_version_stays_so_while_time_passes() {
        let mut trial = failing(&priority(2, 60, 0), &[0, 1]);
        trial.fails(&priority(2, 60, 0), at(10_000));
        assert!(trial.is_used_up());
    }

    #[test]
    fn a_version_without_a_priority_is_never_used_up() {
        let none = Priority::default();
        assert!(!failing(&none, &[0, 1, 2, 3, 4, 5]).is_used_up());
        assert_eq!(none.longest_wait(), None);
    }

    #[test]
    fn a_version_that_has_run_long_enough_is_kept_whatever_happens_later() {
        let priority = priority(2, 60, 300);
        let mut trial = failing(&priority, &[0]);
        trial.runs(&priority, at(10));
        trial.runs(&priority, at(309));
        assert!(!trial.is_verified());
        trial.runs(&priority, at(310));
        assert!(trial.is_verified());
        for second in 311..400 {
            trial.fails(&priority, at(second));
        }
        assert!(!trial.is_used_up());
    }

    #[test]
    fn the_time_begins_anew_when_it_starts_again() {
        let priority = priority(3, 60, 300);
        let mut trial = Trial::default();
        trial.runs(&priority, at(0));
        trial.fails(&priority, at(200));
        trial.runs(&priority, at(210));
        trial.runs(&priority, at(400));
        assert!(!trial.is_verified());
        assert_eq!(trial.failures(), 1);
        trial.runs(&priority, at(510));
        assert!(trial.is_verified());
    }

    #[test]
    fn without_a_time_to_prove_itself_a_version_can_always_be_given_up() {
        let priority = priority(2, 60, 0);
        let mut trial = Trial::default();
        trial.runs(&priority, at(0));
        trial.runs(&priority, at(1_000_000));
        trial.fails(&priority, at(1_000_001));
        trial.fails(&priority, at(1_000_002));
        assert!(trial.is_used_up());
    }

    #[test]
    fn tries_are_close_enough_together_to_count() {
        assert_eq!(priority(2, 60, 0).longest_wait(), Some(SignedDuration::from_secs(20)));
        assert!(priority(u64::MAX, u64::MAX, u64::MAX).longest_wait().is_none());
    }

    #[test]
    fn no_priority_makes_it_remember_failures_without_end() {
        let endless = priority(u64::MAX, u64::MAX, 0);
        let mut trial = Trial::default();
        for second in 0..999 {
            trial.fails(&endless, at(second));
        }
        assert_eq!((trial.failures(), trial.is_used_up()), (999, false));
        trial.fails(&endless, at(999));
        assert_eq!((trial.failures(), trial.is_used_up()), (0, true));
    }

    proptest! {
        #[test]
        fn no_clock_makes_it_panic_and_enough_failures_at_once_use_it_up(
            times in proptest::collection::vec(any::<i32>(), 0..20),
            retries in 1u64..5, within in any::<u64>(), verified in any::<u64>(),
        ) {
            for verified in [0, verified] {
                let priority = priority(retries, within, verified);
                let mut trial = Trial::default();
                for time in &times {
                    trial.runs(&priority, at(i64::from(*time)));
                    trial.fails(&priority, at(i64::from(*time)));
                }
                let is_kept = trial.is_verified();
                prop_assert!(verified > 0 || !is_kept);
                for _ in 0..retries {
                    trial.fails(&priority, at(0));
                }
                prop_assert!(trial.is_used_up() || is_kept);
            }
        }
    }
}
