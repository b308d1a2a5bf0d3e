//! A secret that only one node can read: HPKE (RFC 9180), base mode, X25519 with HKDF-SHA256 and
//! ChaCha20-Poly1305.
//!
//! It keeps pull credentials out of proxies, logs, caches and backups. It says nothing about who
//! sealed them.

use std::{fmt, str::FromStr};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, aead::ChaCha20Poly1305,
    kdf::HkdfSha256, kem::X25519HkdfSha256, single_shot_open, single_shot_seal,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

type Kem = X25519HkdfSha256;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

/// What the sealed bytes are for, so that they can be opened as nothing else.
const INFO: &[u8] = b"edgepost/pullcred/v1";

/// How a public key begins as text.
const PREFIX: &str = "x25519:";

/// Bytes that are not a node's private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a node's private key: expected 32 bytes, received {0}")]
pub struct NodeKeyError(usize);

/// Why a text is not a node's public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a node's public key: expected x25519: and 32 bytes in base64")]
pub struct ParseNodeKeyError(String);

/// The key is one that no honest node has: what is sealed to it, everyone can open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node's public key has a low order; nothing can be sealed to it")]
pub struct SealError;

/// It was sealed to another node or for another use, or it has been altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes are not for this node and this use, or were altered")]
pub struct OpenError;

/// The private key with which a node opens sealed secrets; it signs nothing. It is wiped from memory
/// when it is dropped.
#[derive(Clone)]
pub struct NodeKey(PrivateKey);

impl NodeKey {
    /// A new key.
    ///
    /// # Panics
    /// When the machine has no randomness to give: no key made then could be trusted.
    pub fn generate() -> Self {
        Self(Kem::gen_keypair().0)
    }

    /// The key that is these 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NodeKeyError> {
        PrivateKey::from_bytes(bytes).map(Self).map_err(|_| NodeKeyError(bytes.len()))
    }

    /// Its 32 bytes, for a file of mode 0600.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        let mut bytes = Zeroizing::new([0; 32]);
        self.0.write_exact(bytes.as_mut());
        bytes
    }

    /// The public half.
    pub fn public(&self) -> NodePublicKey {
        NodePublicKey(Kem::sk_to_pk(&self.0))
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeKey({})", self.public())
    }
}

/// The public key of a node, to which secrets are sealed. As text: `x25519:` and base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodePublicKey(PublicKey);

impl FromStr for NodePublicKey {
    type Err = ParseNodeKeyError;

    fn from_str(text: &str) -> Result<Self, ParseNodeKeyError> {
        text.strip_prefix(PREFIX)
            .and_then(|base64| BASE64_STANDARD.decode(base64).ok())
            .and_then(|bytes| PublicKey::from_bytes(&bytes).ok())
            .map(Self)
            .ok_or_else(|| ParseNodeKeyError(text.to_owned()))
    }
}

impl TryFrom<String> for NodePublicKey {
    type Error = ParseNodeKeyError;

    fn try_from(text: String) -> Result<Self, ParseNodeKeyError> {
        text.parse()
    }
}

impl From<NodePublicKey> for String {
    fn from(key: NodePublicKey) -> Self {
        key.to_string()
    }
}

impl fmt::Display for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64_STANDARD.encode(self.0.to_bytes()))
    }
}

/// A sealed secret, as it travels: both parts in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The one-time public key (RFC 9180, "enc").
    #[serde(with = "as_base64")]
    pub enc: Vec<u8>,
    /// The encrypted secret, with its tag.
    #[serde(with = "as_base64")]
    pub ciphertext: Vec<u8>,
}

/// Seals `plaintext` to `to`. It opens only with the same `aad`, which says what it is for: its
/// organization, node, service, credential and version.
pub fn seal(to: &NodePublicKey, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, SealError> {
    let (enc, ciphertext) = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeS::Base,
        &to.0,
        INFO,
        plaintext,
        aad,
    )
    .map_err(|_| SealError)?;
    Ok(Sealed { enc: enc.to_bytes().to_vec(), ciphertext })
}

/// Opens what was sealed to `key` with the same `aad`.
pub fn open(key: &NodeKey, aad: &[u8], sealed: &Sealed) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    open_for(INFO, key, aad, sealed)
}

fn open_for(
    info: &[u8],
    key: &NodeKey,
    aad: &[u8],
    sealed: &Sealed,
) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let enc = EncappedKey::from_bytes(&sealed.enc).map_err(|_| OpenError)?;
    single_shot_open::<ChaCha20Poly1305, HkdfSha256, Kem>(
        &OpModeR::Base,
        &key.0,
        &enc,
        info,
        &sealed.ciphertext,
        aad,
    )
    .map(Zeroizing::new)
    .map_err(|_| OpenError)
}

mod as_base64 {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(from)?;
        BASE64_STANDARD.decode(text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_node_itself_opens_it_and_only_for_its_use() {
        let (node, other) = (NodeKey::generate(), NodeKey::generate());
        let key: NodePublicKey = node.public().to_string().parse().unwrap();
        let sealed = seal(&key, b"acme/pump-7/hello/1", b"token").unwrap();
        let sealed: Sealed = serde_json::from_slice(&serde_json::to_vec(&sealed).unwrap()).unwrap();

        let opened = open(&node, b"acme/pump-7/hello/1", &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"token");
        assert_eq!(open(&other, b"acme/pump-7/hello/1", &sealed), Err(OpenError));
        assert_eq!(open(&node, b"acme/pump-7/hello/2", &sealed), Err(OpenError));
    }

    #[test]
    fn what_rfc_9180_has_sealed_opens() {
        // Appendix A.2.1: the base mode of our suite, its first message.
        let bytes = |text: &str| hex::decode(text).unwrap();
        let key = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
        let key = NodeKey::from_bytes(&bytes(key)).unwrap();
        let public = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
        assert_eq!(key.public().0.to_bytes().to_vec(), bytes(public));
        let ciphertext = "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db\
                          21993c62ce81883d2dd1b51a28";
        let sealed = Sealed {
            enc: bytes("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"),
            ciphertext: bytes(ciphertext),
        };
        let opened = open_for(b"Ode on a Grecian Urn", &key, b"Count-0", &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"Beauty is truth, truth beauty");
        assert_eq!(open(&key, b"Count-0", &sealed), Err(OpenError), "it is for another use");
    }

    #[test]
    fn no_altered_bit_goes_unnoticed() {
        let node = NodeKey::generate();
        let sealed = seal(&node.public(), b"", b"token").unwrap();
        for bit in 0..sealed.ciphertext.len() * 8 {
            let mut altered = sealed.clone();
            altered.ciphertext[bit / 8] ^= 1 << (bit % 8);
            assert!(open(&node, b"", &altered).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_key_survives_its_file() {
        let node = NodeKey::generate();
        let again = NodeKey::from_bytes(node.to_bytes().as_slice()).unwrap();
        assert_eq!(again.public(), node.public());
        assert!(NodeKey::from_bytes(&[0; 31]).is_err());
    }

    #[test]
    fn nothing_is_sealed_to_a_key_of_low_order() {
        let zero = format!("{PREFIX}{}", BASE64_STANDARD.encode([0; 32]));
        if let Ok(key) = zero.parse::<NodePublicKey>() {
            assert_eq!(seal(&key, b"", b"token"), Err(SealError));
        }
    }
}
