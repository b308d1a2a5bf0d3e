//! Secrets at rest: Argon2id (RFC 9106) in the PHC string format for passwords, SHA-256 for generated tokens.
//!
//! An Argon2id hash takes a core and 19 MiB for some 30 ms, which is what makes guessing of chosen
//! passwords slow. A [`GeneratedToken`] has 256 random bits: nothing guesses it, so a SHA-256 is enough.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self,
        phc::{self, Output, ParamsString, Salt},
    },
};
use subtle::ConstantTimeEq as _;

use crate::types::{GeneratedToken, Secret};

/// A hash that would take more memory than this was not made by us (KiB).
const MOST_MEMORY: u32 = 64 * 1024;
/// The prefix of the SHA-256 of a generated token.
const TOKEN: &str = "sha256$";

/// What is stored of a secret: `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, or `sha256$` and 64
/// hexadecimal digits for a generated token.
#[derive(Clone)]
pub struct PasswordHash(Stored);

#[derive(Clone)]
enum Stored {
    Argon2(Box<phc::PasswordHash>),
    Token([u8; 32]),
}

/// A text that is no hash of a secret.
#[derive(Debug, thiserror::Error)]
#[error("the password hash cannot be read: expected $argon2id$… or sha256$…")]
pub struct ParsePasswordError;

impl FromStr for PasswordHash {
    type Err = ParsePasswordError;

    fn from_str(text: &str) -> Result<Self, ParsePasswordError> {
        if let Some(digits) = text.strip_prefix(TOKEN) {
            let mut sha256 = [0; 32];
            hex::decode_to_slice(digits, &mut sha256).map_err(|_| ParsePasswordError)?;
            return Ok(Self(Stored::Token(sha256)));
        }
        let hash = phc::PasswordHash::new(text).map_err(|_| ParsePasswordError)?;
        let params = Params::try_from(&hash).map_err(|_| ParsePasswordError)?;
        let is_ours = params.m_cost() <= MOST_MEMORY && hash.salt.is_some() && hash.hash.is_some();
        if is_ours { Ok(Self(Stored::Argon2(Box::new(hash)))) } else { Err(ParsePasswordError) }
    }
}

impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Stored::Argon2(hash) => hash.fmt(f),
            Stored::Token(sha256) => write!(f, "{TOKEN}{}", hex::encode(sha256)),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl PasswordHash {
    /// The hash of a generated token.
    pub fn of_token(token: &GeneratedToken) -> Self {
        Self(Stored::Token(token.sha256()))
    }

    /// Whether `secret` is the generated token that was hashed; none where only an Argon2id
    /// computation can answer.
    pub(super) fn verify_token(&self, secret: &Secret) -> Option<bool> {
        let Stored::Token(stored) = &self.0 else { return None };
        let token = GeneratedToken::recognize(secret);
        Some(token.is_some_and(|it| it.sha256().ct_eq(stored).into()))
    }
}

/// Why no hash was computed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// The machine gave no random bytes or no memory, or the password is of no use.
    #[error("failed to hash the password")]
    Failed(#[from] password_hash::Error),
}

/// Computes hashes on the calling thread, in memory that is allocated once and used again.
#[derive(Debug, Clone, Default)]
pub struct Hasher {
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Hasher {
    /// The hash to store of `secret`: SHA-256 of a generated token, Argon2id of anything else.
    pub fn hash(&self, secret: &Secret) -> Result<PasswordHash, HashError> {
        if let Some(token) = GeneratedToken::recognize(secret) {
            return Ok(PasswordHash::of_token(&token));
        }
        let params = Params::DEFAULT;
        let salt = Salt::generate();
        let output = self.compute(secret, &salt, &params, Params::DEFAULT_OUTPUT_LEN)?;
        Ok(PasswordHash(Stored::Argon2(Box::new(phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&params)?,
            salt: Some(salt),
            hash: Some(output),
        }))))
    }

    /// Whether `secret` is what was hashed.
    pub fn verify(&self, secret: &Secret, hash: &PasswordHash) -> bool {
        let hash = match &hash.0 {
            Stored::Token(_) => return hash.verify_token(secret) == Some(true),
            Stored::Argon2(hash) => hash,
        };
        let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return false };
        let is_ours = hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version == Some(Version::V0x13.into());
        let params = Params::try_from(&**hash).ok().filter(|_| is_ours);
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

    fn memory(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

    use super::*;

    #[test]
    fn password_is_verified_by_its_hash() {
        let hasher = Hasher::default();
        let hash = hasher.hash(&Secret::new("s3cret")).unwrap();
        let read: PasswordHash = hash.to_string().parse().unwrap();
        assert!(hasher.verify(&Secret::new("s3cret"), &read));
        assert!(!hasher.verify(&Secret::new("s3cre"), &read));
        let text = hash.to_string();
        let phc = phc::PasswordHash::new(&text).unwrap();
        assert!(Argon2::default().verify_password(b"s3cret", &phc).is_ok());
    }

    #[test]
    fn hash_of_the_argon2_library_is_verified() {
        let made: phc::PasswordHash = Argon2::default().hash_password(b"s3cret").unwrap();
        let hash: PasswordHash = made.to_string().parse().unwrap();
        assert!(Hasher::default().verify(&Secret::new("s3cret"), &hash));
    }

    #[test]
    fn generated_token_is_stored_as_sha256_and_chosen_text_is_not() {
        let hasher = Hasher::default();
        let token = GeneratedToken::random().unwrap().into_secret();
        let hash = hasher.hash(&token).unwrap();
        assert!(hash.to_string().starts_with("sha256$"));
        let read: PasswordHash = hash.to_string().parse().unwrap();
        assert!(hasher.verify(&token, &read));
        let other = GeneratedToken::random().unwrap().into_secret();
        assert!(!hasher.verify(&other, &read));
        assert!(!hasher.verify(&Secret::new(hash.to_string()), &read));
        // A text that lacks the generated form never matches the fast form, whatever its hash is.
        let weak = Secret::new("hunter2");
        let forged = format!("sha256${}", crate::types::Digest::of(b"hunter2").hex());
        assert!(!hasher.verify(&weak, &forged.parse().unwrap()));
        assert!(hasher.hash(&weak).unwrap().to_string().starts_with("$argon2id$"));
    }

    #[test]
    fn argon2_hash_of_a_generated_token_stays_valid() {
        let token = GeneratedToken::random().unwrap().into_secret();
        let made: phc::PasswordHash =
            Argon2::default().hash_password(token.expose().as_bytes()).unwrap();
        let hash: PasswordHash = made.to_string().parse().unwrap();
        assert!(Hasher::default().verify(&token, &hash));
    }

    #[test]
    fn what_is_no_hash_of_ours_is_refused() {
        let huge = "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ";
        for text in ["hunter2", "", huge, "sha256$", "sha256$00"] {
            assert!(text.parse::<PasswordHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn hash_does_not_show_itself() {
        let hash = Hasher::default().hash(&Secret::new("s3cret")).unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }
}
