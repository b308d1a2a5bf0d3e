//! How much memory large bodies and large answers may hold at once, in all and for each caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::ApiError;

/// How long a request waits for its part of a budget before the answer is 503.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Callers without reservations are removed from the table when it has this many entries.
const IDLE_CALLERS: usize = 256;
/// The unit of a budget, in bytes.
const UNIT: usize = 1024;

/// An amount of memory that requests share. A caller has at most a share of it, so that one who reads
/// nothing leaves room for others.
#[derive(Debug)]
pub(super) struct Budget {
    whole: Arc<Semaphore>,
    share: u32,
    longest_wait: Duration,
    callers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A part of a budget; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Reservation {
    of_caller: OwnedSemaphorePermit,
    of_whole: OwnedSemaphorePermit,
}

impl Reservation {
    /// Gives back what is beyond `bytes`.
    pub(super) fn shrink_to(&mut self, bytes: usize) {
        let needed = units(bytes) as usize;
        for permit in [&mut self.of_caller, &mut self.of_whole] {
            drop(permit.split(permit.num_permits().saturating_sub(needed)));
        }
    }
}

impl Budget {
    /// A budget of `whole` bytes, of which one caller may have `share`.
    pub(super) fn new(whole: usize, share: usize) -> Self {
        Self {
            whole: Arc::new(Semaphore::new(whole.div_ceil(UNIT))),
            share: units(share),
            longest_wait: LONGEST_WAIT,
            callers: Mutex::default(),
        }
    }

    /// Reserves `bytes` for `caller`, and no more than the share of one caller.
    ///
    /// # Errors
    /// [`ApiError::Busy`] if others hold the budget for five more seconds.
    pub(super) async fn reserve(
        &self,
        caller: &str,
        bytes: usize,
    ) -> Result<Reservation, ApiError> {
        let wanted = units(bytes).min(self.share);
        let share = self.share_of(caller);
        let reserved = async {
            let of_caller = share.acquire_many_owned(wanted).await.ok()?;
            let of_whole = Arc::clone(&self.whole).acquire_many_owned(wanted).await.ok()?;
            Some(Reservation { of_caller, of_whole })
        };
        timeout(self.longest_wait, reserved).await.ok().flatten().ok_or(ApiError::Busy)
    }

    fn share_of(&self, caller: &str) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= IDLE_CALLERS {
            // Permits and waiting requests each hold a reference.
            callers.retain(|_, share| Arc::strong_count(share) > 1);
        }
        let share = || Arc::new(Semaphore::new(self.share as usize));
        Arc::clone(callers.entry(caller.to_owned()).or_insert_with(share))
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_caller_leaves_room_for_others() {
        let mut budget = Budget::new(4 * UNIT, 3 * UNIT);
        budget.longest_wait = Duration::from_millis(20);
        // More than a share is a share.
        let mut held = budget.reserve("a", 10 * UNIT).await.unwrap();
        assert!(matches!(budget.reserve("a", UNIT).await, Err(ApiError::Busy)));
        let other = budget.reserve("b", UNIT).await.unwrap();
        assert!(matches!(budget.reserve("c", UNIT).await, Err(ApiError::Busy)));
        held.shrink_to(2 * UNIT);
        budget.reserve("c", UNIT).await.unwrap();
        drop(held);
        budget.reserve("a", 3 * UNIT).await.unwrap();
        drop(other);
    }

    #[tokio::test]
    async fn callers_without_reservations_are_removed() {
        let budget = Budget::new(4 * UNIT, UNIT);
        let held = budget.reserve("held", UNIT).await.unwrap();
        for caller in 0..3 * IDLE_CALLERS {
            budget.reserve(&caller.to_string(), UNIT).await.unwrap();
        }
        let callers = budget.callers.lock().unwrap();
        assert!(callers.len() <= IDLE_CALLERS, "{}", callers.len());
        assert!(callers.contains_key("held"));
        drop((callers, held));
    }
}
