//! `edgepost node`: registered nodes, as the exchange sees them.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        Context, code,
        documents::{ShowArgs, read_trust},
        error::CliError,
        output::table,
    },
    trust::TrustPin,
    types::NodeId,
};

/// Registered nodes
#[derive(Debug, Subcommand)]
pub(super) enum NodeCommand {
    /// List the nodes you may see
    List,
    /// Show a node, and what it last reported
    Show(ShowArgs),
    /// Check that a node saw the newest state, the same as everybody else, and refused nothing
    Verify(NodeVerifyArgs),
    /// Remove a node from the exchange; what runs on it keeps running
    Remove(NodeRemoveArgs),
}

/// Which node to check, and against which trust
#[derive(Debug, Args)]
pub(super) struct NodeVerifyArgs {
    /// Its id
    name: NodeId,
    /// The pin of the organization's trust; without it the exchange's word is taken
    #[arg(long, value_name = "HEX")]
    trust_sha256: Option<TrustPin>,
}

/// Which node to remove
#[derive(Debug, Args)]
pub(super) struct NodeRemoveArgs {
    /// Its id
    name: NodeId,
    /// Really remove it
    #[arg(short, long)]
    force: bool,
}

impl NodeCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List => list(context).await,
            Self::Show(args) => show(args, context).await,
            Self::Verify(args) => args.run(context).await,
            Self::Remove(args) => {
                context.confirm(args.force, &format!("node {}", args.name))?;
                if !context.client()?.remove_node(&args.name).await? {
                    return Err(missing(&args.name));
                }
                context
                    .output
                    .result(&json!({"ok": true, "removed": args.name}), || args.name.to_string());
                Ok(())
            }
        }
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    let nodes = context.client()?.nodes().await?;
    let rows = nodes.iter().map(|(name, node)| {
        let runs = if node.pattern.is_empty() { "by policy" } else { node.pattern.as_str() };
        let seen = node.last_heartbeat.map_or_else(|| "never".to_owned(), |it| it.to_string());
        vec![name.clone(), node.description.arch.clone(), runs.to_owned(), seen]
    });
    context.output.result(&nodes, || table(&["NODE", "ARCH", "RUNS", "SEEN"], rows));
    Ok(())
}

fn missing(id: &NodeId) -> CliError {
    CliError::new(code::NOT_FOUND, format!("there is no node {id}"))
        .help("`edgepost node list` shows what there is")
}

async fn show(args: &ShowArgs, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let id = args.name.parse().map_err(|error| {
        CliError::new(code::USAGE, format!("`{}` is no node id", args.name)).because(&error)
    })?;
    let node = client.find_node(&id).await?.ok_or_else(|| missing(&id))?;
    let report = client.report(&id).await?;
    context.output.document(&json!({"node": node, "report": report}));
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
        read_trust(&client, self.trust_sha256.as_ref(), context).await?;
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
        let stamp = client.stamp().await?;
        let same_stamp = Some(stamp.digest()) == report.stamp_sha256;
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
