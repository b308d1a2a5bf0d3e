//! Limits failed logins: per address, per name, and per name from one address.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{recent_map::RecentMap, types::Subnet};

/// The most addresses, names, and pairs of both, that are remembered. An entry has some 100 bytes.
const MOST: usize = 32_768;
/// The most pairs of name and address that are remembered for a successful login: a fleet of nodes.
const MOST_KNOWN: usize = 131_072;
/// For how long a successful login makes a name known from its address.
const KNOWN_FOR: Duration = Duration::from_hours(24 * 7);

/// Failures of one address, whatever the names: 120 at once, then one a second.
const PER_ADDRESS: Budget = Budget { burst: 120, period: Duration::from_secs(1) };
/// Failures of one address that cost a hash, which are guesses at names that exist.
const HASHES_PER_ADDRESS: Budget = Budget { burst: 60, period: Duration::from_secs(1) };
/// Failures for one name from everywhere.
const PER_NAME: Budget = Budget { burst: 200, period: Duration::from_secs(1) };
/// Failures for one name from one address: a person mistypes less often.
const PER_PAIR: Budget = Budget { burst: 20, period: Duration::from_secs(3) };

/// A name, hashed under a key of this process: all entries have one size.
pub(super) type NameKey = [u8; 16];

/// So many failures at once, and another one after each period.
#[derive(Debug, Clone, Copy)]
struct Budget {
    burst: u32,
    period: Duration,
}

impl Budget {
    /// The wait until another attempt is allowed; none if it is allowed now. `paid_until` is when
    /// all failures so far are forgotten.
    fn wait(self, paid_until: Option<Instant>, now: Instant) -> Option<Duration> {
        let owed = paid_until?.saturating_duration_since(now);
        let wait = owed.saturating_sub(self.period * (self.burst - 1));
        (!wait.is_zero()).then_some(wait)
    }

    /// Until when the failures are remembered after one more. The burst is the most that is owed.
    fn spend(self, paid_until: Option<Instant>, now: Instant) -> Instant {
        let owed = paid_until.unwrap_or(now).saturating_duration_since(now) + self.period;
        now + owed.min(self.period * self.burst)
    }
}

/// What a failed login has cost the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// A look-up, or a fast hash.
    Lookup,
    /// An Argon2id hash.
    Hash,
}

/// Budgets of failed logins. All tables are bounded, and an entry that was used longest ago makes
/// room: a flood of names cannot switch the limits off, since its own address runs out of budget first.
#[derive(Debug)]
pub struct LoginThrottle(Mutex<Tables>);

#[derive(Debug)]
struct Tables {
    addresses: RecentMap<Subnet, Instant>,
    hashes: RecentMap<Subnet, Instant>,
    names: RecentMap<NameKey, Instant>,
    pairs: RecentMap<(Subnet, NameKey), Instant>,
    known: RecentMap<(Subnet, NameKey), Instant>,
}

impl Default for LoginThrottle {
    fn default() -> Self {
        Self(Mutex::new(Tables {
            addresses: RecentMap::new(MOST),
            hashes: RecentMap::new(MOST),
            names: RecentMap::new(MOST),
            pairs: RecentMap::new(MOST),
            known: RecentMap::new(MOST_KNOWN),
        }))
    }
}

impl LoginThrottle {
    /// Whether the name logged in from the subnet within the last days.
    pub(super) fn is_known(&self, from: Subnet, name: NameKey, now: Instant) -> bool {
        self.tables().is_known(from, name, now)
    }

    /// Whether the address has used up one of its budgets.
    pub(super) fn is_limited(&self, from: Subnet, now: Instant) -> bool {
        self.tables().address_wait(from, now).is_some()
    }

    /// The wait until a hash may be computed for this name and subnet; none if it may be now. A name
    /// that is known from its address depends on no failures of others.
    pub(super) fn wait(&self, from: Subnet, name: NameKey, now: Instant) -> Option<Duration> {
        let tables = self.tables();
        let hashes = HASHES_PER_ADDRESS.wait(tables.hashes.peek(&from).copied(), now);
        let hashes = hashes.filter(|_| !tables.is_known(from, name, now));
        tables.name_wait(from, name, now).max(hashes)
    }

    /// Records a failed login. The result is the wait to ask for, if a budget was used up before;
    /// it is the same for names that exist and for names that do not.
    pub(super) fn record_failure(
        &self,
        from: Subnet,
        name: NameKey,
        cost: Cost,
        now: Instant,
    ) -> Option<Duration> {
        let mut tables = self.tables();
        let wait = tables.name_wait(from, name, now).max(tables.address_wait(from, now));
        spend(PER_ADDRESS, &mut tables.addresses, from, now);
        if cost == Cost::Hash {
            spend(HASHES_PER_ADDRESS, &mut tables.hashes, from, now);
        }
        // Names that are thrown at the server by an address without budget do not fill the tables.
        if wait.is_none() {
            spend(PER_NAME, &mut tables.names, name, now);
            spend(PER_PAIR, &mut tables.pairs, (from, name), now);
        }
        wait
    }

    /// Records a successful login.
    pub(super) fn record_success(&self, from: Subnet, name: NameKey, now: Instant) {
        self.tables().known.insert((from, name), now);
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn is_known(&self, from: Subnet, name: NameKey, now: Instant) -> bool {
        let last = self.known.peek(&(from, name));
        last.is_some_and(|it| now.saturating_duration_since(*it) < KNOWN_FOR)
    }

    fn address_wait(&self, from: Subnet, now: Instant) -> Option<Duration> {
        let all = PER_ADDRESS.wait(self.addresses.peek(&from).copied(), now);
        all.max(HASHES_PER_ADDRESS.wait(self.hashes.peek(&from).copied(), now))
    }

    fn name_wait(&self, from: Subnet, name: NameKey, now: Instant) -> Option<Duration> {
        let pair = PER_PAIR.wait(self.pairs.peek(&(from, name)).copied(), now);
        if self.is_known(from, name, now) {
            return pair;
        }
        pair.max(PER_NAME.wait(self.names.peek(&name).copied(), now))
    }
}

fn spend<K: Copy + Eq + std::hash::Hash>(
    budget: Budget,
    table: &mut RecentMap<K, Instant>,
    key: K,
    now: Instant,
) {
    let paid_until = budget.spend(table.peek(&key).copied(), now);
    table.insert(key, paid_until);
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn subnet(text: &str) -> Subnet {
        Subnet::of(text.parse().unwrap())
    }

    fn name(number: u32) -> NameKey {
        let mut name = [0; 16];
        name[..4].copy_from_slice(&number.to_be_bytes());
        name
    }

    #[test]
    fn twenty_failures_for_a_name_from_one_address_are_answered_and_no_more() {
        let (throttle, here, now) = (LoginThrottle::default(), subnet("10.0.0.1"), Instant::now());
        for _ in 0..PER_PAIR.burst {
            assert!(throttle.wait(here, name(1), now).is_none());
            assert!(throttle.record_failure(here, name(1), Cost::Hash, now).is_none());
        }
        let wait = throttle.wait(here, name(1), now).unwrap();
        assert!(wait <= PER_PAIR.period, "{wait:?}");
        assert!(throttle.record_failure(here, name(1), Cost::Lookup, now).is_some());
        assert!(throttle.wait(here, name(2), now).is_none());
        assert!(throttle.wait(subnet("10.0.0.2"), name(1), now).is_none());
        assert!(throttle.wait(here, name(1), now + wait).is_none());
    }

    #[test]
    fn one_address_with_many_names_runs_out_of_hashes_and_others_do_not() {
        let (throttle, here, now) = (LoginThrottle::default(), subnet("10.0.0.1"), Instant::now());
        throttle.record_success(here, name(9_999), now);
        for number in 0..HASHES_PER_ADDRESS.burst {
            assert!(throttle.wait(here, name(number), now).is_none());
            throttle.record_failure(here, name(number), Cost::Hash, now);
        }
        assert!(throttle.wait(here, name(5_000), now).is_some());
        assert!(throttle.is_limited(here, now));
        // Names that exist and names that do not are answered alike.
        assert!(throttle.record_failure(here, name(5_001), Cost::Lookup, now).is_some());
        assert!(throttle.wait(here, name(9_999), now).is_none(), "it is known from there");
        assert!(throttle.wait(subnet("10.0.0.2"), name(5_000), now).is_none());
    }

    #[test]
    fn many_addresses_at_one_name_leave_known_addresses_in() {
        let (throttle, now) = (LoginThrottle::default(), Instant::now());
        let home = subnet("10.1.0.1");
        throttle.record_success(home, name(1), now);
        for number in 0..PER_NAME.burst {
            let from = Subnet::of(IpAddr::from(number.to_be_bytes()));
            throttle.record_failure(from, name(1), Cost::Hash, now);
        }
        assert!(throttle.wait(subnet("10.0.0.7"), name(1), now).is_some());
        assert!(throttle.wait(home, name(1), now).is_none());
    }

    #[test]
    fn flood_of_names_neither_grows_the_tables_nor_switches_the_limit_off() {
        let (throttle, here, now) = (LoginThrottle::default(), subnet("10.0.0.1"), Instant::now());
        for number in 0..21_000 {
            throttle.record_failure(here, name(number), Cost::Lookup, now);
        }
        let tables = throttle.tables();
        assert_eq!(tables.addresses.len(), 1);
        assert_eq!(tables.pairs.len(), PER_ADDRESS.burst as usize);
        drop(tables);
        assert!(throttle.is_limited(here, now));
        for number in 0..2 * u32::try_from(MOST).unwrap() {
            let from = Subnet::of(IpAddr::from((u128::from(number) << 64).to_be_bytes()));
            throttle.record_failure(from, name(number), Cost::Lookup, now);
        }
        let tables = throttle.tables();
        assert!(tables.pairs.len() <= MOST && tables.names.len() <= MOST);
        assert!(tables.addresses.len() <= MOST);
    }

    #[test]
    fn budget_comes_back_with_time_and_owes_no_more_than_its_burst() {
        let (throttle, here, now) = (LoginThrottle::default(), subnet("10.0.0.1"), Instant::now());
        for number in 0..100_000 {
            throttle.record_failure(here, name(number), Cost::Lookup, now);
        }
        assert!(throttle.is_limited(here, now));
        assert!(!throttle.is_limited(here, now + PER_ADDRESS.period));
        let later = now + PER_ADDRESS.period * PER_ADDRESS.burst;
        for number in 0..PER_ADDRESS.burst {
            let refused = throttle.record_failure(here, name(number), Cost::Lookup, later);
            assert!(refused.is_none(), "{number}");
        }
    }
}
