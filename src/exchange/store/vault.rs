//! Encrypts what must not be read from a copy of the database: registry tokens.
//!
//! AES-256-GCM with a random nonce. The keys are in a file beside the database, so that a backup of
//! the database alone is useless to a thief. What is encrypted is bound to its place: a row cannot be
//! copied to another service.
//!
//! There is one key, or there are two while rows are rewritten from one to the next. What is encrypted
//! is encrypted by the newest; each row says which key opens it.

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use tokio::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use zeroize::Zeroizing;

use super::secret_file::{self, SecretFileError};
use crate::types::{OrgId, Registry, Secret};

/// The name of the key file in the data folder.
pub(super) const FILE: &str = "vault.key";
/// An AES-256 key.
const KEY_LENGTH: usize = 32;
/// A key in the file: its number as eight bytes, then the key.
const ENTRY_LENGTH: usize = 8 + KEY_LENGTH;
/// The number of the first key, which is alone in its file, without a number.
const FIRST: i64 = 1;

/// Encrypts and decrypts with the keys of one data folder.
pub(super) struct Vault {
    path: PathBuf,
    /// A key goes only while nobody is about to decrypt a row that was read before.
    keys: RwLock<Keys>,
    turn: Mutex<()>,
}

/// The keys that open rows. As long as they are borrowed none goes.
pub(super) struct Keys {
    newest: i64,
    by_version: BTreeMap<i64, RandomizedNonceKey>,
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
    /// The number of the key, bound to the token as well.
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
    /// The vault of the data folder `folder`, whose first key is made on first use.
    ///
    /// # Errors
    /// If the key file can neither be read nor made, or holds no keys.
    pub(super) fn open(folder: &Path) -> Result<Self, SecretFileError> {
        let path = folder.join(FILE);
        secret_file::forget_unfinished(&path)
            .map_err(|source| SecretFileError::Replace { path: path.clone(), source })?;
        let content = secret_file::load_or_create(&path, new_key)?;
        let mut by_version = BTreeMap::new();
        for (version, bytes) in entries(&content) {
            by_version.insert(version, cipher(bytes, &path)?);
        }
        let newest = by_version.last_key_value().map(|(version, _)| *version);
        let newest = newest.ok_or_else(|| no_keys(&path))?;
        let keys = RwLock::new(Keys { newest, by_version });
        Ok(Self { path, keys, turn: Mutex::default() })
    }

    /// The keys. Borrow them before rows are read, and until these are decrypted: what the rows name
    /// is then there, however far a change of the key is.
    pub(super) async fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.keys.read().await
    }

    /// Waits for everybody else who changes keys.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Makes a new key, by which all is encrypted from now on; its number. It is on the disk before
    /// anything is encrypted by it.
    pub(super) async fn add_key(&self) -> Result<i64, SecretFileError> {
        let new = new_key().map_err(|source| self.not_replaced(source))?;
        let mut keys = self.keys.write().await;
        let version = keys.newest + 1;
        let content = self.content()?;
        // One that was written and could not be taken into use has locked nothing.
        let mut entries = self.held(&content, |version| keys.by_version.contains_key(&version))?;
        if entries.len() < keys.by_version.len() {
            return Err(self.exchanged());
        }
        entries.push((version, &new));
        secret_file::replace(&self.path, &file_of(&entries))?;
        keys.by_version.insert(version, cipher(&new, &self.path)?);
        keys.newest = version;
        Ok(version)
    }

    /// Forgets all keys but the newest, here and on the disk. The caller has seen to it that no row
    /// needs them, and that none is written meanwhile.
    pub(super) async fn drop_older(&self) -> Result<(), SecretFileError> {
        let mut keys = self.keys.write().await;
        let newest = keys.newest;
        let content = self.content()?;
        let entries = self.held(&content, |version| version == newest)?;
        secret_file::replace(&self.path, &file_of(&entries))?;
        keys.by_version.retain(|version, _| *version == newest);
        Ok(())
    }

    /// Those keys of the file that are wanted. A file without any has been exchanged while we run: to
    /// write it anew would be to lose what only we know.
    fn held<'a>(
        &self,
        content: &'a [u8],
        is_wanted: impl Fn(i64) -> bool,
    ) -> Result<Vec<(i64, &'a [u8])>, SecretFileError> {
        let mut entries = entries(content);
        entries.retain(|(version, _)| is_wanted(*version));
        if entries.is_empty() { Err(self.exchanged()) } else { Ok(entries) }
    }

    fn exchanged(&self) -> SecretFileError {
        let expected = "the keys that are in use: put the file back that was there at the start";
        SecretFileError::Content { path: self.path.clone(), expected }
    }

    fn content(&self) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
        secret_file::load_or_create(&self.path, || Err(io::ErrorKind::NotFound.into()))
    }

    fn not_replaced(&self, source: io::Error) -> SecretFileError {
        SecretFileError::Replace { path: self.path.clone(), source }
    }
}

impl Keys {
    /// The number of the key by which all is encrypted.
    pub(super) fn newest(&self) -> i64 {
        self.newest
    }

    /// Whether rows may still need an older key.
    pub(super) fn are_changing(&self) -> bool {
        self.by_version.len() > 1
    }

    /// Encrypts `token` for its row.
    pub(super) fn lock(&self, token: &Secret, place: Place<'_>) -> Result<Locked, VaultError> {
        let key_version = self.newest;
        let key = self.by_version.get(&key_version).ok_or_else(|| refused(place))?;
        let token = token.expose().as_bytes();
        // Room for the tag too: growing would leave a copy of the token behind.
        let mut text = Vec::with_capacity(token.len() + AES_256_GCM.tag_len());
        text.extend_from_slice(token);
        let nonce = key
            .seal_in_place_append_tag(Aad::from(binding(place, key_version)), &mut text)
            .map_err(|_| refused(place))?;
        Ok(Locked { bytes: [nonce.as_ref().as_slice(), &text].concat(), key_version })
    }

    /// Decrypts the token of a row.
    pub(super) fn unlock(&self, locked: &Locked, place: Place<'_>) -> Result<Secret, VaultError> {
        let key = self.by_version.get(&locked.key_version).ok_or_else(|| refused(place))?;
        let (nonce, text) =
            locked.bytes.split_at_checked(NONCE_LEN).ok_or_else(|| refused(place))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused(place))?;
        let mut text = Zeroizing::new(text.to_vec());
        let aad = Aad::from(binding(place, locked.key_version));
        let token = key.open_in_place(nonce, aad, &mut text).map_err(|_| refused(place))?;
        std::str::from_utf8(token).map(Secret::new).map_err(|_| refused(place))
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("path", &self.path).finish_non_exhaustive()
    }
}

fn new_key() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut key = Zeroizing::new(vec![0; KEY_LENGTH]);
    aws_lc_rs::rand::fill(&mut key).map_err(|_| io::Error::other("no random bytes"))?;
    Ok(key)
}

/// The keys in a file, each with its number; none if it is no such file.
fn entries(content: &[u8]) -> Vec<(i64, &[u8])> {
    if content.len() == KEY_LENGTH {
        return vec![(FIRST, content)];
    }
    let (entries, rest) = content.as_chunks::<ENTRY_LENGTH>();
    if !rest.is_empty() {
        return Vec::new();
    }
    entries
        .iter()
        .filter_map(|entry| {
            let (version, key) = entry.split_first_chunk::<8>()?;
            Some((i64::from_be_bytes(*version), key))
        })
        .collect()
}

/// The file that holds these keys.
fn file_of(entries: &[(i64, &[u8])]) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(Vec::with_capacity(entries.len() * ENTRY_LENGTH));
    for (version, key) in entries {
        content.extend(version.to_be_bytes());
        content.extend(*key);
    }
    content
}

fn cipher(bytes: &[u8], path: &Path) -> Result<RandomizedNonceKey, SecretFileError> {
    RandomizedNonceKey::new(&AES_256_GCM, bytes).map_err(|_| no_keys(path))
}

fn no_keys(path: &Path) -> SecretFileError {
    SecretFileError::Content { path: path.to_owned(), expected: "keys of 32 bytes" }
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

    const TOKEN: &str = "canary:with:colons";

    fn vault() -> (tempfile::TempDir, Vault) {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        (folder, vault)
    }

    /// Everything that a row's token is bound to.
    #[derive(Clone)]
    struct Row {
        org: OrgId,
        service: &'static str,
        registry: Registry,
        username: &'static str,
        number: i64,
    }

    impl Row {
        fn place(&self) -> Place<'_> {
            let Self { org, service, registry, username, number } = self;
            Place { org, service, registry, username, row: *number }
        }
    }

    fn row() -> Row {
        let (org, registry) = ("acme".parse().unwrap(), "r.example:5000".parse().unwrap());
        Row { org, service: "hello", registry, username: "token", number: 1 }
    }

    #[tokio::test]
    async fn a_token_comes_out_at_its_own_place_alone() {
        let (folder, vault) = vault();
        let row = row();
        let locked = vault.keys().await.lock(&Secret::new(TOKEN), row.place()).unwrap();
        assert!(!locked.bytes.windows(6).any(|it| it == b"canary"));
        let twice = vault.keys().await.lock(&Secret::new(TOKEN), row.place()).unwrap();
        assert_ne!(twice, locked);
        let again = Vault::open(folder.path()).unwrap();
        let keys = again.keys().await;
        assert_eq!(keys.unlock(&locked, row.place()).unwrap().expose(), TOKEN);

        // The same bytes in any other row, and parts of names that run into each other.
        let others = [
            Row { org: "acme2".parse().unwrap(), ..row.clone() },
            Row { service: "other", ..row.clone() },
            Row { registry: "r.example:5001".parse().unwrap(), ..row.clone() },
            Row { username: "puller", ..row.clone() },
            Row { number: 2, ..row.clone() },
            Row { number: -1, ..row.clone() },
            Row { service: "hell", username: "otoken", ..row.clone() },
            Row { org: "acmeh".parse().unwrap(), service: "ello", ..row.clone() },
        ];
        let mut tried = 0;
        for other in &others {
            assert!(keys.unlock(&locked, other.place()).is_err(), "{:?}", other.place());
            tried += 1;
        }
        // Every bit of nonce, text and tag; every length; every other number of the key.
        for bit in 0..locked.bytes.len() * 8 {
            let mut bytes = locked.bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let flipped = Locked { bytes, ..locked.clone() };
            assert!(keys.unlock(&flipped, row.place()).is_err(), "bit {bit}");
            tried += 1;
        }
        for length in 0..locked.bytes.len() {
            let short = Locked { bytes: locked.bytes[..length].to_vec(), ..locked.clone() };
            assert!(keys.unlock(&short, row.place()).is_err(), "length {length}");
            tried += 1;
        }
        for key_version in [i64::MIN, -1, 0, 2, 3, i64::MAX] {
            let other_key = Locked { key_version, ..locked.clone() };
            assert!(keys.unlock(&other_key, row.place()).is_err(), "key {key_version}");
            tried += 1;
        }
        // Keys of 32 other databases, under the same number.
        for _ in 0..32 {
            let stranger = Vault::open(tempfile::tempdir().unwrap().path()).unwrap();
            assert!(stranger.keys().await.unlock(&locked, row.place()).is_err());
            tried += 1;
        }
        println!(
            "a token in the wrong place, altered, or under another key: {tried} tried, 0 opened"
        );
    }

    #[tokio::test]
    async fn two_keys_live_until_the_older_is_dropped() {
        let (folder, vault) = vault();
        let row = row();
        let old = vault.keys().await.lock(&Secret::new(TOKEN), row.place()).unwrap();
        assert_eq!(vault.add_key().await.unwrap(), 2);
        let new = vault.keys().await.lock(&Secret::new(TOKEN), row.place()).unwrap();
        assert_eq!((old.key_version, new.key_version), (1, 2));

        // A process that is killed here finds both keys.
        for vault in [&vault, &Vault::open(folder.path()).unwrap()] {
            let keys = vault.keys().await;
            assert!(keys.are_changing() && keys.newest() == 2);
            assert!(keys.unlock(&old, row.place()).is_ok());
            assert!(keys.unlock(&new, row.place()).is_ok());
            // A number is bound to the token: neither key opens what the other has locked.
            let (as_new, as_old) = (
                Locked { key_version: 2, ..old.clone() },
                Locked { key_version: 1, ..new.clone() },
            );
            assert!(keys.unlock(&as_new, row.place()).is_err());
            assert!(keys.unlock(&as_old, row.place()).is_err());
        }

        vault.drop_older().await.unwrap();
        for vault in [&vault, &Vault::open(folder.path()).unwrap()] {
            let keys = vault.keys().await;
            assert!(!keys.are_changing());
            assert!(keys.unlock(&old, row.place()).is_err());
            assert!(keys.unlock(&new, row.place()).is_ok());
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_crash_has_left_of_a_new_key_file_goes() {
        let folder = tempfile::tempdir().unwrap();
        drop(Vault::open(folder.path()).unwrap());
        let left = folder.path().join("vault.key.new");
        std::fs::copy(folder.path().join(FILE), &left).unwrap();
        Vault::open(folder.path()).unwrap();
        assert!(!left.exists());
    }

    #[tokio::test]
    async fn a_key_file_that_was_exchanged_meanwhile_costs_no_key() {
        let (folder, vault) = vault();
        vault.add_key().await.unwrap();
        let path = folder.path().join(FILE);
        let ours = std::fs::read(&path).unwrap();
        for other in [&[7; 32][..], &[0; 40]] {
            secret_file::replace(&path, other).unwrap();
            assert!(matches!(vault.add_key().await, Err(SecretFileError::Content { .. })));
            assert!(matches!(vault.drop_older().await, Err(SecretFileError::Content { .. })));
            assert_eq!(std::fs::read(&path).unwrap(), other);
        }
        secret_file::replace(&path, &ours).unwrap();
        assert_eq!(vault.add_key().await.unwrap(), 3);
    }

    #[test]
    fn a_key_file_with_something_else_is_refused() {
        for content in [&b"short"[..], &[0; 31], &[0; 33], &[0; 41], &[0; 79]] {
            let folder = tempfile::tempdir().unwrap();
            secret_file::replace(&folder.path().join(FILE), content).unwrap();
            let opened = Vault::open(folder.path());
            assert!(matches!(opened, Err(SecretFileError::Content { .. })), "{content:?}");
        }
    }
}
