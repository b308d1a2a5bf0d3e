//! The change feed that waits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The longest wait granted: proxies close connections that are silent for a minute.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What `POST …/edgepost/changes` takes; the answer is that of Horizon's `/changes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ChangesWait {
    /// The first change of interest: one more than the newest change already seen.
    pub change_id: i64,
    /// How many seconds the exchange may hold the answer back while there is none; at most 60.
    pub wait: u64,
}
