//! `edgepost node`: registered nodes, as the exchange sees them.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::{
    cli::{
        Context, code,
        documents::{Newest, without_org},
        error::{CliError, missing},
        removal::ForceArgs,
        trust::PinArgs,
    },
    exchange::api::Node,
    types::{NodeId, ids::ParseIdError},
};

/// Registered nodes
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List the nodes you may see, and the attacks that they have refused of late; split-view: others were shown
    /// another state under the same number
    List,
    /// Show a node, and what it last reported
    Show(NodeShowArgs),
    /// Check that a node saw the newest state, the same as everybody else, and refused nothing
    Verify(NodeVerifyArgs),
    /// Approve a node as it is now (as an administrator): it gets the pull credentials of the services that its pattern
    /// or its policy gives it
    Approve(NodeShowArgs),
    /// End the approval of a node (as an administrator): it gets no pull credentials any more
    Unapprove(NodeShowArgs),
    /// Remove a node from the exchange; what runs on it keeps running
    Remove(NodeRemoveArgs),
}

/// Which node to show, to approve or not to approve any more
#[derive(Debug, Args)]
pub(super) struct NodeShowArgs {
    /// Its id
    #[arg(value_parser = node_id)]
    name: NodeId,
}

/// Which node to check, and against which trust
#[derive(Debug, Args)]
pub(super) struct NodeVerifyArgs {
    /// Its id
    #[arg(value_parser = node_id)]
    name: NodeId,
    #[command(flatten)]
    pin: PinArgs,
}

/// Which node to remove
#[derive(Debug, Args)]
pub(super) struct NodeRemoveArgs {
    /// Its id
    #[arg(value_parser = node_id)]
    name: NodeId,
    #[command(flatten)]
    force: ForceArgs,
}

impl NodeCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List => list(context).await,
            Self::Show(args) => show(&args.name, context).await,
            Self::Verify(args) => args.run(context).await,
            Self::Approve(args) => approve(&args.name, context).await,
            Self::Unapprove(args) => {
                context.client()?.unapprove_node(&args.name).await?;
                let result = json!({"ok": true, "node": args.name});
                context
                    .output
                    .result(&result, || format!("{} is not approved any more", args.name));
                Ok(())
            }
            Self::Remove(args) => {
                let client = context.client()?;
                let removal = client.remove_node(&args.name);
                args.force.remove("node", &args.name, removal, context).await
            }
        }
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let nodes = client.nodes().await?;
    let mut refusing = client.refusing_nodes().await?.nodes;
    let nodes: BTreeMap<_, _> = nodes
        .into_iter()
        .map(|(name, node)| {
            let id = node_id(&name).ok();
            let refuses = id.and_then(|it| refusing.remove(&it)).unwrap_or_default();
            (name, Listed { node, refuses })
        })
        .collect();
    let rows = nodes.iter().map(|(name, Listed { node, refuses })| {
        let runs = if node.pattern.is_empty() { "by policy" } else { node.pattern.as_str() };
        let seen = node.last_heartbeat.map_or_else(|| "never".to_owned(), |it| it.to_string());
        let refuses = refuses.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        vec![name.clone(), node.description.arch.clone(), runs.to_owned(), seen, refuses]
    });
    context.output.list(&nodes, &["NODE", "ARCH", "RUNS", "SEEN", "REFUSES"], rows);
    Ok(())
}

/// A node in the list, and the attacks that what it refuses looks like.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    node: Node,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    refuses: BTreeSet<String>,
}

/// Reads a node's name, with its organization or without.
fn node_id(text: &str) -> Result<NodeId, ParseIdError> {
    without_org(text).parse()
}

async fn show(id: &NodeId, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let node = client.find_node(id).await?.ok_or_else(|| missing("node", id))?;
    let report = client.report(id).await?;
    // An exchange of Open Horizon has no approvals.
    let approval = client.node_approval(id).await.ok();
    context.output.document(&json!({"node": node, "report": report, "approval": approval}));
    Ok(())
}

async fn approve(id: &NodeId, context: &Context) -> Result<(), CliError> {
    let approval = context.client()?.approve_node(id).await?;
    let result = json!({"ok": true, "node": id, "approval": approval});
    context.output.result(&result, || match approval.pattern.as_str() {
        "" => format!("{id} is approved with the policy that it has now"),
        pattern => format!("{id} is approved with the pattern {pattern}"),
    });
    Ok(())
}

impl NodeVerifyArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let client = context.client()?;
        let report = client.report(&self.name).await?.ok_or_else(|| {
            CliError::new(code::NOT_FOUND, format!("node {} has reported nothing", self.name))
                .help("does `edgepost agent run` run there?")
        })?;
        let report = report.report;
        let newest = Newest::ask(&client, &self.pin, context).await?;
        let refusals: Vec<_> = report
            .refusals
            .iter()
            .map(|it| format!("{}: {} ({})", it.document, it.attack, it.detail))
            .collect();
        if !refusals.is_empty() {
            return Err(CliError::new(
                code::REFUSED,
                format!("node {} refuses what it is given", self.name),
            )
            .details(refusals)
            .help("`edgepost service verify` shows whether the exchange or the node is wrong"));
        }
        let same_stamp = Some(newest.stamp.digest()) == report.stamp_sha256;
        context.output.result(
            &json!({"ok": true, "node": self.name, "stampSeq": report.stamp_seq, "newest": same_stamp}),
            || {
                let state = if same_stamp { "has seen the newest stamp" } else { "has not seen the newest stamp yet" };
                format!("{} refuses nothing and {state}", self.name)
            },
        );
        Ok(())
    }
}
