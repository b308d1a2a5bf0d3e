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
    /// The documents that do not fit it: at most [`MOST_UNFIT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unfit: Vec<UnfitReport>,
}

/// The most documents that a report says do not fit.
pub const MOST_UNFIT: usize = 32;
/// The longest reason of one, in bytes.
pub const LONGEST_REASON: usize = 500;
/// The refusal of a service that needs more of the host than its owner allows. It is no attack.
pub const HOST_ACCESS: &str = "host-access";

/// A document that does not fit a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnfitReport {
    /// The document's key.
    pub document: String,
    /// Every reason, with the clause that does not hold; at most [`LONGEST_REASON`].
    pub reason: String,
}

/// How a node does as a whole, by its newest report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It refuses something of what it is given.
    Refusing,
    /// A service could not be pulled or started, or does not stay up.
    Failing,
    /// Images are on their way, or containers are being started.
    Pulling,
    /// All that it should run runs.
    Running,
    /// It runs nothing, since nothing that is published fits it.
    Unfit,
    /// There is nothing for it to run.
    Idle,
    /// A state of a newer exchange.
    #[serde(other)]
    Unknown,
}

impl NodeReport {
    /// How the node does as a whole: the gravest of what it says.
    pub fn state(&self) -> NodeState {
        use ServiceState as S;
        let has = |states: &[S]| self.services.iter().any(|it| states.contains(&it.state));
        let refuses_access = self.refusals.iter().any(|it| it.attack == HOST_ACCESS);
        match () {
            () if self.refusals.iter().any(|it| it.attack != HOST_ACCESS) => NodeState::Refusing,
            () if has(&[S::Failed, S::RolledBack, S::Unhealthy, S::Unknown]) => NodeState::Failing,
            () if has(&[S::Pulling, S::Waiting, S::Starting]) => NodeState::Pulling,
            () if has(&[S::Running]) => NodeState::Running,
            () if refuses_access || !self.unfit.is_empty() => NodeState::Unfit,
            () => NodeState::Idle,
        }
    }
}

/// What `GET …/edgepost/states` answers: how the nodes do that the caller may see and that have reported, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStates {
    /// A page of them.
    pub nodes: BTreeMap<NodeId, ReportedState>,
    /// What to ask for as `after` to get the next page; nothing on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<NodeId>,
}

/// How a node does, by its newest report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedState {
    /// How it does as a whole.
    pub state: NodeState,
    /// When the exchange received the report.
    pub received: Timestamp,
}

/// The most nodes that one page of states has.
pub const MOST_STATES: u32 = 1000;

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
            unfit: Vec::new(),
        };
        let received = ReceivedReport { report, received: Timestamp::UNIX_EPOCH };
        let text = serde_json::to_string(&received).unwrap();
        assert_eq!(serde_json::from_str::<ReceivedReport>(&text).unwrap(), received);
    }

    #[test]
    fn state_of_a_node_is_the_gravest_of_what_it_says() {
        use ServiceState as S;
        let service = |state| ServiceReport {
            service: ServiceId {
                org: "acme".parse().unwrap(),
                url: "web".parse().unwrap(),
                version: "1.0.0".parse().unwrap(),
                arch: "amd64".parse().unwrap(),
            },
            state,
            images: Vec::new(),
            since: Timestamp::UNIX_EPOCH,
            detail: None,
        };
        let refusal = |attack: &str| RefusalReport {
            document: "stamp".to_owned(),
            attack: attack.to_owned(),
            detail: String::new(),
            at: Timestamp::UNIX_EPOCH,
        };
        let unfit = || UnfitReport { document: "policy/p".to_owned(), reason: String::new() };
        let state = |services: &[ServiceState], refusals: &[&str], is_unfit: bool| {
            NodeReport {
                agent_version: "0.1.0".to_owned(),
                stamp_seq: 7,
                stamp_sha256: None,
                services: services.iter().copied().map(service).collect(),
                refusals: refusals.iter().map(|it| refusal(it)).collect(),
                unfit: is_unfit.then(unfit).into_iter().collect(),
            }
            .state()
        };
        assert_eq!(state(&[], &[], false), NodeState::Idle);
        assert_eq!(state(&[], &[], true), NodeState::Unfit);
        assert_eq!(state(&[], &[HOST_ACCESS], false), NodeState::Unfit);
        assert_eq!(state(&[S::Running], &[], true), NodeState::Running);
        assert_eq!(state(&[S::Running, S::Pulling], &[], true), NodeState::Pulling);
        assert_eq!(state(&[S::Running, S::Pulling, S::RolledBack], &[], false), NodeState::Failing);
        assert_eq!(state(&[S::Failed], &["rollback"], false), NodeState::Refusing);
    }
}
