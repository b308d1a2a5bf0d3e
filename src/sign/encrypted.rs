//! Private keys under a passphrase: PKCS#8's `EncryptedPrivateKeyInfo` (RFC 5958) by PBES2 (RFC 8018),
//! as OpenSSL writes and reads it.

use pkcs8::{
    EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef,
    pkcs5::{self, pbes2::Kdf},
};
use zeroize::Zeroizing;

use crate::types::{
    Secret,
    pem::{self, PemProblem},
};

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const PLAIN: &str = "PRIVATE KEY";
/// The most memory that a passphrase may cost, in bytes; what OpenSSL writes takes 16 MiB.
const MOST_MEMORY: u64 = 256 << 20;
/// The most that scrypt may do one after the other, in its units of memory.
const MOST_LANES: u16 = 16;
/// The most rounds of PBKDF2: some seconds.
const MOST_ROUNDS: u32 = 10_000_000;

/// Why a key under a passphrase is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum EncryptedKeyError {
    /// It cannot be read as PEM.
    #[error("not a private key in PEM")]
    Pem(#[from] PemProblem),
    /// The PEM is of another kind.
    #[error("expected -----BEGIN {wanted}-----, but the PEM holds {labels}")]
    Kind {
        /// The label that was expected.
        wanted: &'static str,
        /// What the PEM says it holds.
        labels: String,
    },
    /// The content of the PEM is something else.
    #[error("the content is not a private key in PKCS#8")]
    Form,
    /// Old or unknown ways to turn a passphrase into a key.
    #[error("its way of encryption is not known here (PBES2 with PBKDF2 or scrypt, and AES, are)")]
    Unsupported,
    /// Whoever made the file wants more than a passphrase should cost.
    #[error("it demands more memory or time of a passphrase than is sensible")]
    TooCostly,
    /// Nothing sensible came out.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// It could not be encrypted.
    #[error("the key could not be put under the passphrase")]
    Failed,
}

/// Whether `pem` is a key under a passphrase.
pub fn is_encrypted(pem: &str) -> bool {
    pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}

/// The same key as PKCS#8 PEM in plain.
pub fn decrypt(pem: &str, passphrase: &Secret) -> Result<Zeroizing<String>, EncryptedKeyError> {
    let der = section(pem, ENCRYPTED)?;
    let key = EncryptedPrivateKeyInfoRef::try_from(der.as_slice())
        .map_err(|_| EncryptedKeyError::Form)?;
    check_cost(&key)?;
    let plain = key.decrypt(passphrase.expose()).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(
            pkcs5::Error::UnsupportedAlgorithm { .. } | pkcs5::Error::NoPbes1CryptSupport,
        ) => EncryptedKeyError::Unsupported,
        // What comes out by a wrong passphrase is noise, and no key.
        _ => EncryptedKeyError::WrongPassphrase,
    })?;
    Ok(pem::write(PLAIN, plain.as_bytes()))
}

/// A PKCS#8 PEM in plain, put under `passphrase` by scrypt (OpenSSL's cost) and AES-256.
pub fn encrypt(pem: &str, passphrase: &Secret) -> Result<Zeroizing<String>, EncryptedKeyError> {
    let der = section(pem, PLAIN)?;
    let key = PrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| EncryptedKeyError::Form)?;
    let encrypted = key.encrypt(passphrase.expose()).map_err(|_| EncryptedKeyError::Failed)?;
    Ok(pem::write(ENCRYPTED, encrypted.as_bytes()))
}

fn section(text: &str, wanted: &'static str) -> Result<Zeroizing<Vec<u8>>, EncryptedKeyError> {
    let section = pem::first_section(text, &[wanted])?;
    section
        .map(|it| it.der)
        .ok_or_else(|| EncryptedKeyError::Kind { wanted, labels: pem::labels(text) })
}

fn check_cost(key: &EncryptedPrivateKeyInfoRef<'_>) -> Result<(), EncryptedKeyError> {
    let scheme = key.encryption_algorithm.pbes2().ok_or(EncryptedKeyError::Unsupported)?;
    let fits = match &scheme.kdf {
        Kdf::Pbkdf2(it) => it.iteration_count <= MOST_ROUNDS,
        Kdf::Scrypt(it) => {
            let block = 128 * u64::from(it.block_size);
            it.cost_parameter.checked_mul(block).is_some_and(|memory| memory <= MOST_MEMORY)
                && it.parallelization <= MOST_LANES
        }
        _ => return Err(EncryptedKeyError::Unsupported),
    };
    if fits { Ok(()) } else { Err(EncryptedKeyError::TooCostly) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SigningKey;

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn a_key_comes_back_by_its_passphrase_alone() {
        let key = SigningKey::generate();
        let under = encrypt(&key.to_pem(), &secret("correct horse")).unwrap();
        assert!(is_encrypted(&under) && !is_encrypted(&key.to_pem()));
        let back = decrypt(&under, &secret("correct horse")).unwrap();
        assert_eq!(SigningKey::from_pem(&back).unwrap().key_id(), key.key_id());
        for wrong in ["", "correct hors", "Correct horse"] {
            let error = decrypt(&under, &secret(wrong)).unwrap_err();
            assert!(matches!(error, EncryptedKeyError::WrongPassphrase), "{error:?}");
        }
    }

    #[test]
    fn the_same_key_is_never_written_twice_the_same() {
        let key = SigningKey::generate();
        let write = || encrypt(&key.to_pem(), &secret("x")).unwrap();
        assert_ne!(*write(), *write());
    }

    #[test]
    fn a_file_that_wants_all_memory_gets_none() {
        let key = SigningKey::generate();
        let under = encrypt(&key.to_pem(), &secret("x")).unwrap();
        let mut der = section(&under, ENCRYPTED).unwrap().to_vec();
        // The cost of 2^14, as an INTEGER of two bytes; 0x7fff blocks are no power of two either.
        let at = der.windows(4).position(|it| it == [2, 2, 0x40, 0]).unwrap();
        der[at + 2] = 0x7f;
        let r = der.windows(3).position(|it| it == [2, 1, 8]).unwrap();
        der[r + 2] = 0x7f;
        let pem = pem::write(ENCRYPTED, &der);
        let error = decrypt(&pem, &secret("x")).unwrap_err();
        assert!(matches!(error, EncryptedKeyError::TooCostly), "{error:?}");
    }

    #[test]
    fn what_is_no_such_key_is_refused() {
        let key = SigningKey::generate();
        for text in ["", "x", key.to_pem().as_str(), &key.verifying_key().to_pem()] {
            let error = decrypt(text, &secret("x")).unwrap_err();
            let refused =
                matches!(error, EncryptedKeyError::Pem(_) | EncryptedKeyError::Kind { .. });
            assert!(refused, "{error:?}");
        }
    }
}
