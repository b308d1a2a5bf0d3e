//! Horizon's signature over a deployment: RSASSA-PSS with SHA-256, in base64.
//!
//! Private keys stay in aws-lc-rs; crate `rsa` only ever sees public ones (RUSTSEC-2023-0071 is about
//! private keys), because aws-lc-rs refuses the maximal salt that Horizon's own tools use.

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer as _,
    error::KeyRejected,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PSS_SHA256},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rsa::{PublicKey, pkcs8::DecodePublicKey as _, pss, signature::Verifier as _};
use rustls_pki_types::CertificateDer;
use sha2::Sha256;
use webpki::EndEntityCert;
use zeroize::Zeroizing;

use crate::types::pem::{self, PemProblem};

/// Why a text is not an RSA key, or a key could not sign.
#[derive(Debug, thiserror::Error)]
pub enum HorizonKeyError {
    /// Not PEM.
    #[error("expected {wanted} in PEM")]
    Pem {
        /// What kind of key was expected.
        wanted: &'static str,
        /// What is wrong with it.
        source: PemProblem,
    },
    /// PEM, and no section of the kind that is needed.
    #[error("expected {wanted}, but the PEM holds {labels}")]
    Kind {
        /// What kind of key was expected.
        wanted: &'static str,
        /// What the PEM says it holds.
        labels: String,
    },
    /// A private key that is not RSA, or shorter than 2048 bits.
    #[error("not a usable RSA private key: {reason}")]
    Private {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A public key that is not RSA.
    #[error("not a usable RSA public key: it is of another kind, or damaged")]
    Public,
    /// A certificate that cannot be read.
    #[error("not a readable X.509 certificate")]
    Certificate,
    /// The cryptographic library failed.
    #[error("the RSA operation failed")]
    Failed(#[source] aws_lc_rs::error::Unspecified),
}

/// An RSA private key as `hzn key create` makes it.
pub struct HorizonKey(KeyPair);

impl HorizonKey {
    /// A new key of 4096 bits, the size that `hzn key create` takes by default.
    pub fn generate() -> Result<Self, HorizonKeyError> {
        KeyPair::generate(KeySize::Rsa4096).map(Self).map_err(HorizonKeyError::Failed)
    }

    /// Reads PKCS#1 PEM, which is what `hzn` reads and writes, or PKCS#8 PEM.
    pub fn from_pem(text: &str) -> Result<Self, HorizonKeyError> {
        let wanted = "an RSA private key (PKCS#1 or PKCS#8)";
        let labels = ["RSA PRIVATE KEY", "PRIVATE KEY"];
        let section = pem::first_section(text, &labels)
            .map_err(|source| HorizonKeyError::Pem { wanted, source })?
            .ok_or_else(|| HorizonKeyError::Kind { wanted, labels: pem::labels(text) })?;
        let pair = match section.label.as_str() {
            "RSA PRIVATE KEY" => KeyPair::from_der(&section.der),
            _ => KeyPair::from_pkcs8(&section.der),
        };
        pair.map(Self).map_err(|rejected| HorizonKeyError::Private { reason: reason_of(&rejected) })
    }

    /// Writes PKCS#8 PEM.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, HorizonKeyError> {
        let der = self.0.as_der().map_err(HorizonKeyError::Failed)?;
        Ok(pem::write("PRIVATE KEY", der.as_ref()))
    }

    /// The public half, to give to nodes or to upload beside the service.
    pub fn public_pem(&self) -> Result<String, HorizonKeyError> {
        let der = self.0.public_key().as_der().map_err(HorizonKeyError::Failed)?;
        Ok((*pem::write("PUBLIC KEY", der.as_ref())).clone())
    }

    /// Signs the exact text of a deployment. The salt has 32 bytes; Horizon's verifier takes any.
    pub fn sign(&self, deployment: &str) -> Result<String, HorizonKeyError> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), deployment.as_bytes(), &mut signature)
            .map_err(HorizonKeyError::Failed)?;
        Ok(BASE64_STANDARD.encode(signature))
    }
}

/// What the short reasons of aws-lc-rs mean.
fn reason_of(rejected: &KeyRejected) -> &'static str {
    match rejected.to_string().as_str() {
        "TooSmall" => "it has fewer than 2048 bits",
        "TooLarge" => "it has more bits than are supported",
        "WrongAlgorithm" => "it is a key of another kind",
        "VersionNotSupported" => "its version is not supported",
        _ => "it is damaged, or a key of another kind",
    }
}

impl fmt::Debug for HorizonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HorizonKey({} bits)", self.0.public_modulus_len() * 8)
    }
}

/// The public key that checks Horizon's signatures.
#[derive(Debug, Clone)]
pub struct HorizonPublicKey(PublicKey);

impl HorizonPublicKey {
    /// Reads the first section of SPKI PEM, or of a certificate, of which only the key is taken: like
    /// Horizon's tools we ask nobody to vouch for it.
    pub fn from_pem(text: &str) -> Result<Self, HorizonKeyError> {
        let wanted = "an RSA public key or certificate";
        let section = pem::sections(text)
            .map_err(|source| HorizonKeyError::Pem { wanted, source })?
            .into_iter()
            .next()
            .filter(|it| matches!(it.label.as_str(), "PUBLIC KEY" | "CERTIFICATE"))
            .ok_or_else(|| HorizonKeyError::Kind { wanted, labels: pem::labels(text) })?;
        let spki = if section.label == "CERTIFICATE" {
            EndEntityCert::try_from(&CertificateDer::from(section.der.as_slice()))
                .map_err(|_| HorizonKeyError::Certificate)?
                .subject_public_key_info()
                .to_vec()
        } else {
            section.der.to_vec()
        };
        PublicKey::from_public_key_der(&spki).map(Self).map_err(|_| HorizonKeyError::Public)
    }

    /// Whether `signature`, in base64, is this key's over the exact text of a deployment, with a salt of
    /// any length.
    pub fn verifies(&self, deployment: &str, signature: &str) -> bool {
        let key = pss::VerifyingKey::<Sha256>::new_with_auto_salt_len(self.0.clone());
        BASE64_STANDARD
            .decode(signature)
            .ok()
            .and_then(|bytes| pss::Signature::try_from(bytes.as_slice()).ok())
            .is_some_and(|signature| key.verify(deployment.as_bytes(), &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PKCS1: &str = include_str!("../../../tests/fixtures/horizon/pkcs1.pem");
    const PKCS8: &str = include_str!("../../../tests/fixtures/horizon/pkcs8.pem");
    const CERTIFICATE: &str = include_str!("../../../tests/fixtures/horizon/certificate.pem");

    #[derive(serde::Deserialize)]
    struct Vector {
        message: String,
        public_key_pem: String,
        signature_b64: String,
        valid: bool,
    }

    #[test]
    fn verdicts_are_those_of_horizon() {
        assert_eq!(agrees(include_str!("../../../tests/fixtures/horizon/rsa_pss.jsonl")), 24);
    }

    /// How many vectors there are; each must be judged as Horizon judges it.
    fn agrees(vectors: &str) -> usize {
        let mut seen = 0;
        for line in vectors.lines() {
            let vector: Vector = serde_json::from_str(line).unwrap();
            let key = HorizonPublicKey::from_pem(&vector.public_key_pem).unwrap();
            assert_eq!(
                key.verifies(&vector.message, &vector.signature_b64),
                vector.valid,
                "{line}"
            );
            seen += 1;
        }
        seen
    }

    #[test]
    fn a_key_of_either_form_signs_what_its_public_half_verifies() {
        let certificate = HorizonPublicKey::from_pem(CERTIFICATE).unwrap();
        for pem in [PKCS1, PKCS8] {
            let key = HorizonKey::from_pem(pem).unwrap();
            let signature = key.sign("{}").unwrap();
            let public = HorizonPublicKey::from_pem(&key.public_pem().unwrap()).unwrap();
            for public in [&public, &certificate] {
                assert!(public.verifies("{}", &signature));
                assert!(!public.verifies("{} ", &signature));
            }
        }
    }

    #[test]
    fn a_key_survives_its_file() {
        let key = HorizonKey::from_pem(PKCS1).unwrap();
        assert_eq!(key.to_pem().unwrap().as_str(), PKCS8);
    }

    #[test]
    fn other_keys_are_refused_with_a_reason() {
        let ed25519 = crate::sign::SigningKey::generate();
        let private = HorizonKey::from_pem(&ed25519.to_pem());
        assert!(matches!(private, Err(HorizonKeyError::Private { .. })));
        let public = HorizonPublicKey::from_pem(&ed25519.verifying_key().to_pem());
        assert!(matches!(public, Err(HorizonKeyError::Public)));
        assert!(matches!(HorizonPublicKey::from_pem(PKCS8), Err(HorizonKeyError::Kind { .. })));
        assert!(matches!(HorizonKey::from_pem("nonsense"), Err(HorizonKeyError::Pem { .. })));
    }
}
