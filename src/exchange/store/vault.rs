//! Encrypts what must not be read from a copy of the database: registry tokens.
//!
//! AES-256-GCM with a random nonce. The key is a file beside the database, so that a backup of the
//! database alone is useless to a thief. What is encrypted is bound to its place: a row cannot be
//! copied to another service.

use std::{fmt, io, path::Path};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::secret_file::{self, SecretFileError};
use crate::types::{OrgId, Registry, Secret};

/// The name of the key file in the data folder.
const FILE: &str = "vault.key";
/// An AES-256 key.
const KEY_LENGTH: usize = 32;
/// The number of the key, kept in every row and bound to it, so that keys can be replaced.
const KEY_VERSION: i64 = 1;

/// Encrypts and decrypts with the key of one data folder.
pub(super) struct Vault {
    key: RandomizedNonceKey,
}

/// The row that a token belongs to; all of it is bound to the encrypted token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) org: &'a OrgId,
    pub(super) service: &'a str,
    pub(super) registry: &'a Registry,
    pub(super) username: &'a str,
    pub(super) row: i64,
}

/// An encrypted token, as a row keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Locked {
    pub(super) bytes: Vec<u8>,
    pub(super) key_version: i64,
}

/// A token that does not come out: the key file is another database's, or the row was altered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the token for {registry} of service {service} cannot be decrypted with the key file {FILE}"
)]
pub struct VaultError {
    registry: Registry,
    service: String,
}

impl Vault {
    /// The vault of the data folder `folder`, whose key is made on first use.
    ///
    /// # Errors
    /// If the key file can neither be read nor made, or holds no key.
    pub(super) fn open(folder: &Path) -> Result<Self, SecretFileError> {
        let path = folder.join(FILE);
        let bytes = secret_file::load_or_create(&path, new_key)?;
        if bytes.len() != KEY_LENGTH {
            return Err(SecretFileError::Content { path, expected: "a key of 32 bytes" });
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes)
            .map_err(|_| SecretFileError::Content { path, expected: "an AES-256 key" })?;
        Ok(Self { key })
    }

    /// Encrypts `token` for its row.
    pub(super) fn lock(&self, token: &Secret, place: Place<'_>) -> Result<Locked, VaultError> {
        let token = token.expose().as_bytes();
        // Room for the tag too: growing would leave a copy of the token behind.
        let mut text = Vec::with_capacity(token.len() + AES_256_GCM.tag_len());
        text.extend_from_slice(token);
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(binding(place, KEY_VERSION)), &mut text)
            .map_err(|_| refused(place))?;
        Ok(Locked { bytes: [nonce.as_ref().as_slice(), &text].concat(), key_version: KEY_VERSION })
    }

    /// Decrypts the token of a row.
    pub(super) fn unlock(&self, locked: &Locked, place: Place<'_>) -> Result<Secret, VaultError> {
        let (nonce, text) =
            locked.bytes.split_at_checked(NONCE_LEN).ok_or_else(|| refused(place))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused(place))?;
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(binding(place, locked.key_version));
        let token = self.key.open_in_place(nonce, aad, &mut text).map_err(|_| refused(place))?;
        std::str::from_utf8(token).map(Secret::new).map_err(|_| refused(place))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").finish_non_exhaustive()
    }
}

fn new_key() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0; KEY_LENGTH]);
    aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(key)
}

/// Table, row and key as bytes, every text preceded by its length: no two places give the same.
fn binding(place: Place<'_>, key_version: i64) -> Vec<u8> {
    let texts =
        ["credentials", place.org.as_str(), place.service, place.registry.as_str(), place.username];
    let mut bytes = Vec::new();
    for text in texts {
        bytes.extend((text.len() as u64).to_be_bytes());
        bytes.extend(text.as_bytes());
    }
    bytes.extend(place.row.to_be_bytes());
    bytes.extend(key_version.to_be_bytes());
    bytes
}

fn refused(place: Place<'_>) -> VaultError {
    VaultError { registry: place.registry.clone(), service: place.service.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_out_at_its_own_place_alone() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        let (org, registry) = ("acme".parse().unwrap(), "r.example:5000".parse().unwrap());
        let place =
            Place { org: &org, service: "hello", registry: &registry, username: "token", row: 1 };
        let locked = vault.lock(&Secret::new("canary"), place).unwrap();

        let again = Vault::open(folder.path()).unwrap();
        assert_eq!(again.unlock(&locked, place).unwrap().expose(), "canary");
        assert!(!locked.bytes.windows(6).any(|it| it == b"canary"));
        assert_ne!(vault.lock(&Secret::new("canary"), place).unwrap(), locked);

        assert!(vault.unlock(&locked, Place { service: "other", ..place }).is_err());
        assert!(vault.unlock(&locked, Place { row: 2, ..place }).is_err());
        let other_key = Locked { key_version: 2, ..locked.clone() };
        assert!(vault.unlock(&other_key, place).is_err());
        let short = Locked { bytes: vec![0; 3], ..locked.clone() };
        assert!(vault.unlock(&short, place).is_err());
        let stranger = Vault::open(tempfile::tempdir().unwrap().path()).unwrap();
        assert!(stranger.unlock(&locked, place).is_err());
    }

    #[test]
    fn a_key_file_with_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        secret_file::load_or_create(&folder.path().join(FILE), || {
            Ok(Zeroizing::new(b"short".to_vec()))
        })
        .unwrap();
        assert!(matches!(Vault::open(folder.path()), Err(SecretFileError::Content { .. })));
    }
}
