//! Ed25519 keys, and how they are kept in files.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ed25519_dalek::{
    Signature, Signer as _,
    pkcs8::{self, DecodePrivateKey as _, DecodePublicKey as _, spki},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::sign::KeyId;

/// What precedes the 32 bytes of a public key in SPKI DER (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What precedes the 32 bytes of a private key in PKCS#8 version 1 DER (RFC 8410, section 7).
/// Version 2, which holds the public key as well, is refused by OpenSSL 3.0.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Why a text is not a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The private key is protected by a passphrase.
    #[error("the private key is encrypted; decrypt it with `openssl pkey`")]
    Encrypted,
    /// No Ed25519 private key in PKCS#8 PEM.
    #[error("not an Ed25519 private key in PKCS#8 PEM (-----BEGIN PRIVATE KEY-----)")]
    Private(#[source] pkcs8::Error),
    /// No Ed25519 public key in SPKI PEM.
    #[error("not an Ed25519 public key in PEM (-----BEGIN PUBLIC KEY-----)")]
    Public(#[source] spki::Error),
    /// A public key for which one signature would fit almost any message.
    #[error("the public key is weak: it has a low order")]
    Weak,
}

/// A private Ed25519 key. It is wiped from memory when it is dropped.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new key.
    ///
    /// # Panics
    /// When the machine has no randomness to give: no key made then could be trusted.
    #[expect(clippy::expect_used, reason = "nothing sensible can follow, see Panics")]
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).expect("the operating system gives random bytes");
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Reads PKCS#8 PEM, version 1 or 2.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return Err(KeyError::Encrypted);
        }
        // The PEM grammar ends at the last dash; editors add line ends.
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem.trim()).map(Self).map_err(KeyError::Private)
    }

    /// Writes PKCS#8 PEM, version 1.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new([0; 48]);
        der[..16].copy_from_slice(&PKCS8_PREFIX);
        der[16..].copy_from_slice(self.0.as_bytes());
        let text = Zeroizing::new(BASE64_STANDARD.encode(der.as_slice()));
        Zeroizing::new(pem("PRIVATE KEY", &text))
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// The id of the public half.
    pub fn key_id(&self) -> KeyId {
        self.verifying_key().key_id()
    }

    /// Signs `message` as it is (pure Ed25519, RFC 8032).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.key_id().short())
    }
}

/// A public Ed25519 key, never a weak one.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Reads SPKI PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(pem.trim())
            .map_err(KeyError::Public)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Writes SPKI PEM.
    pub fn to_pem(&self) -> String {
        pem("PUBLIC KEY", &BASE64_STANDARD.encode(self.to_spki()))
    }

    /// The key's name, computed from the key itself.
    pub fn key_id(&self) -> KeyId {
        KeyId::of_spki(&self.to_spki())
    }

    /// Whether `signature` is this key's over `message`, by the strict rules: no second signature can
    /// be made from a first one, and no point of low order takes part.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn to_spki(self) -> [u8; 44] {
        let mut der = [0; 44];
        der[..12].copy_from_slice(&SPKI_PREFIX);
        der[12..].copy_from_slice(self.0.as_bytes());
        der
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", self.key_id().short())
    }
}

impl TryFrom<String> for VerifyingKey {
    type Error = KeyError;

    fn try_from(text: String) -> Result<Self, KeyError> {
        Self::from_pem(&text)
    }
}

impl From<VerifyingKey> for String {
    fn from(key: VerifyingKey) -> Self {
        key.to_pem()
    }
}

/// A PEM block of one line; neither kind of key needs a second one.
fn pem(label: &str, base64: &str) -> String {
    format!("-----BEGIN {label}-----\n{base64}\n-----END {label}-----\n")
}
