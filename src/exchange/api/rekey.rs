//! A change of the key by which logins are encrypted at rest.

use serde::{Deserialize, Serialize};

/// What `POST /admin/edgepost/rekey` takes. One request rewrites a bounded number of logins; the next
/// goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RekeyRequest {
    /// The key to change to, as an earlier answer named it. Without it the change that was broken off
    /// is finished, or a new one begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toward: Option<i64>,
}

/// How far the change is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rekeyed {
    /// The number of the key that is changed to.
    pub key_version: i64,
    /// How many logins this request has rewritten.
    pub rewritten: u64,
    /// How many still need an older key; at 0 that key is gone.
    pub left: u64,
    /// Some of those that no key opens, as `org/service: registry`: they must be set anew or removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<String>,
}
