//! Ed25519 keys, and how they are kept in files.

use std::fmt;

use ed25519_dalek::{
    Signature, Signer as _,
    pkcs8::{DecodePrivateKey as _, DecodePublicKey as _},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    sign::{KeyId, encrypted},
    types::pem::{self, PemProblem},
};

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
    #[error("the private key is under a passphrase")]
    Encrypted,
    /// It cannot be read as PEM.
    #[error("not a key in PEM")]
    Pem(#[from] PemProblem),
    /// No Ed25519 private key in PKCS#8.
    #[error(
        "not an Ed25519 private key in PKCS#8 PEM (-----BEGIN PRIVATE KEY-----): {}",
        found(labels)
    )]
    Private {
        /// What the PEM says it holds.
        labels: String,
    },
    /// No Ed25519 public key in SPKI.
    #[error("not an Ed25519 public key in PEM (-----BEGIN PUBLIC KEY-----): {}", found(labels))]
    Public {
        /// What the PEM says it holds.
        labels: String,
    },
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
        if encrypted::is_encrypted(pem) {
            return Err(KeyError::Encrypted);
        }
        let section = pem::first_section(pem, &["PRIVATE KEY"])?;
        section
            .and_then(|it| ed25519_dalek::SigningKey::from_pkcs8_der(&it.der).ok())
            .map(Self)
            .ok_or_else(|| KeyError::Private { labels: pem::labels(pem) })
    }

    /// Writes PKCS#8 PEM, version 1.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut der = Zeroizing::new([0; 48]);
        der[..16].copy_from_slice(&PKCS8_PREFIX);
        der[16..].copy_from_slice(self.0.as_bytes());
        pem::write("PRIVATE KEY", der.as_slice())
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
        let section = pem::first_section(pem, &["PUBLIC KEY"])?;
        let key = section
            .and_then(|it| ed25519_dalek::VerifyingKey::from_public_key_der(&it.der).ok())
            .ok_or_else(|| KeyError::Public { labels: pem::labels(pem) })?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    /// Writes SPKI PEM.
    pub fn to_pem(&self) -> String {
        (*pem::write("PUBLIC KEY", &self.to_spki())).clone()
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

/// What a PEM holds in the place of the key, by its own labels.
fn found(labels: &str) -> String {
    match labels {
        "PRIVATE KEY" | "PUBLIC KEY" => {
            format!("it holds a {labels} of another kind, or a damaged one")
        }
        _ => format!("it holds {labels}"),
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::pkcs8::{
        EncodePrivateKey as _, EncodePublicKey as _, spki::der::pem::LineEnding,
    };

    use super::*;

    /// Made by OpenSSL 3.0.19, with what it printed about the key.
    const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAB/vcEuE5/yx/yzfH4392k9nrITvkeMVAWDBIHE9x2+
-----END PRIVATE KEY-----
";
    const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAcZZ/svzGmXfBAC5SDSjzL30oABWeKNnqsMK4Wa3ZStY=
-----END PUBLIC KEY-----
";
    const ID: &str = "2b28b7dbbc48db38a930596ab5b42373e1d76a2e337f88ce1ae5118c72afc842";

    /// RFC 8032, section 7.1: secret key, public key, message, signature.
    const RFC_8032: [[&str; 4]; 3] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        for [secret, public, message, signature] in RFC_8032 {
            let key = SigningKey(ed25519_dalek::SigningKey::from_bytes(&bytes(secret)));
            let message = hex::decode(message).unwrap();
            assert_eq!(key.verifying_key().0.to_bytes(), bytes::<32>(public));
            assert_eq!(key.sign(&message), bytes::<64>(signature));
            assert!(key.verifying_key().verifies(&message, &bytes(signature)));
        }
    }

    #[test]
    fn keys_are_those_of_openssl() {
        let key = SigningKey::from_pem(PRIVATE).unwrap();
        assert_eq!(key.to_pem().as_str(), PRIVATE);
        assert_eq!(key.verifying_key().to_pem(), PUBLIC);
        assert_eq!(VerifyingKey::from_pem(PUBLIC).unwrap(), key.verifying_key());
        assert_eq!(key.key_id().to_string(), ID);
    }

    #[test]
    fn our_encoding_is_the_standard_one() {
        let key = SigningKey::generate();
        let public = key.verifying_key();
        assert_eq!(public.0.to_public_key_pem(LineEnding::LF).unwrap(), public.to_pem());
        assert_eq!(SigningKey::from_pem(&key.to_pem()).unwrap().key_id(), key.key_id());
    }

    #[test]
    fn version_2_files_are_read() {
        let key = SigningKey::generate();
        let pem = key.0.to_pkcs8_pem(LineEnding::CRLF).unwrap();
        assert_ne!(pem.len(), key.to_pem().len());
        assert_eq!(SigningKey::from_pem(&pem).unwrap().key_id(), key.key_id());
    }

    #[test]
    fn other_files_are_refused_with_a_reason() {
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n…";
        assert!(matches!(SigningKey::from_pem(encrypted), Err(KeyError::Encrypted)));
        assert!(matches!(SigningKey::from_pem(PUBLIC), Err(KeyError::Private { .. })));
        assert!(matches!(VerifyingKey::from_pem(PRIVATE), Err(KeyError::Public { .. })));
        assert!(matches!(SigningKey::from_pem(""), Err(KeyError::Pem(PemProblem::Empty))));
    }

    #[test]
    fn a_weak_key_does_not_enter() {
        // The points of order 1, 2 and 4 in their canonical encodings.
        let minus_one = format!("ec{}7f", "ff".repeat(30));
        let weak = [format!("01{}", "00".repeat(31)), minus_one, "00".repeat(32)];
        for point in weak {
            let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes(&point)).unwrap();
            let pem = VerifyingKey(key).to_pem();
            assert!(matches!(VerifyingKey::from_pem(&pem), Err(KeyError::Weak)), "{point}");
        }
    }

    #[test]
    fn no_second_signature_can_be_made_from_a_first() {
        // The order of the group, little-endian: adding it to S gives the same point.
        let order = bytes::<32>("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let key = SigningKey::generate();
        let mut signature = key.sign(b"message");
        let mut carry = 0;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert!(!key.verifying_key().verifies(b"message", &signature));
    }

    #[test]
    fn a_private_key_does_not_show_itself() {
        let key = SigningKey::from_pem(PRIVATE).unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey(2b28b7dbbc48)");
    }
}
