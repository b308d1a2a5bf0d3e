//! `edgepost agent register`: this machine becomes a node.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    agent::{AgentConfig, Registration, register},
    cli::{
        Context, agent::FolderArgs, code, config::node_auth, error::CliError,
        project::read_definition,
    },
    document::{HostAccess, NodePolicy, UserInputValue},
    trust::{TrustPin, TrustRoot},
    types::{NodeRef, OrgId, PatternRef, Secret},
};

/// Join the organization
#[derive(Debug, Args)]
pub(in crate::cli) struct RegisterArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// [ORG/]NODE of this node, whose token is generated, or [ORG/]NODE:TOKEN; a token is better in the environment
    /// than on the command line [also: HZN_EXCHANGE_NODE_AUTH]
    #[arg(short, long, env = "EDGEPOST_NODE_AUTH", hide_env_values = true)]
    node_auth: Option<String>,
    /// The pattern to run, [ORG/]PATTERN
    #[arg(short, long)]
    pattern: Option<String>,
    /// The node's policy, as a file: properties, and constraints on what may run here; with a pattern it only
    /// says whether privileged services may run
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Values for services that ask for them, as a file
    #[arg(long, value_name = "FILE")]
    user_input: Option<PathBuf>,
    /// What services can use of this host beyond a container's usual sandbox, such as host-path=/var/data:ro;
    /// repeatable. `edgepost agent allow --help` lists the kinds
    #[arg(long, value_name = "ACCESS")]
    allow: Vec<HostAccess>,
    /// The pin of the organization's trust, from `edgepost trust show`
    #[arg(long, value_name = "HEX", required_unless_present = "trust_first_seen")]
    trust_sha256: Option<TrustPin>,
    /// Take the exchange's word for the trust, this once: a hostile exchange could give its own
    #[arg(long, conflicts_with = "trust_sha256")]
    trust_first_seen: bool,
}

impl RegisterArgs {
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let registration = self.registration(context)?;
        let config = AgentConfig::new(&self.folder.data).clock(context.clock.clone());
        let registered = register(&config, registration).await?;
        if self.trust_sha256.is_none() {
            context
                .output
                .note("note: the trust was taken on the exchange's word; compare the pin");
        }
        context.output.result(
            &json!({"ok": true, "node": registered.node, "pin": registered.trust.to_string()}),
            || format!("{} registered, trust {}", registered.node, registered.trust),
        );
        let folder = self.folder.data.display();
        context.output.next(format!("edgepost agent run --data {folder}"));
        Ok(())
    }

    fn registration(&self, context: &Context) -> Result<Registration, CliError> {
        let settings = context.connection.settings(&context.environment)?;
        let (node, token) = self.node(&settings.org, context)?;
        let root = self.trust_sha256.map_or(TrustRoot::FirstSeen, TrustRoot::Pinned);
        let org = node.org.clone();
        let mut registration = Registration::new(settings.exchange_config()?, node, token, root);
        registration.pattern = self.pattern.as_deref().map(|it| pattern(it, &org)).transpose()?;
        if let Some(file) = &self.policy {
            registration.policy = Some(read_definition(file, context, NodePolicy::from_source)?);
        }
        if let Some(file) = &self.user_input {
            registration.user_input =
                read_definition(file, context, UserInputValue::all_from_source)?;
        }
        Ok(registration.allow(self.allow.clone()))
    }

    /// Who the node is to be, and its token if one was chosen.
    fn node(&self, org: &OrgId, context: &Context) -> Result<(NodeRef, Option<Secret>), CliError> {
        let horizon = || context.environment.get("HZN_EXCHANGE_NODE_AUTH").map(str::to_owned);
        let auth = self.node_auth.clone().or_else(horizon).ok_or_else(|| {
            CliError::new(code::SETTINGS, "which node this is is not known")
                .help("set EDGEPOST_NODE_AUTH=node, or node:token")
        })?;
        node_auth(&Secret::new(auth), org)
    }
}

/// Reads `[org/]pattern`.
fn pattern(text: &str, org: &OrgId) -> Result<PatternRef, CliError> {
    let full = if text.contains('/') { text.to_owned() } else { format!("{org}/{text}") };
    full.parse().map_err(|error| {
        CliError::new(code::USAGE, format!("`{text}` cannot name a pattern")).because(&error)
    })
}
