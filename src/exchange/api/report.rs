//! What a node says about itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::types::{Digest, NodeId, PinnedImage, ServiceId};

/// A node's own account, at `…/edgepost/nodes/{id}/report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeReport {
    /// The agent's version.
    pub agent_version: String,
    /// The sequence number of the newest stamp the node accepted; 0 before the first.
    pub stamp_seq: u64,
    /// The digest of that stamp's payload. Two nodes with one number and two digests were shown
    /// two truths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp_sha256: Option<Digest>,
    /// The services the node should run, and those it still runs.
    #[serde(default)]
    pub services: Vec<ServiceReport>,
    /// The documents it did not accept.
    #[serde(default)]
    pub refusals: Vec<RefusalReport>,
}

/// How one service does on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceReport {
    /// Which service.
    pub service: ServiceId,
    /// How it does.
    pub state: ServiceState,
    /// The images it runs from.
    #[serde(default)]
    pub images: Vec<PinnedImage>,
    /// Since when it has been in this state.
    pub since: Timestamp,
    /// What went wrong, or what is awaited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How a service does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ServiceState {
    /// Chosen, and nothing done yet.
    Waiting,
    /// Its images are on their way.
    Pulling,
    /// Its containers are being started.
    Starting,
    /// It runs, and is healthy as far as it can be asked.
    Running,
    /// It runs, and says that it is not well.
    Unhealthy,
    /// It could not be pulled or started.
    Failed,
    /// It failed, and the version before it runs again.
    RolledBack,
    /// It is being stopped, or has been.
    Stopped,
    /// Nobody can tell, since the engine does not answer; or a state of a newer agent.
    #[serde(other)]
    Unknown,
}

/// A document that a node did not accept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalReport {
    /// The document's key, or `trust`, `stamp`, `catalog`; `exchange` for an answer that is none of them.
    pub document: String,
    /// The stable name of what is wrong, as in `trust::Refusal::attack` and `ExchangeError::attack`.
    pub attack: String,
    /// The same in words.
    pub detail: String,
    /// When it was first seen.
    pub at: Timestamp,
}

/// What `GET …/edgepost/refusals` answers: the nodes that refuse something of what they are given, and
/// the names of the attacks that it looks like (the words are in each node's report); and as `split-view`
/// those that were shown another stamp than others under one number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusingNodes {
    /// By the names of the nodes.
    pub nodes: BTreeMap<NodeId, BTreeSet<String>>,
    /// Whether there are more such nodes than one answer holds ([`MOST_REFUSING`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// The most nodes in one answer about refusals.
pub const MOST_REFUSING: u32 = 10_000;

/// A report, as the exchange hands it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedReport {
    /// What the node said.
    #[serde(flatten)]
    pub report: NodeReport,
    /// When the exchange heard it.
    pub received: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_of_a_newer_agent_is_read() {
        assert_eq!(
            serde_json::from_str::<ServiceState>(r#""dreaming""#).unwrap(),
            ServiceState::Unknown
        );
        assert_eq!(serde_json::to_string(&ServiceState::RolledBack).unwrap(), r#""rolled-back""#);
    }

    #[test]
    fn a_received_report_reads_what_it_writes() {
        let report = NodeReport {
            agent_version: "0.1.0".to_owned(),
            stamp_seq: 7,
            stamp_sha256: Some(Digest::of(b"stamp")),
            services: Vec::new(),
            refusals: Vec::new(),
        };
        let received = ReceivedReport { report, received: Timestamp::UNIX_EPOCH };
        let text = serde_json::to_string(&received).unwrap();
        assert_eq!(serde_json::from_str::<ReceivedReport>(&text).unwrap(), received);
    }
}
