//! Counts wrong secrets, so that guessing is slow.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Wrong secrets for one name from one address before more are looked at: a person mistypes less
/// often, and an agent with an old token has stopped by then.
const ALLOWED: u32 = 20;
/// For how long they count.
const WINDOW: Duration = Duration::from_mins(1);
/// The most names and addresses that are counted at once.
const MOST: usize = 20_000;

/// Wrong secrets by address and name. Others' guesses keep the rightful owner out only if they come
/// from its own address and it was not let in lately.
#[derive(Debug, Default)]
pub(crate) struct Guesses(Mutex<HashMap<(IpAddr, String), Count>>);

/// Wrong secrets since a moment.
#[derive(Debug, Clone, Copy)]
struct Count {
    wrong: u32,
    since: Instant,
}

impl Guesses {
    /// Whether there were too many for now.
    pub(crate) fn are_too_many(&self, from: IpAddr, name: &str) -> bool {
        let counts = self.counts();
        counts
            .get(&(from, name.to_owned()))
            .is_some_and(|it| it.wrong >= ALLOWED && it.since.elapsed() < WINDOW)
    }

    /// Counts a wrong one.
    pub(crate) fn count(&self, from: IpAddr, name: &str) {
        let mut counts = self.counts();
        if counts.len() >= MOST {
            counts.retain(|_, it| it.since.elapsed() < WINDOW);
        }
        if counts.len() >= MOST {
            return;
        }
        let fresh = Count { wrong: 0, since: Instant::now() };
        let count = counts.entry((from, name.to_owned())).or_insert(fresh);
        if count.since.elapsed() >= WINDOW {
            *count = fresh;
        }
        count.wrong += 1;
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<(IpAddr, String), Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_wrong_ones_count_for_that_name_and_address_alone() {
        let (guesses, here) = (Guesses::default(), IpAddr::from([10, 0, 0, 1]));
        for _ in 0..ALLOWED {
            assert!(!guesses.are_too_many(here, "A/u1"));
            guesses.count(here, "A/u1");
        }
        assert!(guesses.are_too_many(here, "A/u1"));
        assert!(!guesses.are_too_many(here, "A/u2"));
        assert!(!guesses.are_too_many(IpAddr::from([10, 0, 0, 2]), "A/u1"));
    }
}
