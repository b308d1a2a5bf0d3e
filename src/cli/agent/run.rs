//! `edgepost agent run`: the daemon, or one pass of it.

use clap::Args;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{Agent, End, Outcome, Status},
    cli::{
        Context, ReloadSignal,
        agent::{Engine, FolderArgs, reached, status::describe},
        code,
        error::CliError,
        registries::MirrorArgs,
        stop_signal,
    },
    exchange::api::{HOST_ACCESS, RefusalReport, ServiceState},
    registry::client::{ByteRate, Pace},
    types::Registry,
};

/// Run what this node should run
///
/// SIGTERM ends the agent, and what runs keeps running. SIGHUP lets it ask the exchange at once and try again what
/// failed; it has no files to read again.
#[derive(Debug, Args)]
pub(in crate::cli) struct RunArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Which engine runs the containers; none: images are pulled and verified only
    #[arg(long, value_enum, default_value = "auto", env = "EDGEPOST_ENGINE")]
    engine: Engine,
    /// Speak plain HTTP with this registry, though it is not on this machine; repeatable
    #[arg(long, env = "EDGEPOST_PLAIN_HTTP", value_name = "REGISTRY", value_delimiter = ',')]
    plain_http: Vec<Registry>,
    /// Pull no more than this in a second, all images together: 500k, 2M, 1.5MiB
    #[arg(long, env = "EDGEPOST_LIMIT_RATE", value_name = "RATE")]
    limit_rate: Option<ByteRate>,
    #[command(flatten)]
    mirrors: MirrorArgs,
    /// Settle once and end: 0 settled, 1 something failed, 4 not allowed, 5 network or certificate, 6 an image is missing,
    /// 8 refused by trust, 9 nothing fits
    #[arg(long)]
    once: bool,
}

impl RunArgs {
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut retry_signal = ReloadSignal::listen();
        let shutdown = CancellationToken::new();
        let stopped = shutdown.clone();
        tokio::spawn(async move {
            stop_signal().await;
            stopped.cancel();
        });
        let mut registries = reached(context);
        registries.plain_http = self.plain_http.iter().cloned().collect();
        registries.pace = self.limit_rate.map_or_else(Pace::unlimited, Pace::limited);
        registries.mirrors = self.mirrors.by_registry();
        let config = self.folder.config(context, self.engine, registries)?;
        let mut agent = Agent::open(config).await?;
        self.tell_start(&agent, context);
        if !self.once {
            let retry_now = agent.retry_now();
            tokio::spawn(async move {
                loop {
                    retry_signal.received().await;
                    retry_now.notify_one();
                }
            });
            agent.run(shutdown).await;
            return Ok(());
        }
        let Some(outcome) = agent.run_once_until(&shutdown).await else {
            return Err(CliError::new(code::CANCELLED, "stopped; what was pulled stays")
                .help("the next run goes on where it stopped"));
        };
        settled(&outcome, context)
    }

    /// Says who runs here and with what, since the agent itself is silent while all is well.
    fn tell_start(&self, agent: &Agent, context: &Context) {
        let (node, engine) = (&agent.identity().node, agent.engine());
        context.output.step("node", format!("{node}, engine {engine}"));
        if engine == "none" && matches!(self.engine, Engine::Auto) {
            context.output.note(
                "note: no container engine answers here: images are verified and kept, nothing runs",
            );
        }
    }
}

/// Says how a pass ended.
pub(in crate::cli) fn settled(outcome: &Outcome, context: &Context) -> Result<(), CliError> {
    let code = match outcome.end {
        End::Settled => {
            context.output.result(&outcome.status, || describe(&outcome.status));
            return Ok(());
        }
        End::NothingFits => code::UNFIT,
        End::Failed => code::FAILED,
        End::ImageMissing => code::IMAGE_NOT_FOUND,
        End::RegistryAway => code::REGISTRY_AWAY,
        End::Away => code::EXCHANGE_AWAY,
        End::Untrusted => code::TLS,
        End::RegistryRefused => code::REGISTRY_AUTH,
        End::Unauthorized => code::EXCHANGE_LOGIN,
        End::Refused => code::REFUSED,
    };
    let status = &outcome.status;
    // A service that needs too much of the host stands among what does not fit, with the same words.
    let is_attack = |it: &&RefusalReport| it.attack != HOST_ACCESS;
    let refusals = status.refusals.iter().filter(is_attack);
    let refusals = refusals.map(|it| format!("{}: {} ({})", it.document, it.attack, it.detail));
    let unfit = status.unfit.iter().map(|it| format!("{}: {}", it.document, it.reasons.join("; ")));
    let failed = status
        .services
        .iter()
        .filter_map(|it| Some(format!("{}: {}", it.service, it.detail.as_ref()?)));
    let details = refusals.chain(unfit).chain(failed).chain(status.problems.iter().cloned());
    Err(CliError::new(code, headline(outcome)).details(details.collect::<Vec<_>>()).help(
        match outcome.end {
            End::NothingFits => "each line says why a service is not for this node",
            _ => "what ran keeps running; `edgepost agent status` shows it",
        },
    ))
}

/// What went wrong with the node, and with which service.
fn headline(outcome: &Outcome) -> String {
    let Status { node, exchange, services, .. } = &outcome.status;
    let troubled = services.iter().find(|it| {
        matches!(
            it.state,
            ServiceState::Failed | ServiceState::RolledBack | ServiceState::Unhealthy
        )
    });
    let service = troubled.map_or_else(|| "a service".to_owned(), |it| it.service.to_string());
    match outcome.end {
        End::Settled => format!("node {node} has settled"),
        End::NothingFits => format!("nothing that is published fits node {node}"),
        End::Failed if troubled.is_some() => format!("{service} failed on node {node}"),
        End::Failed => format!("a reconcile pass of node {node} failed in part"),
        End::ImageMissing => format!("an image of {service} is not in its registry"),
        End::RegistryAway => format!("node {node} cannot reach the registry of {service}"),
        End::Away => format!("node {node} cannot reach the exchange {exchange}"),
        End::Untrusted if troubled.is_some() => {
            format!("node {node} does not trust the certificate of the registry of {service}")
        }
        End::Untrusted => {
            format!("node {node} does not trust the certificate of the exchange {exchange}")
        }
        End::RegistryRefused => {
            format!("the registry of {service} refuses the pull credentials of node {node}")
        }
        End::Unauthorized => format!("the exchange {exchange} refuses the login of node {node}"),
        End::Refused => format!("node {node} refuses what it was given"),
    }
}
