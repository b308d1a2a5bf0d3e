//! `edgepost agent`: the node's side.

mod allow;
mod register;
mod run;
mod status;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
pub(super) use run::settled;
use serde_json::json;

use crate::{
    agent::{Agent, AgentConfig, EngineChoice, Registries},
    cli::{Context, error::CliError},
};

/// The node's side: register, run, status, allow
#[derive(Debug, Subcommand)]
pub(super) enum AgentCommand {
    /// Join the organization: make the node in the exchange, pin the organization's trust
    Register(register::RegisterArgs),
    /// Run what this node should run, and keep it so
    Run(run::RunArgs),
    /// Show what runs here, and what was refused
    Status(FolderArgs),
    /// Allow services to use more of this host than a container's usual sandbox, or allow it no more
    Allow(allow::AllowArgs),
    /// Stop what runs here and leave the organization
    Unregister(UnregisterArgs),
}

/// Where the node keeps its identity, marks and images.
#[derive(Debug, Args)]
pub(super) struct FolderArgs {
    /// The node's folder
    #[arg(
        long,
        value_name = "DIR",
        env = "EDGEPOST_NODE_DATA",
        default_value = "/var/lib/edgepost/node"
    )]
    data: PathBuf,
}

/// Stop what runs here and leave the organization
#[derive(Debug, Args)]
pub(super) struct UnregisterArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Which engine runs the containers that are to be stopped
    #[arg(long, value_enum, default_value = "auto", env = "EDGEPOST_ENGINE")]
    engine: Engine,
}

/// Which engine to use.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Engine {
    /// The first that answers
    Auto,
    /// Docker
    Docker,
    /// Podman
    Podman,
    /// None
    None,
}

impl From<Engine> for EngineChoice {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Auto => Self::Auto,
            Engine::Docker => Self::Docker,
            Engine::Podman => Self::Podman,
            Engine::None => Self::None,
        }
    }
}

impl AgentCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Register(args) => args.run(context).await,
            Self::Run(args) => args.run(context).await,
            Self::Status(args) => status::tell(args, context),
            Self::Allow(args) => args.run(context),
            Self::Unregister(args) => args.run(context).await,
        }
    }
}

impl FolderArgs {
    /// The folder.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// How the agent in this folder works.
    pub(super) fn config(
        &self,
        context: &Context,
        engine: Engine,
        registries: Registries,
    ) -> Result<AgentConfig, CliError> {
        Ok(AgentConfig::new(&self.data)
            .engine(engine.into())
            .sockets(context.environment.sockets()?)
            .registries(registries)
            .clock(context.clock.clone()))
    }
}

/// Registries as the logins and authorities of this machine reach them.
pub(super) fn reached(context: &Context) -> Registries {
    Registries {
        login_files: context.environment.login_files(),
        certs_dirs: context.environment.certs_folders(),
        ca_for_all: crate::cli::registries::ca_for_all(context),
        ..Registries::default()
    }
}

impl UnregisterArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let agent =
            Agent::open(self.folder.config(context, self.engine, reached(context))?).await?;
        let node = agent.identity().node.clone();
        agent.unregister().await?;
        context.output.result(&json!({"ok": true, "node": node}), || format!("{node} left"));
        Ok(())
    }
}
