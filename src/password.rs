//! Passwords at rest: Argon2id (RFC 9106) in the PHC string format, computed in turn.
//!
//! A hash takes a core and 19 MiB for some 30 ms. So that logins can take neither the machine nor its
//! memory, a few are computed at a time, each in memory that is taken once and used again.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self,
        phc::{self, Output, ParamsString, Salt},
    },
};
use tokio::sync::Semaphore;

use crate::types::Secret;

/// A hash that would take more memory than this was not made by us (KiB).
const MOST_MEMORY: u32 = 64 * 1024;

/// What is kept of a password: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
#[derive(Clone)]
pub struct PasswordHash(Box<phc::PasswordHash>);

/// A text that is no Argon2 hash in PHC form.
#[derive(Debug, thiserror::Error)]
#[error("the password hash cannot be read: expected $argon2id$…")]
pub struct ParsePasswordError;

impl FromStr for PasswordHash {
    type Err = ParsePasswordError;

    fn from_str(text: &str) -> Result<Self, ParsePasswordError> {
        let hash = phc::PasswordHash::new(text).map_err(|_| ParsePasswordError)?;
        let params = Params::try_from(&hash).map_err(|_| ParsePasswordError)?;
        let is_ours = params.m_cost() <= MOST_MEMORY && hash.salt.is_some() && hash.hash.is_some();
        if is_ours { Ok(Self(Box::new(hash))) } else { Err(ParsePasswordError) }
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Why no hash was computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// More are waiting than can be answered within some seconds.
    #[error("too many passwords are being checked at once")]
    Busy,
    /// The machine gave no random bytes or no memory, or the password is of no use.
    #[error("the password could not be hashed")]
    Failed(#[from] password_hash::Error),
    /// The process is ending.
    #[error("the process is ending")]
    Ending,
}

/// Computes hashes, a few at a time.
#[derive(Debug, Clone)]
pub struct Hasher {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Hasher {
    /// Computes `at_once` hashes at a time while `waiting` others wait.
    pub fn new(at_once: usize, waiting: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(at_once)),
            queue: Arc::new(Semaphore::new(at_once + waiting)),
            memory: Arc::default(),
        }
    }

    /// The hash under which to keep `secret`.
    pub async fn hash(&self, secret: &Secret) -> Result<PasswordHash, HashError> {
        let (secret, hasher) = (secret.clone(), self.clone());
        self.in_turn(move || hasher.hash_now(&secret)).await?
    }

    /// Whether `secret` is what was hashed.
    pub async fn verify(&self, secret: &Secret, hash: &PasswordHash) -> Result<bool, HashError> {
        let (secret, hash, hasher) = (secret.clone(), hash.clone(), self.clone());
        self.in_turn(move || hasher.verify_now(&secret, &hash)).await
    }

    /// The hash under which to keep `secret`, on this thread.
    pub fn hash_now(&self, secret: &Secret) -> Result<PasswordHash, HashError> {
        let params = Params::DEFAULT;
        let salt = Salt::generate();
        let output = self.compute(secret, &salt, &params, Params::DEFAULT_OUTPUT_LEN)?;
        Ok(PasswordHash(Box::new(phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(salt),
            hash: Some(output),
        })))
    }

    fn verify_now(&self, secret: &Secret, hash: &PasswordHash) -> bool {
        let (Some(salt), Some(expected)) = (&hash.0.salt, &hash.0.hash) else { return false };
        let is_ours = hash.0.algorithm == Algorithm::Argon2id.ident()
            && hash.0.version == Some(Version::V0x13.into());
        let params = Params::try_from(&*hash.0).ok().filter(|_| is_ours);
        params.is_some_and(|params| {
            // Outputs are compared in constant time.
            self.compute(secret, salt, &params, expected.len()).is_ok_and(|it| it == *expected)
        })
    }

    fn compute(
        &self,
        secret: &Secret,
        salt: &Salt,
        params: &Params,
        length: usize,
    ) -> Result<Output, password_hash::Error> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        let mut memory = self.memory().pop().unwrap_or_default();
        memory.resize_with(params.block_count(), Block::default);
        let mut output = vec![0; length];
        let password = secret.expose().as_bytes();
        let done = argon2.hash_password_into_with_memory(
            password,
            salt.as_ref(),
            &mut output,
            &mut memory[..],
        );
        self.memory().push(memory);
        done?;
        Ok(Output::new(&output)?)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Vec<Vec<Block>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let _queued = self.queue.try_acquire().map_err(|_| HashError::Busy)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| HashError::Ending)?;
        // The turn goes with the work: a client that leaves does not make room for another hash.
        let done = tokio::task::spawn_blocking(move || (work(), turn)).await;
        Ok(done.map_err(|_| HashError::Ending)?.0)
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash() {
        let hasher = Hasher::new(1, 8);
        let hash = hasher.hash(&Secret::new("s3cret")).await.unwrap();
        let read: PasswordHash = hash.to_string().parse().unwrap();
        assert!(hasher.verify(&Secret::new("s3cret"), &read).await.unwrap());
        assert!(!hasher.verify(&Secret::new("s3cre"), &read).await.unwrap());
        assert!(Argon2::default().verify_password(b"s3cret", &*read.0).is_ok());
    }

    #[tokio::test]
    async fn what_the_library_made_is_known_too() {
        let made: phc::PasswordHash = Argon2::default().hash_password(b"s3cret").unwrap();
        let hash: PasswordHash = made.to_string().parse().unwrap();
        assert!(Hasher::new(1, 0).verify(&Secret::new("s3cret"), &hash).await.unwrap());
    }

    #[tokio::test]
    async fn its_memory_is_used_again() {
        let hasher = Hasher::new(2, 8);
        let secret = Secret::new("s3cret");
        let all: Vec<_> = (0..4).map(|_| hasher.hash(&secret)).collect();
        for done in futures_util::future::join_all(all).await {
            done.unwrap();
        }
        assert!(hasher.memory().len() <= 2);
    }

    #[tokio::test]
    async fn too_many_at_once_are_told_to_come_back() {
        let hasher = Hasher::new(1, 1);
        let secret = Secret::new("s3cret");
        let all: Vec<_> = (0..3).map(|_| hasher.hash(&secret)).collect();
        let done = futures_util::future::join_all(all).await;
        assert_eq!(done.iter().filter(|it| matches!(it, Err(HashError::Busy))).count(), 1);
    }

    #[test]
    fn what_is_no_hash_of_ours_is_refused() {
        let huge = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";
        for text in ["hunter2", "", huge] {
            assert!(text.parse::<PasswordHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_hash_does_not_show_itself() {
        let hash = Hasher::new(1, 0).hash_now(&Secret::new("s3cret")).unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }
}
