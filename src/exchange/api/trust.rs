//! The exchange's own key, and the newest trust of an organization.

use serde::{Deserialize, Serialize};

use crate::sign::VerifyingKey;

/// The answer of `GET …/edgepost/stamp-key`: the key that a trust document names for stamps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StampKey {
    /// The exchange's online key.
    pub key: VerifyingKey,
}

/// The answer of `GET …/edgepost/trust`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustHead {
    /// The version of the newest trust document.
    pub newest: u64,
}
