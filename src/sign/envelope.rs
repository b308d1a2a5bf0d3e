//! The bytes of a statement and the signatures over them: DSSE 1.0.2.

use std::collections::BTreeSet;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use serde::{Deserialize, Serialize};

use crate::{
    sign::{KeyId, PayloadType, SigningKey, VerifyingKey},
    types::{Digest, JsonProblem},
};

/// The largest envelope that is read, in bytes of JSON.
pub const MAX_ENVELOPE: usize = 1024 * 1024;

/// The most signatures that an envelope may carry; checking each costs time.
pub const MAX_SIGNATURES: usize = 16;

/// Why some bytes are not an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// More than [`MAX_ENVELOPE`].
    #[error("the envelope has {0} bytes, more than the 1 MiB allowed")]
    TooLarge(usize),
    /// More than [`MAX_SIGNATURES`].
    #[error("the envelope has {0} signatures, more than the 16 allowed")]
    TooManySignatures(usize),
    /// Not JSON of an envelope's shape, or of an unknown payload type.
    #[error("not an envelope")]
    Syntax(#[source] JsonProblem),
    /// The payload or a signature is not base64.
    #[error("the envelope's {field} is not base64")]
    Base64 {
        /// `payload` or `signature`.
        field: &'static str,
    },
    /// A signature that is no 64 bytes.
    #[error("a signature has {0} bytes instead of 64")]
    SignatureLength(usize),
}

/// A payload, what it is, and who signed it. Nothing is verified yet: only `trust` can say whether
/// the signers may say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct Envelope {
    payload_type: PayloadType,
    payload: Vec<u8>,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    /// A hint for the verifier, vouched for by nobody.
    keyid: String,
    sig: [u8; 64],
}

impl Envelope {
    /// Signs `payload` with each of `keys`.
    pub fn seal(payload_type: PayloadType, payload: Vec<u8>, keys: &[&SigningKey]) -> Self {
        let mut envelope = Self { payload_type, payload, signatures: Vec::new() };
        for key in keys {
            envelope.add_signature(key);
        }
        envelope
    }

    /// Signs it with one more key; a signature that this key has already given is replaced.
    pub fn add_signature(&mut self, key: &SigningKey) {
        let keyid = key.key_id().to_string();
        let sig = key.sign(&seal_pae(self.payload_type, &self.payload));
        self.signatures.retain(|it| it.keyid != keyid);
        self.signatures.push(Signature { keyid, sig });
    }

    /// Takes over from `other` what each of `keys` has really signed of this very statement; signatures that
    /// merely bear the name of such a key give way.
    pub fn take_signatures<'a>(
        &mut self,
        other: &Self,
        keys: impl IntoIterator<Item = &'a VerifyingKey>,
    ) {
        let signed = seal_pae(self.payload_type, &self.payload);
        for key in keys {
            let keyid = key.key_id().to_string();
            let holds = |it: &&Signature| it.keyid == keyid && key.verifies(&signed, &it.sig);
            if self.signatures.iter().any(|it| holds(&it)) {
                continue;
            }
            if let Some(signature) = other.signatures.iter().find(holds) {
                self.signatures.retain(|it| it.keyid != keyid);
                self.signatures.push(signature.clone());
            }
        }
    }

    /// What the payload is said to be; the signatures cover this too.
    pub fn payload_type(&self) -> PayloadType {
        self.payload_type
    }

    /// The very bytes that were signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The SHA-256 of the payload: the name of this statement in catalogs and pins.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.payload)
    }

    /// Which of `keys` have really signed. A key counts once, however many signatures bear its name
    /// and however often it stands among `keys`; a signature of an unknown key is skipped.
    pub fn verified_by<'a>(
        &self,
        keys: impl IntoIterator<Item = &'a VerifyingKey>,
    ) -> BTreeSet<KeyId> {
        let signed = seal_pae(self.payload_type, &self.payload);
        keys.into_iter()
            .map(|key| (key.key_id(), key))
            .filter(|(id, key)| {
                let hint = id.to_string();
                self.signatures
                    .iter()
                    .filter(|it| it.keyid == hint)
                    .any(|it| key.verifies(&signed, &it.sig))
            })
            .map(|(id, _)| id)
            .collect()
    }

    /// The keys that the signatures claim to be of, for messages: nothing here is verified.
    pub fn claimed_signers(&self) -> impl Iterator<Item = &str> {
        self.signatures.iter().map(|it| it.keyid.as_str())
    }

    /// Reads the JSON form.
    pub fn from_json(json: &[u8]) -> Result<Self, EnvelopeError> {
        if json.len() > MAX_ENVELOPE {
            return Err(EnvelopeError::TooLarge(json.len()));
        }
        let wire: Wire =
            serde_json::from_slice(json).map_err(|it| EnvelopeError::Syntax(it.into()))?;
        wire.try_into()
    }

    /// Writes the JSON form.
    #[expect(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "texts and numbers alone cannot fail to be written"
    )]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope is JSON")
    }
}

/// The bytes that are signed (DSSE, "PAE"): they cannot be taken for those of another type.
fn seal_pae(payload_type: PayloadType, payload: &[u8]) -> Vec<u8> {
    let name = payload_type.as_str();
    let mut bytes = format!("DSSEv1 {} {name} {} ", name.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// The JSON form (DSSE, "envelope"). Its fields are the standard's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Wire {
    payload_type: PayloadType,
    payload: String,
    signatures: Vec<WireSignature>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSignature {
    keyid: String,
    sig: String,
}

impl TryFrom<Wire> for Envelope {
    type Error = EnvelopeError;

    fn try_from(wire: Wire) -> Result<Self, EnvelopeError> {
        // Also here, for an envelope that came inside another body.
        if wire.payload.len() > MAX_ENVELOPE {
            return Err(EnvelopeError::TooLarge(wire.payload.len()));
        }
        if wire.signatures.len() > MAX_SIGNATURES {
            return Err(EnvelopeError::TooManySignatures(wire.signatures.len()));
        }
        let signature = |it: WireSignature| {
            let sig = decode("signature", &it.sig)?;
            let length = sig.len();
            let sig = sig.try_into().map_err(|_| EnvelopeError::SignatureLength(length))?;
            Ok(Signature { keyid: it.keyid, sig })
        };
        Ok(Self {
            payload_type: wire.payload_type,
            payload: decode("payload", &wire.payload)?,
            signatures: wire.signatures.into_iter().map(signature).collect::<Result<_, _>>()?,
        })
    }
}

impl From<Envelope> for Wire {
    fn from(envelope: Envelope) -> Self {
        let signature =
            |it: Signature| WireSignature { keyid: it.keyid, sig: BASE64_STANDARD.encode(it.sig) };
        Self {
            payload_type: envelope.payload_type,
            payload: BASE64_STANDARD.encode(&envelope.payload),
            signatures: envelope.signatures.into_iter().map(signature).collect(),
        }
    }
}

/// Reads either alphabet, as the standard asks.
fn decode(field: &'static str, text: &str) -> Result<Vec<u8>, EnvelopeError> {
    let alphabet = if text.contains(['-', '_']) { &BASE64_URL_SAFE } else { &BASE64_STANDARD };
    alphabet.decode(text).map_err(|_| EnvelopeError::Base64 { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(keys: &[&SigningKey]) -> Envelope {
        Envelope::seal(PayloadType::Stamp, br#"{"a":"~~~???"}"#.to_vec(), keys)
    }

    #[test]
    fn what_is_signed_is_the_standards_encoding() {
        assert_eq!(
            seal_pae(PayloadType::Stamp, b"hello world"),
            b"DSSEv1 38 application/vnd.edgepost.stamp.v1+json 11 hello world"
        );
    }

    #[test]
    fn an_envelope_survives_its_json() {
        let (one, two) = (SigningKey::generate(), SigningKey::generate());
        let envelope = sealed(&[&one, &two]);
        let read = Envelope::from_json(&envelope.to_json()).unwrap();
        assert_eq!(read, envelope);
        let keys = [one.verifying_key(), two.verifying_key()];
        assert_eq!(read.verified_by(&keys), BTreeSet::from([one.key_id(), two.key_id()]));
        assert_eq!(read.digest(), Digest::of(read.payload()));
    }

    #[test]
    fn an_envelope_has_a_length_that_it_may_have_and_no_more() {
        let read = |size: usize| {
            let mut json = sealed(&[&SigningKey::generate()]).to_json();
            json.resize(size, b' ');
            Envelope::from_json(&json)
        };
        assert!(read(MAX_ENVELOPE).is_ok());
        for size in [MAX_ENVELOPE + 1, MAX_ENVELOPE * 2] {
            assert!(matches!(read(size), Err(EnvelopeError::TooLarge(_))), "{size}");
        }
        let inside_another_body = |size: usize| {
            let payload_type = PayloadType::Stamp;
            Envelope::try_from(Wire { payload_type, payload: "A".repeat(size), signatures: vec![] })
        };
        assert!(inside_another_body(MAX_ENVELOPE).is_ok());
        for size in [MAX_ENVELOPE + 4, MAX_ENVELOPE * 2] {
            let read = inside_another_body(size);
            assert!(matches!(read, Err(EnvelopeError::TooLarge(_))), "{size}");
        }
    }

    #[test]
    fn both_alphabets_are_read() {
        let key = SigningKey::generate();
        let envelope = sealed(&[&key]);
        let standard = String::from_utf8(envelope.to_json()).unwrap();
        let payload = BASE64_STANDARD.encode(envelope.payload());
        assert!(payload.contains('/') || payload.contains('+'));
        let url_safe = standard.replace(&payload, &BASE64_URL_SAFE.encode(envelope.payload()));
        assert_ne!(url_safe, standard);
        assert_eq!(Envelope::from_json(url_safe.as_bytes()).unwrap(), envelope);
    }

    #[test]
    fn a_key_counts_once() {
        let key = SigningKey::generate();
        let mut envelope = sealed(&[&key, &key]);
        let signature = envelope.signatures[0].clone();
        envelope.signatures = vec![signature; 8];
        let keys = [key.verifying_key(), key.verifying_key()];
        assert_eq!(envelope.verified_by(&keys).len(), 1);
    }

    #[test]
    fn a_signature_under_another_keys_name_does_not_count() {
        let (key, other) = (SigningKey::generate(), SigningKey::generate());
        let mut envelope = sealed(&[&key]);
        let mut alias = envelope.signatures[0].clone();
        alias.keyid = other.key_id().to_string();
        envelope.signatures.push(alias);
        let keys = [key.verifying_key(), other.verifying_key()];
        assert_eq!(envelope.verified_by(&keys), BTreeSet::from([key.key_id()]));
    }

    #[test]
    fn a_bad_signature_does_not_hide_a_good_one() {
        let key = SigningKey::generate();
        let mut envelope = sealed(&[&key]);
        let bad = Signature { keyid: key.key_id().to_string(), sig: [0; 64] };
        envelope.signatures.insert(0, bad);
        assert_eq!(envelope.verified_by(&[key.verifying_key()]).len(), 1);
    }

    #[test]
    fn a_signature_is_for_one_type_only() {
        let key = SigningKey::generate();
        let mut envelope = sealed(&[&key]);
        envelope.payload_type = PayloadType::Trust;
        assert!(envelope.verified_by(&[key.verifying_key()]).is_empty());
    }

    #[test]
    fn signing_again_replaces() {
        let key = SigningKey::generate();
        let mut envelope = sealed(&[&key]);
        envelope.add_signature(&key);
        assert_eq!(envelope.claimed_signers().count(), 1);
    }

    #[test]
    fn only_what_a_key_has_really_signed_of_this_statement_is_taken_over() {
        let (one, two, three) =
            (SigningKey::generate(), SigningKey::generate(), SigningKey::generate());
        let keys = [one.verifying_key(), two.verifying_key()];
        let mut envelope = sealed(&[&one]);
        let mut false_one = sealed(&[&two]).signatures[0].clone();
        false_one.sig[0] ^= 1;
        envelope.signatures.push(false_one);

        envelope.take_signatures(&sealed(&[&one, &two, &three]), &keys);
        assert_eq!(envelope.claimed_signers().count(), 2);
        assert_eq!(envelope.verified_by(&keys).len(), 2);

        let mut other = Envelope::seal(PayloadType::Stamp, b"{}".to_vec(), &[]);
        other.take_signatures(&sealed(&[&one, &two]), &keys);
        assert_eq!(other.claimed_signers().count(), 0);
    }

    #[test]
    fn what_is_too_much_is_refused() {
        let key = SigningKey::generate();
        let mut envelope = sealed(&[&key]);
        envelope.signatures = vec![envelope.signatures[0].clone(); MAX_SIGNATURES + 1];
        assert!(Envelope::from_json(&envelope.to_json()).is_err());
        let large = Envelope::seal(PayloadType::Stamp, vec![b' '; MAX_ENVELOPE], &[&key]);
        let refused = Envelope::from_json(&large.to_json());
        assert!(matches!(refused, Err(EnvelopeError::TooLarge(_))));
    }

    #[test]
    fn other_json_is_refused() {
        let json = String::from_utf8(sealed(&[&SigningKey::generate()]).to_json()).unwrap();
        for (from, to) in [
            ("{\"payloadType\"", "{\"extra\":1,\"payloadType\""),
            ("\"payload\":", "\"payload\":\"\",\"payload\":"),
            ("\"sig\":", "\"cert\":\"\",\"sig\":"),
            ("stamp.v1", "stamp.v2"),
            ("\"sig\":\"", "\"sig\":\"AAAA"),
            ("\"sig\":\"", "\"sig\":\"?"),
            ("]}", "]}{}"),
        ] {
            let other = json.replacen(from, to, 1);
            assert_ne!(other, json, "{from}");
            assert!(Envelope::from_json(other.as_bytes()).is_err(), "{to}");
        }
    }
}
