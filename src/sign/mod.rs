//! How a statement is signed: keys, envelopes, and other people's signatures.
//!
//! Everything of ours is DSSE over pure Ed25519, judged by the strict rules alone; the payload type
//! fixes the algorithm, so there is nothing to negotiate. Whether a signer may say what it says is
//! the business of `trust`.

pub mod compat;
pub mod encrypted;
pub mod envelope;
pub mod key;
pub mod key_id;
pub mod payload_type;
pub mod sealed;

pub use encrypted::EncryptedKeyError;
pub use envelope::{Envelope, EnvelopeError};
pub use key::{KeyError, SigningKey, VerifyingKey};
pub use key_id::{KeyId, ParseKeyIdError};
pub use payload_type::{PayloadType, UnknownPayloadTypeError};
