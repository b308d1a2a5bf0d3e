//! The node's account of itself, written down and handed in.

use std::time::{Duration, Instant};

use crate::{
    agent::{
        Agent, Status, change_log::record_changes, outcome::Notes, plan::Instance,
        runtime::ContainerState, select::Selection, settle::told,
    },
    exchange::{
        api::{
            ContainerStatus, NodeReport, NodeStatusRequest, RunningService, ServiceReport,
            ServiceState,
        },
        client::{ExchangeClient, ExchangeError},
    },
    types::NodeId,
};

/// The report that the exchange has.
#[derive(Debug)]
pub(super) struct Reported {
    report: NodeReport,
    at: Instant,
}

impl Reported {
    /// Whether the exchange need not hear of `now` yet. That a newer stamp was seen is told together with the
    /// next thing that is news, or after `patience`: else every publish would bring a report of every node.
    fn will_do(&self, now: &NodeReport, patience: Duration) -> bool {
        if self.report == *now {
            return true;
        }
        let (stamp_seq, stamp_sha256) = (now.stamp_seq, now.stamp_sha256);
        let same_but_stamp = NodeReport { stamp_seq, stamp_sha256, ..self.report.clone() } == *now;
        same_but_stamp && self.at.elapsed() < patience
    }
}

impl Agent {
    /// What the node can say after what was noticed.
    pub(super) fn status(&self, notes: Notes, selection: &Selection) -> Status {
        let marks = &self.accepted.kept.marks;
        let status = Status {
            node: self.identity.node.clone(),
            exchange: self.identity.exchange.clone(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            engine: self.runtime.name().to_owned(),
            at: notes.now,
            stale_since: notes.stale.then_some(notes.now),
            trust_version: self.accepted.trust.version(),
            stamp_seq: marks.stamp_seq,
            stamp_sha256: marks.stamp_sha256,
            imported: None,
            services: notes.services,
            carried_over: self.carried_over.clone(),
            unfit: selection.unfit.clone(),
            policy: selection.policy,
            refusals: notes.refusals,
            problems: notes.problems,
        };
        status.with_history(self.last.as_ref())
    }

    /// What runs, as Horizon's tools read it.
    async fn horizon_status(&self, status: &Status) -> NodeStatusRequest {
        let node = &self.identity.node;
        let containers = self.runtime.list(node).await.unwrap_or_default();
        let running = |service: &&ServiceReport| {
            matches!(service.state, ServiceState::Running | ServiceState::Starting)
        };
        let services = status.services.iter().filter(running).map(|it| {
            let instance = Instance::of(node, &it.service.org, &it.service.url);
            let ours = containers.iter().filter(|it| it.instance() == instance.0 && !it.kept);
            RunningService {
                agreement_id: Instance::id(node, &it.service.org, &it.service.url),
                service_url: it.service.url.to_string(),
                orgid: it.service.org.to_string(),
                version: it.service.version.to_string(),
                arch: it.service.arch.to_string(),
                container_status: ours
                    .map(|it| ContainerStatus {
                        name: it.name.clone(),
                        image: it.image.clone(),
                        created: it.created,
                        state: state_name(it.state).to_owned(),
                    })
                    .collect(),
                operator_status: None,
                config_state: None,
            }
        });
        NodeStatusRequest { connectivity: None, services: services.collect() }
    }

    /// Writes the account down.
    pub(super) fn write_down(&mut self, status: &Status) {
        record_changes(self.last.as_ref(), status);
        if let Err(error) = status.save(&self.folder) {
            tracing::error!(
                event = "status.write_failed",
                error = %told(&error),
                "`agent status` shows the status before this one"
            );
        }
        self.last = Some(status.clone());
    }

    /// Writes the account down, and hands it to the exchange if it has changed.
    pub(super) async fn tell(&mut self, status: &Status) {
        self.write_down(status);
        if self.carried.is_some() {
            return;
        }
        let report = status.report();
        if self.reported.as_ref().is_some_and(|it| it.will_do(&report, self.config.poll / 2)) {
            return;
        }
        let node = &self.identity.node.id;
        let sent = match put_report(&self.exchange, node, &report).await {
            Ok(()) => self.exchange.put_node_status(node, &self.horizon_status(status).await).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(()) => self.reported = Some(Reported { report, at: Instant::now() }),
            Err(error) => tracing::info!(error = %told(&error), "the report is for later"),
        }
    }
}

/// Hands a report to the exchange. An exchange of an earlier version takes none that says what does not fit.
pub(super) async fn put_report(
    exchange: &ExchangeClient,
    node: &NodeId,
    report: &NodeReport,
) -> Result<(), ExchangeError> {
    match exchange.put_report(node, report).await {
        Err(ExchangeError::Invalid { .. }) if !report.unfit.is_empty() => {
            let report = NodeReport { unfit: Vec::new(), ..report.clone() };
            exchange.put_report(node, &report).await
        }
        sent => sent,
    }
}

fn state_name(state: ContainerState) -> &'static str {
    match state {
        ContainerState::Running => "running",
        ContainerState::Restarting => "restarting",
        ContainerState::Stopped => "exited",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exchange::api::RefusalReport, types::Digest};

    #[test]
    fn a_newer_stamp_alone_is_told_later_and_a_refusal_at_once() {
        let report = NodeReport {
            agent_version: "0.1.0".to_owned(),
            stamp_seq: 7,
            stamp_sha256: Some(Digest::of(b"7")),
            services: Vec::new(),
            refusals: Vec::new(),
            unfit: Vec::new(),
        };
        let told = Reported { report: report.clone(), at: Instant::now() };
        let hour = Duration::from_hours(1);
        let newer = NodeReport { stamp_seq: 8, stamp_sha256: None, ..report.clone() };
        assert!(told.will_do(&report, Duration::ZERO));
        assert!(told.will_do(&newer, hour));
        assert!(!told.will_do(&newer, Duration::ZERO));
        let refusal = RefusalReport {
            document: "stamp".to_owned(),
            attack: "rollback".to_owned(),
            detail: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
        };
        assert!(!told.will_do(&NodeReport { refusals: vec![refusal], ..newer }, hour));
    }
}
