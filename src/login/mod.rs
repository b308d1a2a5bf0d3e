//! How a name and a secret are checked, by exchange and registry alike.
//!
//! A hash that makes guessing slow also makes a server slow, so every check goes through one
//! [`Authenticator`]:
//!
//! 1. A login that was successful lately is remembered under an HMAC, bound to the stored hash.
//! 2. A generated token is compared by SHA-256, which costs a microsecond.
//! 3. Everything else needs an Argon2id hash: [`LoginThrottle`] is asked first, then a queue that is fair
//!    between addresses grants a turn. A name that does not exist never gets there.
//!
//! A failed login is answered no sooner than the slowest hash of the last seconds, whether or not the
//! name exists, so that the time says nothing about names.

mod cache;
mod password;
mod queue;
mod throttle;

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use cache::{Keys, LoginCache, LoginKey, StoredKey};
pub use password::{HashError, Hasher, ParsePasswordError, PasswordHash};
use queue::{Full, HashQueue, Lane, Turn};
pub use throttle::LoginThrottle;
use throttle::{Cost, NameKey};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::types::{Secret, Subnet};

/// A failed login takes at least this long: longer than a hash on most machines.
const LEAST_DELAY: Duration = Duration::from_millis(100);
/// A failed login from an address whose budget is used up takes at least this long, which is what bounds
/// the requests of a connection.
const LIMITED_DELAY: Duration = Duration::from_secs(1);
/// Logins under way that are not remembered, from addresses with budget and from addresses without: a
/// flood of the latter leaves room for the former.
const PENDING: usize = 4096;
const PENDING_LIMITED: usize = 2048;
/// The shortest and the longest wait that a client is asked for; clients of ours wait as long.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(20);

/// Why a login is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The name does not exist, or the secret is wrong.
    #[error("the name or the secret is wrong")]
    Refused,
    /// Too many failed logins; whether this one is right was not looked at, or is not said.
    #[error("too many failed logins")]
    Throttled {
        /// When to try again.
        retry_after: Duration,
    },
    /// Too many logins wait for a hash.
    #[error("too many logins at once")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The process is ending.
    #[error("the process cannot check logins")]
    Unavailable,
}

/// Checks logins. Clones share everything; exchange and registry of a hub are given the same one.
#[derive(Debug, Clone)]
pub struct Authenticator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: Keys,
    cache: LoginCache,
    throttle: LoginThrottle,
    queue: HashQueue,
    hasher: Hasher,
    pending: Arc<Semaphore>,
    pending_limited: Arc<Semaphore>,
    slowest: Mutex<(Duration, Instant)>,
}

/// A login under way. It holds one of a bounded number of places, unless it is remembered.
#[derive(Debug)]
pub struct LoginAttempt {
    from: Subnet,
    name: NameKey,
    login: LoginKey,
    secret: Secret,
    arrived: Instant,
    place: Option<OwnedSemaphorePermit>,
}

impl Default for Authenticator {
    /// An authenticator that remembers nothing yet.
    fn default() -> Self {
        Self(Arc::new(Inner {
            keys: Keys::random(),
            cache: LoginCache::default(),
            throttle: LoginThrottle::default(),
            queue: HashQueue::default(),
            hasher: Hasher::default(),
            pending: Arc::new(Semaphore::new(PENDING)),
            pending_limited: Arc::new(Semaphore::new(PENDING_LIMITED)),
            slowest: Mutex::new((Duration::ZERO, Instant::now())),
        }))
    }
}

impl Authenticator {
    /// Begins a login of `name`, before anything is looked up for it.
    pub fn begin(
        &self,
        from: IpAddr,
        name: &str,
        secret: &Secret,
    ) -> Result<LoginAttempt, LoginError> {
        let (from, arrived) = (Subnet::of(from), Instant::now());
        let login = self.0.keys.login(name, secret);
        let is_remembered = self.0.cache.holds(&login, arrived);
        let place = if is_remembered { None } else { Some(self.0.place(from)?) };
        let (name, secret) = (self.0.keys.name(name), secret.clone());
        Ok(LoginAttempt { from, name, login, secret, arrived, place })
    }

    /// Finds the first of the `stored` hashes that the secret fits, as its index. Hashes that cannot be
    /// read fit nothing; without any, the name counts as one that does not exist.
    pub async fn verify(
        &self,
        mut attempt: LoginAttempt,
        stored: &[&str],
    ) -> Result<usize, LoginError> {
        let stored_key = self.0.keys.stored(stored);
        if let Some(index) = self.0.cache.find(&attempt.login, stored_key, attempt.arrived) {
            return Ok(index);
        }
        if attempt.place.is_none() {
            attempt.place = Some(self.0.place(attempt.from)?);
        }
        match self.0.compare(&attempt, stored, stored_key).await {
            Ok((Some(index), _)) => {
                self.0.remember(&attempt, stored_key, index);
                Ok(index)
            }
            Ok((None, cost)) => Err(self.0.fail(attempt, cost, LoginError::Refused).await),
            Err(error @ LoginError::Throttled { .. }) => {
                Err(self.0.fail(attempt, Cost::Lookup, error).await)
            }
            Err(error) => Err(error),
        }
    }

    /// Ends a login whose secret was found by a look-up, such as an API key. `stored` is what it was
    /// found by.
    pub fn accept(&self, attempt: &LoginAttempt, stored: &str) {
        self.0.remember(attempt, self.0.keys.stored(&[stored]), 0);
    }

    /// Ends a login whose secret was not found by a look-up.
    pub async fn refuse(&self, attempt: LoginAttempt) -> LoginError {
        self.0.fail(attempt, Cost::Lookup, LoginError::Refused).await
    }

    /// The hash to store of `secret`, which somebody who is logged in sets.
    pub async fn hash(&self, secret: &Secret) -> Result<PasswordHash, LoginError> {
        let turn = self.0.turn(Lane::Set, Subnet::of(IpAddr::from([0; 4]))).await?;
        let (hasher, secret) = (self.0.hasher.clone(), secret.clone());
        Ok(blocking(turn, move || hasher.hash(&secret)).await??)
    }

    /// Whether `secret` is what was hashed: for a start of a server, which nobody waits for.
    pub async fn is_hash_of(&self, secret: &Secret, stored: &str) -> Result<bool, LoginError> {
        let Ok(hash) = stored.parse::<PasswordHash>() else { return Ok(false) };
        let turn = self.0.turn(Lane::Set, Subnet::of(IpAddr::from([0; 4]))).await?;
        let (hasher, secret) = (self.0.hasher.clone(), secret.clone());
        blocking(turn, move || hasher.verify(&secret, &hash)).await
    }
}

impl Inner {
    /// One of the bounded number of logins under way.
    fn place(&self, from: Subnet) -> Result<OwnedSemaphorePermit, LoginError> {
        let is_limited = self.throttle.is_limited(from, Instant::now());
        let places = if is_limited { &self.pending_limited } else { &self.pending };
        let place = Arc::clone(places).try_acquire_owned();
        place.map_err(|_| {
            if is_limited {
                LoginError::Throttled { retry_after: spread(LIMITED_DELAY) }
            } else {
                busy(Full { waiting: 0 })
            }
        })
    }

    async fn compare(
        &self,
        attempt: &LoginAttempt,
        stored: &[&str],
        stored_key: StoredKey,
    ) -> Result<(Option<usize>, Cost), LoginError> {
        let mut cost = Cost::Lookup;
        let hashes = stored.iter().enumerate();
        let hashes = hashes.filter_map(|(at, it)| Some((at, it.parse::<PasswordHash>().ok()?)));
        let mut exists = false;
        for (index, hash) in hashes {
            exists = true;
            match hash.verify_token(&attempt.secret) {
                Some(true) => return Ok((Some(index), cost)),
                Some(false) => continue,
                None => cost = Cost::Hash,
            }
            match self.compare_slowly(attempt, hash, stored_key).await? {
                Compared::Before(index) => return Ok((Some(index), cost)),
                Compared::Now(true) => return Ok((Some(index), cost)),
                Compared::Now(false) => (),
            }
        }
        if !exists && self.queue.is_full(Lane::First, attempt.from) {
            // A name that exists would not be looked at now either.
            return Err(busy(Full { waiting: 0 }));
        }
        Ok((None, cost))
    }

    /// Compares by an Argon2id hash, if the budgets allow it, once it is this request's turn.
    async fn compare_slowly(
        &self,
        attempt: &LoginAttempt,
        hash: PasswordHash,
        stored: StoredKey,
    ) -> Result<Compared, LoginError> {
        self.check_budgets(attempt)?;
        let is_known = self.throttle.is_known(attempt.from, attempt.name, Instant::now());
        let lane = if is_known { Lane::Known } else { Lane::First };
        let turn = self.turn(lane, attempt.from).await?;
        // What others have found out while this request waited needs no hash of its own.
        if let Some(index) = self.cache.find(&attempt.login, stored, Instant::now()) {
            return Ok(Compared::Before(index));
        }
        self.check_budgets(attempt)?;
        let (hasher, secret) = (self.hasher.clone(), attempt.secret.clone());
        let fits = blocking(turn, move || hasher.verify(&secret, &hash)).await?;
        self.note_duration(attempt.arrived.elapsed());
        Ok(Compared::Now(fits))
    }

    fn check_budgets(&self, attempt: &LoginAttempt) -> Result<(), LoginError> {
        match self.throttle.wait(attempt.from, attempt.name, Instant::now()) {
            Some(wait) => Err(LoginError::Throttled { retry_after: spread(wait) }),
            None => Ok(()),
        }
    }

    async fn turn(&self, lane: Lane, from: Subnet) -> Result<Turn, LoginError> {
        self.queue.turn(lane, from).await.map_err(busy)
    }

    fn remember(&self, attempt: &LoginAttempt, stored: StoredKey, index: usize) {
        let now = Instant::now();
        self.cache.insert(attempt.login, stored, index, now);
        self.throttle.record_success(attempt.from, attempt.name, now);
    }

    /// Records a failed login and holds its answer back. Whether the answer is `error` or a throttled
    /// one depends on earlier failures alone, not on whether the name exists.
    async fn fail(&self, attempt: LoginAttempt, cost: Cost, error: LoginError) -> LoginError {
        let now = Instant::now();
        self.cache.remove(&attempt.login);
        let wait = self.throttle.record_failure(attempt.from, attempt.name, cost, now);
        let least =
            if self.throttle.is_limited(attempt.from, now) { LIMITED_DELAY } else { LEAST_DELAY };
        let answer_at = attempt.arrived + least.max(self.slowest());
        tokio::time::sleep_until(answer_at.into()).await;
        match (error, wait) {
            (LoginError::Refused, Some(wait)) => {
                LoginError::Throttled { retry_after: spread(wait) }
            }
            (error, _) => error,
        }
    }

    /// Notes how long a request took to its hash. What is noted halves every five seconds.
    fn note_duration(&self, took: Duration) {
        let slowest = self.slowest().max(took);
        let mut noted = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = (slowest.min(queue::LONGEST_WAIT), Instant::now());
    }

    /// The slowest of the last requests.
    fn slowest(&self) -> Duration {
        let (slowest, at) = *self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        let halvings = at.elapsed().as_secs() / 5;
        slowest / (1 << halvings.min(16))
    }
}

/// What a comparison found.
enum Compared {
    /// The hash of this index fits, as another request has found meanwhile.
    Before(usize),
    /// Whether the hash fits.
    Now(bool),
}

/// Runs `work` on a thread that may block. The turn goes with it: a client that leaves does not make
/// room for another hash.
async fn blocking<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LoginError> {
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    done.await.map_err(|_| LoginError::Unavailable)
}

/// The error of a full queue: a client comes back when what waits now is through.
fn busy(Full { waiting }: Full) -> LoginError {
    let hashes = u32::try_from(waiting).unwrap_or(u32::MAX);
    let rest = Duration::from_millis(20).saturating_mul(hashes);
    LoginError::Busy { retry_after: spread(rest.max(queue::LONGEST_WAIT)) }
}

/// A wait to ask a client for, in whole seconds: `wait` and up to as much again, so that those who are
/// refused together do not come back together.
fn spread(wait: Duration) -> Duration {
    let wait = wait.clamp(SHORTEST_RETRY, LONGEST_RETRY / 2);
    let random = getrandom::u32().unwrap_or_default() >> 16;
    let seconds = (wait + (wait + SHORTEST_RETRY) * random / 0xffff).as_secs_f64().ceil();
    Duration::from_secs_f64(seconds).min(LONGEST_RETRY)
}

#[cfg(test)]
mod tests;
