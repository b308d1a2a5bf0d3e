//! `edgepost node`: registered nodes, as the exchange sees them.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
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
    exchange::api::{Node, NodeState, ReportedState},
    types::{NodeId, ids::ParseIdError},
};

/// Registered nodes
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List the nodes you may see, how each does, and the attacks that they have refused of late
    ///
    /// STATE is running, pulling, failing, unfit (nothing that is published fits), refusing, idle (there is nothing to run),
    /// registered (it never reported) or offline (not seen for 15 minutes). REFUSES names attacks; split-view: others were
    /// shown another state under the same number.
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
    let mut states = client.node_states().await?;
    let now = context.clock.now();
    let nodes: BTreeMap<_, _> = nodes
        .into_iter()
        .map(|(name, node)| {
            let id = node_id(&name).ok();
            let reported = id.as_ref().and_then(|it| states.remove(it));
            let refuses = id.and_then(|it| refusing.remove(&it)).unwrap_or_default();
            (name, Listed::new(node, reported.as_ref(), refuses, now))
        })
        .collect();
    let rows = nodes.iter().map(|(name, Listed { node, refuses, state, seen })| {
        let runs = if node.pattern.is_empty() { "by policy" } else { node.pattern.as_str() };
        let seen = seen.map_or_else(|| "never".to_owned(), |it| it.to_string());
        let refuses = refuses.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let arch = node.description.arch.clone();
        vec![name.clone(), (*state).to_owned(), arch, runs.to_owned(), seen, refuses]
    });
    let headings = ["NODE", "STATE", "ARCH", "RUNS", "SEEN", "REFUSES"];
    context.output.list(&nodes, &headings, rows);
    Ok(())
}

/// A node that was not heard of for so long is offline. An agent asks for changes all the time, and settles at least
/// every five minutes.
const OFFLINE_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// A node in the list, how it does, and the attacks that what it refuses looks like.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    node: Node,
    state: &'static str,
    /// When it was heard of last.
    seen: Option<Timestamp>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    refuses: BTreeSet<String>,
}

impl Listed {
    fn new(
        node: Node,
        reported: Option<&ReportedState>,
        refuses: BTreeSet<String>,
        now: Timestamp,
    ) -> Self {
        let seen = node.last_heartbeat.max(reported.map(|it| it.received));
        let is_offline = seen.is_some_and(|it| now.duration_since(it) > OFFLINE_AFTER);
        let state = match reported.map(|it| it.state) {
            _ if is_offline => "offline",
            None => "registered",
            Some(NodeState::Refusing) => "refusing",
            Some(NodeState::Failing) => "failing",
            Some(NodeState::Pulling) => "pulling",
            Some(NodeState::Running) => "running",
            Some(NodeState::Unfit) => "unfit",
            Some(NodeState::Idle) => "idle",
            Some(NodeState::Unknown) => "unknown",
        };
        Self { node, state, seen, refuses }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_offline_once_it_was_not_heard_of_and_never_seen_only_before_its_first_report() {
        let at = |minute: i64| Timestamp::from_second(minute * 60).unwrap();
        let node = |last_heartbeat: Option<i64>| {
            let node: Node =
                serde_json::from_value(json!({"token": "", "name": "n", "owner": "acme/ann",
                "nodeType": "device", "pattern": "", "registeredServices": [], "userInput": [],
                "msgEndPoint": "", "softwareVersions": {}, "publicKey": "", "arch": "amd64",
                "heartbeatIntervals": {"minInterval": 0, "maxInterval": 0, "intervalAdjustment": 0},
                "lastUpdated": "2026-11-21T10:00:00Z", "lastHeartbeat": null}))
                .unwrap();
            Node { last_heartbeat: last_heartbeat.map(at), ..node }
        };
        let reported = |minute| ReportedState { state: NodeState::Running, received: at(minute) };
        let listed = |heartbeat, report: Option<i64>, now| {
            let report = report.map(reported);
            let it = Listed::new(node(heartbeat), report.as_ref(), BTreeSet::new(), at(now));
            (it.state, it.seen)
        };
        assert_eq!(listed(None, None, 100), ("registered", None));
        assert_eq!(listed(None, Some(90), 100), ("running", Some(at(90))));
        assert_eq!(listed(Some(95), Some(10), 100), ("running", Some(at(95))));
        assert_eq!(listed(Some(20), Some(10), 100), ("offline", Some(at(20))));
    }
}
