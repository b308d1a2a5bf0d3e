//! Compares secrets with their hashes, without letting that take the machine over.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::{constant_time, hmac, rand::SystemRandom};

use super::ApiError;
use crate::{
    password::{HashError, Hasher, PasswordHash},
    types::Secret,
};

/// Hashes computed at once.
const AT_ONCE: usize = 2;
/// Requests that may wait for a hash; more are told to come back.
const WAITING: usize = 512;
/// How long a secret that was right stays known.
const REMEMBERED: Duration = Duration::from_mins(5);
/// The most secrets remembered: a fleet of nodes, and some.
const MOST: usize = 150_000;

/// Compares secrets with their Argon2id hashes, and remembers which were right.
///
/// What is remembered binds the name, the secret and the very hash it was compared with, so a
/// changed password is never taken for the old one; nothing has to be told to forget.
#[derive(Debug)]
pub(crate) struct Passwords {
    key: hmac::Key,
    right: Mutex<HashMap<String, Right>>,
    hasher: Hasher,
    nobody: PasswordHash,
}

/// A secret that was right.
#[derive(Debug)]
struct Right {
    mac: [u8; 32],
    until: Instant,
}

impl Passwords {
    /// Begins with nothing remembered.
    pub(crate) fn new() -> Result<Self, ApiError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let hasher = Hasher::new(AT_ONCE, WAITING);
        let nobody = hasher.hash_now(&Secret::new("nobody")).map_err(unhashed)?;
        let key = key.map_err(|_| ApiError::internal("no random numbers"))?;
        Ok(Self { key, right: Mutex::default(), hasher, nobody })
    }

    /// The hash under which to keep `secret`.
    pub(crate) async fn hash(&self, secret: &Secret) -> Result<String, ApiError> {
        self.hasher.hash(secret).await.map(|it| it.to_string()).map_err(unhashed)
    }

    /// Whether `secret` is what was hashed. `name` is whose it is: `org/id`. An empty hash
    /// admits nobody, and takes as long as any other.
    pub(crate) async fn is_right(
        &self,
        name: &str,
        secret: &Secret,
        hash: &str,
    ) -> Result<bool, ApiError> {
        if self.remembers(name, secret, hash) {
            return Ok(true);
        }
        let remembered = self.mac(name, secret, hash);
        // What cannot be read is nobody's, as an empty hash is.
        let known = hash.parse::<PasswordHash>().ok();
        let right = self.hasher.verify(secret, known.as_ref().unwrap_or(&self.nobody)).await;
        let right = right.map_err(unhashed)? && known.is_some();
        if right {
            self.remember(name, remembered);
        }
        Ok(right)
    }

    fn mac(&self, name: &str, secret: &Secret, hash: &str) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [name, secret.expose(), hash] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        mac
    }

    /// Whether this secret was right lately.
    pub(crate) fn remembers(&self, name: &str, secret: &Secret, hash: &str) -> bool {
        let mac = self.mac(name, secret, hash);
        let right = self.right();
        right.get(name).is_some_and(|it| {
            it.until > Instant::now()
                && constant_time::verify_slices_are_equal(&it.mac, &mac).is_ok()
        })
    }

    fn remember(&self, name: &str, mac: [u8; 32]) {
        let now = Instant::now();
        let mut right = self.right();
        if right.len() >= MOST {
            right.retain(|_, it| it.until > now);
        }
        if right.len() < MOST {
            right.insert(name.to_owned(), Right { mac, until: now + REMEMBERED });
        }
    }

    fn right(&self) -> MutexGuard<'_, HashMap<String, Right>> {
        self.right.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unhashed(error: HashError) -> ApiError {
    match error {
        HashError::Busy => ApiError::Busy,
        error => ApiError::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_changed_password_is_not_taken_for_the_remembered_one() {
        let passwords = Passwords::new().unwrap();
        let (old, new) = (Secret::new("old"), Secret::new("new"));
        let (old_hash, new_hash) =
            (passwords.hash(&old).await.unwrap(), passwords.hash(&new).await.unwrap());
        assert!(passwords.is_right("acme/ann", &old, &old_hash).await.unwrap());
        assert!(passwords.is_right("acme/ann", &old, &old_hash).await.unwrap());
        assert!(!passwords.is_right("acme/ann", &old, &new_hash).await.unwrap());
        assert!(!passwords.is_right("acme/ann", &new, &old_hash).await.unwrap());
    }

    #[tokio::test]
    async fn an_empty_hash_admits_nobody() {
        let passwords = Passwords::new().unwrap();
        for secret in ["", "nobody"] {
            assert!(!passwords.is_right("acme/ann", &Secret::new(secret), "").await.unwrap());
        }
    }
}
