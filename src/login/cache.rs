//! Remembers successful logins, so that a client pays for an Argon2id hash once and not for each request.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use uuid::Uuid;

use super::throttle::NameKey;
use crate::{recent_map::RecentMap, types::Secret};

/// How long a login is remembered after its last use.
const KEPT_UNUSED: Duration = Duration::from_hours(24);
/// The most logins that are remembered, some 100 bytes each: a fleet of nodes, and some.
const MOST: usize = 150_000;

/// Keys that tell name, secret and stored hashes apart without holding any of them. They are made under
/// a random key of this process: what is remembered is of no use elsewhere.
#[derive(Debug)]
pub(super) struct Keys(hmac::Key);

/// A name with a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct LoginKey([u8; 32]);

/// The hashes that a login was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoredKey([u8; 32]);

impl Keys {
    /// Keys of a new process.
    pub(super) fn random() -> Self {
        // Two random UUIDs have 244 random bits.
        let seed = [Uuid::new_v4().into_bytes(), Uuid::new_v4().into_bytes()].concat();
        Self(hmac::Key::new(hmac::HMAC_SHA256, &seed))
    }

    pub(super) fn name(&self, name: &str) -> NameKey {
        let mac = self.mac("name", &[name]);
        let mut key = NameKey::default();
        key.copy_from_slice(&mac[..16]);
        key
    }

    pub(super) fn login(&self, name: &str, secret: &Secret) -> LoginKey {
        LoginKey(self.mac("login", &[name, secret.expose()]))
    }

    pub(super) fn stored(&self, hashes: &[&str]) -> StoredKey {
        StoredKey(self.mac("stored", hashes))
    }

    fn mac(&self, purpose: &str, parts: &[&str]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in [purpose].iter().chain(parts) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }
}

/// Successful logins by name and secret. Each is bound to the hashes that it was compared with: once a
/// stored hash has changed, the login counts for nothing and is dropped. A login is kept while it is used.
#[derive(Debug)]
pub(super) struct LoginCache(Mutex<RecentMap<LoginKey, Success>>);

#[derive(Debug, Clone, Copy)]
struct Success {
    stored: StoredKey,
    index: usize,
    used: Instant,
}

impl Default for LoginCache {
    fn default() -> Self {
        Self(Mutex::new(RecentMap::new(MOST)))
    }
}

impl LoginCache {
    /// Whether the login was successful lately, whatever is stored by now.
    pub(super) fn holds(&self, login: &LoginKey, now: Instant) -> bool {
        self.entries().peek(login).is_some_and(|it| it.is_fresh(now))
    }

    /// Which of the stored hashes the secret was found to fit, if none of them has changed since.
    pub(super) fn find(&self, login: &LoginKey, stored: StoredKey, now: Instant) -> Option<usize> {
        let mut entries = self.entries();
        let entry = entries.get(login)?;
        if entry.is_fresh(now) && entry.stored == stored {
            entry.used = now;
            return Some(entry.index);
        }
        entries.remove(login);
        None
    }

    /// Remembers that the secret fits the stored hash of this index.
    pub(super) fn insert(&self, login: LoginKey, stored: StoredKey, index: usize, now: Instant) {
        self.entries().insert(login, Success { stored, index, used: now });
    }

    /// Forgets a login that is refused by now.
    pub(super) fn remove(&self, login: &LoginKey) {
        self.entries().remove(login);
    }

    fn entries(&self) -> MutexGuard<'_, RecentMap<LoginKey, Success>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Success {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) < KEPT_UNUSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_is_kept_while_it_is_used_and_dropped_once_a_stored_hash_changes() {
        let (keys, cache) = (Keys::random(), LoginCache::default());
        let login = keys.login("acme/ann", &Secret::new("pw"));
        let (old, new) = (keys.stored(&["", "one"]), keys.stored(&["", "two"]));
        let mut now = Instant::now();
        cache.insert(login, old, 1, now);
        for _ in 0..10 {
            now += KEPT_UNUSED.mul_f32(0.9);
            assert_eq!(cache.find(&login, old, now), Some(1));
        }
        assert!(!cache.holds(&keys.login("acme/ann", &Secret::new("pX")), now));
        assert!(!cache.holds(&keys.login("acme/ann2", &Secret::new("pw")), now));
        assert_eq!(cache.find(&login, new, now), None);
        assert_eq!(cache.find(&login, old, now), None, "it was dropped");
        cache.insert(login, new, 1, now);
        assert_eq!(cache.find(&login, new, now + KEPT_UNUSED), None);
    }

    #[test]
    fn parts_of_a_key_cannot_be_moved_between_its_fields() {
        let keys = Keys::random();
        assert_ne!(keys.login("ab", &Secret::new("c")), keys.login("a", &Secret::new("bc")));
        assert_ne!(keys.stored(&["a", ""]), keys.stored(&["", "a"]));
    }
}
