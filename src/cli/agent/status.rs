//! `edgepost agent status`: what the node says of itself.

use crate::{
    agent::{PolicySource, Status, status},
    cli::{Context, agent::FolderArgs, code, error::CliError, output::table},
};

/// Shows what runs here, and what was refused.
pub(super) fn tell(folder: &FolderArgs, context: &Context) -> Result<(), CliError> {
    let status = status(&folder.data)?.ok_or_else(|| {
        CliError::new(code::NODE, "the node has not run yet")
            .at(folder.data.display())
            .help("edgepost agent run")
    })?;
    context.output.result(&status, || describe(&status));
    Ok(())
}

/// The status for people.
pub(super) fn describe(status: &Status) -> String {
    let services = status.services.iter().map(|it| {
        let state = serde_json::to_value(it.state).ok();
        let state = state.as_ref().and_then(|it| it.as_str()).unwrap_or("?");
        // Without an engine the images are there, and that is all.
        let state = if status.engine == "none" && state == "running" { "would run" } else { state };
        let state = state.to_owned();
        vec![it.service.to_string(), state, it.detail.clone().unwrap_or_default()]
    });
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
        + &refusals.collect::<String>()
        + &problems.collect::<String>()
}
