//! `edgepost agent status`: what the node says of itself.

use crate::{
    agent::{Identity, NodeFolder, PolicySource, Status, status},
    cli::{Context, agent::FolderArgs, code, error::CliError, output::table},
    exchange::api::{ServiceReport, ServiceState},
};

/// Shows what runs here, and what was refused.
pub(super) fn tell(folder: &FolderArgs, context: &Context) -> Result<(), CliError> {
    let Some(status) = status(&folder.data)? else { return Err(without_status(folder)) };
    context.output.result(&status, || describe(&status));
    Ok(())
}

/// Why there is no status: nothing is registered here, or the node has never run.
fn without_status(folder: &FolderArgs) -> CliError {
    let what = match Identity::find(&NodeFolder::at(&folder.data)) {
        Ok(Some(identity)) => {
            return CliError::new(code::NODE, format!("node {} has never run", identity.node))
                .at(folder.data.display())
                .help("edgepost agent run");
        }
        Ok(None) => CliError::new(code::NODE, "no node is registered in this folder"),
        Err(error) => {
            CliError::new(code::NODE, "the identity of the node cannot be read").because(&error)
        }
    };
    what.at(folder.data.display())
        .help("edgepost agent register; or check --data, or EDGEPOST_NODE_DATA")
}

/// The status for people.
pub(super) fn describe(status: &Status) -> String {
    let services = status.services.iter().map(|it| {
        let state = serde_json::to_value(it.state).ok();
        let state = state.as_ref().and_then(|it| it.as_str()).unwrap_or("?");
        // Without an engine the images are there, and that is all.
        let state = if status.engine == "none" && state == "running" { "would run" } else { state };
        vec![it.service.to_string(), state.to_owned(), detail(it, &status.services)]
    });
    let unfit = status
        .unfit
        .iter()
        .map(|it| format!("unfit    {}: {}\n", it.document, it.reasons.join("; ")));
    let refusals = status
        .refusals
        .iter()
        .map(|it| format!("refused  {} {}: {}\n", it.attack, it.document, it.detail));
    let problems = status.problems.iter().map(|it| format!("problem  {it}\n"));
    let stale = status.stale_since.map(|it| format!("stale since {it}\n")).unwrap_or_default();
    let imported = status.imported.as_ref().map_or_else(String::new, |it| {
        let waived = if it.expiry_waived { ", though it had expired: root said so" } else { "" };
        format!("stamp {} came in a bundle at {}{waived}\n", it.stamp_seq, it.at)
    });
    let policy = match status.policy {
        PolicySource::Registration => String::new(),
        PolicySource::Published { seq } => format!("policy published for this node, seq {seq}\n"),
        PolicySource::Awaited => "policy published for this node, not here yet\n".to_owned(),
        PolicySource::Void => {
            "policy published for this node, vouched for by nobody: no policy counts\n".to_owned()
        }
    };
    let carried_over = status.carried_over.iter().map(|it| {
        format!("allowed  {it}: in use when the agent was upgraded; `edgepost agent allow --remove` ends it\n")
    });
    format!(
        "node {} of {}, engine {}, seen {}\n",
        status.node, status.exchange, status.engine, status.at
    ) + &policy
        + &stale
        + &imported
        + &table(&["SERVICE", "STATE", ""], services)
        + &carried_over.collect::<String>()
        + &unfit.collect::<String>()
        + &refusals.collect::<String>()
        + &problems.collect::<String>()
}

/// What went wrong with a service or is awaited, and which version of it runs meanwhile.
fn detail(report: &ServiceReport, all: &[ServiceReport]) -> String {
    let detail = report.detail.clone().unwrap_or_default();
    if !matches!(report.state, ServiceState::Failed | ServiceState::RolledBack) {
        return detail;
    }
    let (failed, runs) = (&report.service, ServiceState::Running);
    let other = all.iter().find(|it| {
        it.state == runs && it.service.org == failed.org && it.service.url == failed.url
    });
    match other {
        Some(other) => {
            format!("{} failed, {} runs: {detail}", failed.version, other.service.version)
        }
        None => detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(version: &str, state: ServiceState, detail: Option<&str>) -> ServiceReport {
        ServiceReport {
            service: crate::types::ServiceId {
                org: "acme".parse().unwrap(),
                url: "web".parse().unwrap(),
                version: version.parse().unwrap(),
                arch: "amd64".parse().unwrap(),
            },
            state,
            images: Vec::new(),
            since: jiff::Timestamp::UNIX_EPOCH,
            detail: detail.map(str::to_owned),
        }
    }

    #[test]
    fn version_that_failed_names_the_one_that_runs() {
        let failed = report("2.0.0", ServiceState::RolledBack, Some("container a ended"));
        let running = report("1.0.0", ServiceState::Running, None);
        let all = [failed.clone(), running.clone()];
        assert_eq!(detail(&failed, &all), "2.0.0 failed, 1.0.0 runs: container a ended");
        assert_eq!(detail(&running, &all), "");
        assert_eq!(detail(&failed, &all[..1]), "container a ended");
    }
}
