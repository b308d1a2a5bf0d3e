//! `edgepost agent`: the node's side.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{
        Agent, AgentConfig, End, EngineChoice, Outcome, Registration, Status, register, status,
    },
    cli::{
        Context, code, config::node_auth, error::CliError, output::table, project::read_definition,
        stop_signal,
    },
    document::{NodePolicy, UserInputValue},
    trust::{TrustPin, TrustRoot},
    types::{PatternRef, Registry, Secret},
};

/// The node's side: register, run, status
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Join the organization: make the node in the exchange, pin the organization's trust
    Register(RegisterArgs),
    /// Run what this node should run, and keep it so
    Run(RunArgs),
    /// Show what runs here, and what was refused
    Status(FolderArgs),
    /// Stop what runs here and leave the organization
    Unregister(FolderArgs),
}

/// Where the node keeps its identity, marks and images.
#[derive(Debug, Args)]
pub struct FolderArgs {
    /// The node's folder
    #[arg(
        long,
        value_name = "DIR",
        env = "EDGEPOST_NODE_DATA",
        default_value = "/var/lib/edgepost/node"
    )]
    data: PathBuf,
}

/// Join the organization
#[derive(Debug, Args)]
pub struct RegisterArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// [ORG/]NODE:TOKEN of this node; better in the environment than on the command line [also: HZN_EXCHANGE_NODE_AUTH]
    #[arg(short, long, env = "EDGEPOST_NODE_AUTH", hide_env_values = true)]
    node_auth: Option<String>,
    /// The pattern to run, [ORG/]PATTERN
    #[arg(short, long, conflicts_with = "policy")]
    pattern: Option<String>,
    /// The node's policy, as a file: properties, and constraints on what may run here
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Values for services that ask for them, as a file
    #[arg(long, value_name = "FILE")]
    user_input: Option<PathBuf>,
    /// The pin of the organization's trust, from `edgepost trust show`
    #[arg(long, value_name = "HEX", required_unless_present = "trust_first_seen")]
    trust_sha256: Option<TrustPin>,
    /// Take the exchange's word for the trust, this once: a hostile exchange could give its own
    #[arg(long, conflicts_with = "trust_sha256")]
    trust_first_seen: bool,
}

/// Run what this node should run
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Which engine runs the containers; none: images are pulled and verified only
    #[arg(long, value_enum, default_value = "auto", env = "EDGEPOST_ENGINE")]
    engine: Engine,
    /// Speak plain HTTP with this registry, though it is not on this machine; repeatable
    #[arg(long, value_name = "REGISTRY")]
    plain_http: Vec<Registry>,
    /// Settle once and end: 0 settled, 4 not allowed, 5 network, 8 refused by trust, 9 nothing fits
    #[arg(long)]
    once: bool,
}

/// Which engine to use.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Engine {
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
    pub async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Register(args) => args.run(context).await,
            Self::Run(args) => args.run(context).await,
            Self::Status(args) => args.tell_status(context),
            Self::Unregister(args) => args.unregister(context).await,
        }
    }
}

impl RegisterArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let settings = context.connection.settings(&context.environment)?;
        let auth = self
            .node_auth
            .clone()
            .or_else(|| context.environment.get("HZN_EXCHANGE_NODE_AUTH").map(str::to_owned))
            .ok_or_else(|| {
                CliError::new(code::SETTINGS, "which node this is is not known")
                    .help("set EDGEPOST_NODE_AUTH=node:token")
            })?;
        let (node, token) = node_auth(&Secret::new(auth), &settings.org)?;
        let root = self.trust_sha256.map_or(TrustRoot::FirstSeen, TrustRoot::Pinned);
        let mut registration =
            Registration::new(settings.exchange_config()?, node.clone(), token, root);
        registration.pattern =
            self.pattern.as_deref().map(|it| pattern(it, &node.org)).transpose()?;
        registration.policy = self
            .policy
            .as_deref()
            .map(|file| read_definition(file, context, NodePolicy::from_source))
            .transpose()?;
        if let Some(file) = &self.user_input {
            registration.user_input =
                read_definition(file, context, UserInputValue::all_from_source)?;
        }
        let config = AgentConfig::new(&self.folder.data).clock(context.clock.clone());
        let registered = register(&config, registration).await?;
        if self.trust_sha256.is_none() {
            context
                .output
                .note("note: the trust was taken on the exchange's word; compare the pin");
        }
        context.output.note("next: edgepost agent run");
        context.output.result(
            &json!({"ok": true, "node": registered.node, "pin": registered.trust.to_string()}),
            || format!("{} registered, trust {}", registered.node, registered.trust),
        );
        Ok(())
    }
}

/// Reads `[org/]pattern`.
fn pattern(text: &str, org: &crate::types::OrgId) -> Result<PatternRef, CliError> {
    let full = if text.contains('/') { text.to_owned() } else { format!("{org}/{text}") };
    full.parse().map_err(|error| {
        CliError::new(code::USAGE, format!("`{text}` cannot name a pattern")).because(&error)
    })
}

impl RunArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut agent =
            Agent::open(self.folder.config(context, self.engine, &self.plain_http)).await?;
        if !self.once {
            let stop = CancellationToken::new();
            let stopped = stop.clone();
            tokio::spawn(async move {
                stop_signal().await;
                stopped.cancel();
            });
            agent.run(stop).await;
            return Ok(());
        }
        let outcome = tokio::select! {
            outcome = agent.run_once() => outcome,
            () = stop_signal() => {
                return Err(CliError::new(code::CANCELLED, "stopped; what was pulled stays")
                    .help("the next run goes on where it stopped"));
            }
        };
        settled(&outcome, context)
    }
}

/// Says how a pass ended.
fn settled(outcome: &Outcome, context: &Context) -> Result<(), CliError> {
    let code = match outcome.end {
        End::Settled => {
            context.output.result(&outcome.status, || describe(&outcome.status));
            return Ok(());
        }
        End::NothingFits => code::UNFIT,
        End::Failed => code::FAILED,
        End::Away => code::EXCHANGE_AWAY,
        End::Unauthorized => code::EXCHANGE_LOGIN,
        End::Refused => code::REFUSED,
    };
    let status = &outcome.status;
    let refusals =
        status.refusals.iter().map(|it| format!("{}: {} ({})", it.document, it.attack, it.detail));
    let unfit = status.unfit.iter().map(|it| format!("{}: {}", it.document, it.reasons.join("; ")));
    let failed = status
        .services
        .iter()
        .filter_map(|it| Some(format!("{}: {}", it.service, it.detail.as_ref()?)));
    let details = refusals.chain(unfit).chain(failed).chain(status.problems.iter().cloned());
    Err(CliError::new(code, "the node did not settle")
        .details(details.collect::<Vec<_>>())
        .help("what ran keeps running; `edgepost agent status` shows it"))
}

impl FolderArgs {
    fn config(&self, context: &Context, engine: Engine, plain_http: &[Registry]) -> AgentConfig {
        let mut registries = crate::agent::Registries::default();
        registries.login_files.extend(context.environment.docker_login_file());
        registries.certs_dirs = context.environment.certs_folders();
        registries.plain_http = plain_http.iter().cloned().collect();
        AgentConfig::new(&self.data)
            .engine(engine.into())
            .sockets(context.environment.sockets())
            .registries(registries)
            .clock(context.clock.clone())
    }

    fn tell_status(&self, context: &Context) -> Result<(), CliError> {
        let status = status(&self.data)?.ok_or_else(|| {
            CliError::new(code::NODE, "the node has not run yet")
                .at(self.data.display())
                .help("edgepost agent run")
        })?;
        context.output.result(&status, || describe(&status));
        Ok(())
    }

    async fn unregister(&self, context: &Context) -> Result<(), CliError> {
        let engine = context.environment.get("EDGEPOST_ENGINE").unwrap_or("auto");
        let engine = Engine::from_str(engine, true).unwrap_or(Engine::Auto);
        let agent = Agent::open(self.config(context, engine, &[])).await?;
        let node = agent.identity().node.clone();
        agent.unregister().await?;
        context.output.result(&json!({"ok": true, "node": node}), || format!("{node} left"));
        Ok(())
    }
}

/// The status for people.
fn describe(status: &Status) -> String {
    let services = status.services.iter().map(|it| {
        let state = serde_json::to_value(it.state).ok();
        let state = state.as_ref().and_then(|it| it.as_str()).unwrap_or("?").to_owned();
        vec![it.service.to_string(), state, it.detail.clone().unwrap_or_default()]
    });
    let refusals = status
        .refusals
        .iter()
        .map(|it| format!("refused  {} {}: {}\n", it.attack, it.document, it.detail));
    let problems = status.problems.iter().map(|it| format!("problem  {it}\n"));
    let stale = status.stale_since.map(|it| format!("stale since {it}\n")).unwrap_or_default();
    format!(
        "node {} of {}, engine {}, seen {}\n",
        status.node, status.exchange, status.engine, status.at
    ) + &stale
        + &table(&["SERVICE", "STATE", ""], services)
        + &refusals.collect::<String>()
        + &problems.collect::<String>()
}
