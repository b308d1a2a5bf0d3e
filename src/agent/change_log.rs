//! What changes on the node, as log lines that are written by default: each service that changes its state, each
//! document that is refused or does not fit, and whether newer state can be accepted.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    agent::{Status, Unfit},
    exchange::api::{RefusalReport, ServiceReport, ServiceState},
    types::ServiceId,
};

/// The target of these lines, by which a filter names them.
pub(super) const AGENT_LOG: &str = "agent";

/// Writes a line for everything in which `now` differs from `before`.
pub(super) fn record_changes(before: Option<&Status>, now: &Status) {
    record_services(before.map_or(&[][..], |it| &it.services), &now.services);
    record_refusals(before.map_or(&[][..], |it| &it.refusals), &now.refusals);
    record_unfit(before.map_or(&[][..], |it| &it.unfit), &now.unfit);
    let was_stale = before.is_some_and(|it| it.stale_since.is_some());
    match (was_stale, now.stale_since) {
        (false, Some(since)) => tracing::warn!(
            target: AGENT_LOG, event = "state.stale",
            %since, problems = now.problems.join("; "),
            "nothing newer can be accepted; what runs goes on"
        ),
        (true, None) => tracing::info!(
            target: AGENT_LOG, event = "state.fresh", stamp_seq = now.stamp_seq,
            "the newest state is accepted again"
        ),
        _ => {}
    }
}

fn record_services(before: &[ServiceReport], now: &[ServiceReport]) {
    let known: BTreeMap<&ServiceId, &ServiceReport> =
        before.iter().map(|it| (&it.service, it)).collect();
    for report in now {
        let earlier = known.get(&report.service);
        if earlier.is_some_and(|it| it.state == report.state && it.detail == report.detail) {
            continue;
        }
        let from = earlier.map_or("none", |it| state_name(it.state));
        let (service, to) = (&report.service, state_name(report.state));
        let detail = report.detail.as_deref().unwrap_or_default();
        if is_trouble(report.state) {
            tracing::warn!(
                target: AGENT_LOG, event = "service.state_changed", %service, from, to, detail,
                "a service does not run as it should"
            );
        } else {
            tracing::info!(
                target: AGENT_LOG, event = "service.state_changed", %service, from, to, detail,
                "a service has another state"
            );
        }
    }
    let named: BTreeSet<&ServiceId> = now.iter().map(|it| &it.service).collect();
    for gone in before.iter().filter(|it| !named.contains(&it.service)) {
        tracing::info!(
            target: AGENT_LOG, event = "service.state_changed",
            service = %gone.service, from = state_name(gone.state), to = "none", detail = "",
            "a service is not on this node any more"
        );
    }
}

fn record_refusals(before: &[RefusalReport], now: &[RefusalReport]) {
    let is_known = |new: &&RefusalReport| {
        before.iter().any(|it| it.document == new.document && it.attack == new.attack)
    };
    for refusal in now.iter().filter(|it| !is_known(it)) {
        let RefusalReport { document, attack, detail, .. } = refusal;
        tracing::warn!(
            target: AGENT_LOG, event = "document.refused", document, attack, detail,
            "a document is refused; what runs goes on"
        );
    }
    let is_over = |old: &&RefusalReport| {
        !now.iter().any(|it| it.document == old.document && it.attack == old.attack)
    };
    for RefusalReport { document, attack, .. } in before.iter().filter(is_over) {
        tracing::info!(
            target: AGENT_LOG, event = "document.refusal_over", document, attack,
            "a document is not refused any more"
        );
    }
}

fn record_unfit(before: &[Unfit], now: &[Unfit]) {
    for Unfit { document, reasons } in now.iter().filter(|it| !before.contains(it)) {
        tracing::info!(
            target: AGENT_LOG, event = "document.unfit",
            %document, reasons = reasons.join("; "),
            "a document does not fit this node"
        );
    }
}

/// Whether somebody may have to do something about a service.
fn is_trouble(state: ServiceState) -> bool {
    matches!(state, ServiceState::Failed | ServiceState::RolledBack | ServiceState::Unhealthy)
}

fn state_name(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Waiting => "waiting",
        ServiceState::Pulling => "pulling",
        ServiceState::Starting => "starting",
        ServiceState::Running => "running",
        ServiceState::Unhealthy => "unhealthy",
        ServiceState::Failed => "failed",
        ServiceState::RolledBack => "rolled-back",
        ServiceState::Stopped => "stopped",
        ServiceState::Unknown => "unknown",
    }
}
