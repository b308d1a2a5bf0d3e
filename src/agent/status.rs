//! What the node says about itself: on its own disk, and to the exchange.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    agent::{
        folder::{self, FolderError, NodeFolder},
        select::{PolicySource, Unfit},
        settle::LONGEST_DETAIL,
    },
    document::HostAccess,
    exchange::api::{MOST_UNFIT, NodeReport, RefusalReport, ServiceReport, UnfitReport},
    types::{Digest, NodeRef, escape_foreign},
};

/// A bundle that brought the node its newest state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// When.
    pub at: Timestamp,
    /// The number of the stamp in it.
    pub stamp_seq: u64,
    /// Whether whoever is root here had it taken without asking whether that stamp still held.
    pub expiry_waived: bool,
}

/// The agent's account of itself, as of its last pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The node.
    pub node: NodeRef,
    /// The exchange it belongs to.
    pub exchange: String,
    /// The agent's version.
    pub agent_version: String,
    /// The engine that runs its containers: `docker`, `podman` or `none`.
    pub engine: String,
    /// When this was written.
    pub at: Timestamp,
    /// Since when nothing newer could be accepted, if so; what runs goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_since: Option<Timestamp>,
    /// The version of the trust it has walked to.
    pub trust_version: u64,
    /// The number of the newest stamp it accepted.
    pub stamp_seq: u64,
    /// The digest of that stamp.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp_sha256: Option<Digest>,
    /// The bundle that brought that stamp, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// The services it should run, and those it still runs.
    #[serde(default)]
    pub services: Vec<ServiceReport>,
    /// Which policy of the node counts.
    #[serde(default)]
    pub policy: PolicySource,
    /// What services of it can use of the host only since they did when the agent was upgraded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried_over: Vec<HostAccess>,
    /// What it does not run, and why.
    #[serde(default)]
    pub unfit: Vec<Unfit>,
    /// What it did not accept.
    #[serde(default)]
    pub refusals: Vec<RefusalReport>,
    /// What else went wrong, in words.
    #[serde(default)]
    pub problems: Vec<String>,
}

impl Status {
    /// What of it goes to the exchange: parsed values, and text of one line and some length.
    pub fn report(&self) -> NodeReport {
        let text = |text: &String| escape_foreign(text, LONGEST_DETAIL);
        let services = self
            .services
            .iter()
            .map(|it| ServiceReport { detail: it.detail.as_ref().map(text), ..it.clone() });
        let refusals = self.refusals.iter().map(|it| RefusalReport {
            document: text(&it.document),
            attack: text(&it.attack),
            detail: text(&it.detail),
            ..it.clone()
        });
        let unfit = self.unfit.iter().take(MOST_UNFIT).map(Unfit::report);
        let unfit = unfit.map(|it| UnfitReport { reason: text(&it.reason), ..it });
        NodeReport {
            agent_version: self.agent_version.clone(),
            stamp_seq: self.stamp_seq,
            stamp_sha256: self.stamp_sha256,
            services: services.collect(),
            refusals: refusals.collect(),
            unfit: unfit.collect(),
        }
    }

    pub(super) fn save(&self, folder: &NodeFolder) -> Result<(), FolderError> {
        // Every key is a text and every number an integer, so that this cannot fail.
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        folder::write_whole(&folder.status(), &bytes)
    }

    /// A moment in it is when something was first seen, as long as that thing has not changed.
    pub(super) fn with_history(mut self, before: Option<&Self>) -> Self {
        let Some(before) = before else {
            return self;
        };
        for service in &mut self.services {
            let same =
                |it: &&ServiceReport| it.service == service.service && it.state == service.state;
            if let Some(earlier) = before.services.iter().find(same) {
                service.since = earlier.since;
            }
        }
        for refusal in &mut self.refusals {
            let same = |it: &&RefusalReport| {
                it.document == refusal.document && it.attack == refusal.attack
            };
            if let Some(earlier) = before.refusals.iter().find(same) {
                refusal.at = earlier.at;
            }
        }
        if self.imported.is_none() && self.stamp_seq == before.stamp_seq {
            self.imported.clone_from(&before.imported);
        }
        if self.stale_since.is_some() && before.stale_since.is_some() {
            self.stale_since = before.stale_since;
        }
        self
    }
}

/// What the agent in `data` last said about itself; nothing if it never ran.
pub fn status(data: &Path) -> Result<Option<Status>, FolderError> {
    let folder = NodeFolder::at(data);
    let Some(bytes) = folder::read(&folder.status())? else {
        return Ok(None);
    };
    match serde_json::from_slice(&bytes) {
        Ok(status) => Ok(Some(status)),
        Err(error) => Err(FolderError::malformed(&folder.status(), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::api::ServiceState;

    fn running_since(second: i64) -> Status {
        let at = Timestamp::from_second(second).unwrap();
        Status {
            node: "acme/pump-7".parse().unwrap(),
            exchange: "http://127.0.0.1:1".to_owned(),
            agent_version: "0.1.0".to_owned(),
            engine: "none".to_owned(),
            at,
            stale_since: Some(at),
            trust_version: 1,
            stamp_seq: 3,
            stamp_sha256: Some(Digest::of(b"stamp")),
            imported: Some(Imported { at, stamp_seq: 3, expiry_waived: true }),
            services: vec![ServiceReport {
                service: crate::types::ServiceId {
                    org: "acme".parse().unwrap(),
                    url: "web".parse().unwrap(),
                    version: "1.0.0".parse().unwrap(),
                    arch: "amd64".parse().unwrap(),
                },
                state: ServiceState::Running,
                images: Vec::new(),
                since: at,
                detail: None,
            }],
            policy: PolicySource::Published { seq: 2 },
            carried_over: vec!["host-path=/var/data:ro".parse().unwrap()],
            unfit: Vec::new(),
            refusals: Vec::new(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_status_reads_what_it_writes() {
        let data = tempfile::tempdir().unwrap();
        let folder = NodeFolder::open(data.path()).unwrap();
        assert_eq!(status(data.path()).unwrap(), None);

        running_since(1).save(&folder).unwrap();

        assert_eq!(status(data.path()).unwrap(), Some(running_since(1)));
    }

    /// An exchange, a registry and an engine put what they like into their messages.
    #[test]
    fn a_report_holds_text_of_one_line_and_some_length() {
        let mut status = running_since(1);
        let hostile = format!("\u{1b}]0;x\u{7}\u{202e}\n{}", "x".repeat(1 << 20));
        status.services[0].detail = Some(hostile.clone());
        status.refusals.push(RefusalReport {
            document: hostile.clone(),
            attack: hostile.clone(),
            detail: hostile,
            at: Timestamp::UNIX_EPOCH,
        });
        let report = status.report();
        let refusal = &report.refusals[0];
        let detail = report.services[0].detail.as_ref().unwrap();
        for text in [detail, &refusal.document, &refusal.attack, &refusal.detail] {
            assert!(text.starts_with(r"\u{1b}]0;x\u{7}\u{202e}\nxxx"), "{}", &text[..40]);
            assert!(text.chars().count() <= LONGEST_DETAIL + 1, "{}", text.len());
        }
    }

    #[test]
    fn what_has_not_changed_keeps_its_moment() {
        let later = running_since(9).with_history(Some(&running_since(1)));
        assert_eq!(later.services[0].since, Timestamp::from_second(1).unwrap());
        assert_eq!(later.stale_since, Some(Timestamp::from_second(1).unwrap()));
        assert_eq!(later.at, Timestamp::from_second(9).unwrap());
    }
}
