//! Arguments in, library call, words out.

#![expect(
    clippy::doc_markdown,
    reason = "doc comments of arguments are the help text, as it is shown"
)]

mod agent;
mod bundle;
mod check;
mod code;
mod config;
mod context;
mod core_dumps;
mod demo;
mod documents;
mod error;
mod exchange;
mod explain;
mod explanations;
mod files;
mod flag_hints;
mod hello;
mod horizon_key;
mod image;
mod key;
mod new;
mod node;
mod operator;
mod org;
mod output;
mod pattern;
mod policy;
mod progress;
mod project;
mod publish;
mod pull_logins;
mod registries;
mod registry;
mod removal;
mod schema;
mod serve;
mod service;
mod settings;
mod transfer;
mod translate;
mod trust;
mod usage;
mod user;
mod variables;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::{ArgAction, Parser, Subcommand};
use context::Context;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::{
    cli::{
        config::{Connection, Environment},
        error::CliError,
        output::{Colour, Form, Notes, Output},
    },
    log_limiter::LogLimiter,
    types::SystemClock,
};

/// How often a program that runs for long writes how many log lines were left out.
const LOG_SUMMARY: Duration = Duration::from_mins(1);

/// Posts container services to edge nodes: publish, verify, pull, run
///
/// See the whole story on this machine:        edgepost demo
/// Start a server for a small site:            edgepost hub --data /var/lib/edgepost
/// Publish a service from its definition:      edgepost publish horizon/service.definition.json
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, arg_required_else_help = true, after_help = EXIT_CODES)]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Print the result, or the error, as one JSON object
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// Print nothing but the result
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    quiet: bool,
    /// Log what happens, to stderr; twice: in detail
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = EVERYWHERE)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

/// Over the options that each command has.
const EVERYWHERE: &str = "Options of every command";

const EXIT_CODES: &str = "\
Exit codes:
  0 ok   1 failed   2 usage   3 configuration or definition   4 not allowed   5 network
  6 not found   7 conflict   8 refused by trust   9 does not fit   10 timeout   130 stopped
`edgepost explain CODE` says what an error's code means.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Tell the whole story on this machine: publish, verify, run, update, attack
    Demo(demo::DemoArgs),
    /// Run exchange and registry in one process
    Hub(serve::HubArgs),
    /// Run an exchange, or look after one that runs
    Exchange(exchange::ExchangeArgs),
    /// Run a registry, or look after the logins of others
    Registry(registry::RegistryArgs),
    /// Organizations
    #[command(subcommand)]
    Org(org::OrgCommand),
    /// Users of an organization
    #[command(subcommand)]
    User(user::UserCommand),
    /// Signing keys
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Who may sign what in the organization
    #[command(subcommand)]
    Trust(trust::TrustCommand),
    /// Make the folder of a new service
    New(new::NewArgs),
    /// Publish a service: push its images, pin, sign and commit it
    Publish(publish::PublishArgs),
    /// Images, wherever they are: copy them by hand
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Published services
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Patterns: lists of services that a node takes as a whole
    #[command(subcommand)]
    Pattern(pattern::PatternCommand),
    /// Deployment policies: services with conditions on nodes
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Say whether a service would run on a node, and why not
    Check(check::CheckArgs),
    /// Registered nodes
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// The node's side: register, run, status
    #[command(subcommand)]
    Agent(agent::AgentCommand),
    /// Carry what is published to nodes that no network reaches
    #[command(subcommand)]
    Bundle(bundle::BundleCommand),
    /// JSON Schemas of the files that authors write, for editors
    Schema(schema::SchemaArgs),
    /// Settings and variables, and where they come from
    #[command(subcommand)]
    Config(settings::ConfigCommand),
    /// Say what an error's code means
    Explain(explain::ExplainArgs),
    /// Greet, as the container of the demonstration does
    #[command(hide = true)]
    Hello,
}

impl Command {
    /// Whether it runs until it is stopped, so that its log needs a bound.
    fn runs_for_long(&self) -> bool {
        matches!(
            self,
            Self::Demo(_) | Self::Hub(_) | Self::Exchange(_) | Self::Registry(_) | Self::Agent(_)
        )
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    // First of all: arguments and environment can hold secrets.
    let core_dumps = core_dumps::disable();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::refuse(&error),
    };
    let environment = Environment::read();
    let limiter = start_logging(&arguments, &environment);
    if let Err(error) = core_dumps {
        tracing::warn!(event = "process.core_dumps_on", %error, "failed to switch core dumps off");
    }
    let context = Context {
        output: output(&arguments, &environment),
        environment,
        connection: arguments.connection,
        verbose: arguments.verbose > 0,
        clock: Arc::new(SystemClock),
    };
    let outcome = runtime(&arguments.command)
        .map_err(|error| CliError::new(code::FAILED, "cannot start").because(&error))
        .and_then(|runtime| {
            let command = run_logged(arguments.command, limiter.as_ref(), &context);
            let outcome = runtime.block_on(command);
            // What still runs on its threads, such as a helper program of a login, must not hold up the end.
            runtime.shutdown_background();
            outcome
        });
    let outcome = outcome.and_then(|()| output::result_failure().map_or(Ok(()), Err));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            context.output.error(&error);
            ExitCode::from(error.code().exit as u8)
        }
    }
}

/// How the program speaks, unless a command is asked for another form of its result.
fn output(arguments: &Arguments, environment: &Environment) -> Output {
    let colours = output::stdout_is_terminal() && environment.get("NO_COLOR").is_none();
    Output {
        form: if arguments.json { Form::JsonLine } else { Form::Text },
        notes: if arguments.quiet { Notes::Quiet } else { Notes::Told },
        colour: if colours { Colour::Ansi } else { Colour::Plain },
    }
}

/// Servers use every core. Whoever serves nobody does so with one thread for the network, and others
/// only for what waits for a disk or hashes: the agent lives on small machines for years, and images
/// move no slower, with a third of the switches between threads.
fn runtime(command: &Command) -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = match command {
        Command::Demo(_) | Command::Hub(_) | Command::Exchange(_) | Command::Registry(_) => {
            tokio::runtime::Builder::new_multi_thread()
        }
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build()
}

async fn run(command: Command, context: &Context) -> Result<(), CliError> {
    match command {
        Command::Demo(args) => args.run(context).await,
        Command::Hub(args) => args.run(context).await,
        Command::Exchange(args) => args.run(context).await,
        Command::Registry(args) => args.run(context).await,
        Command::Org(command) => command.run(context).await,
        Command::User(command) => command.run(context).await,
        Command::Key(command) => command.run(context),
        Command::Trust(command) => command.run(context).await,
        Command::New(args) => args.run(context),
        Command::Publish(args) => args.run(context).await,
        Command::Image(command) => command.run(context).await,
        Command::Service(command) => command.run(context).await,
        Command::Pattern(command) => command.run(context).await,
        Command::Policy(command) => command.run(context).await,
        Command::Check(args) => args.run(context).await,
        Command::Node(command) => command.run(context).await,
        Command::Agent(command) => command.run(context).await,
        Command::Bundle(command) => command.run(context).await,
        Command::Schema(args) => args.run(context),
        Command::Config(command) => command.run(context),
        Command::Explain(args) => args.run(context),
        Command::Hello => {
            hello::run(&context.environment).await;
            Ok(())
        }
    }
}

/// Logs to stderr. The level is -v's, or `EDGEPOST_LOG`'s in the words of tracing's filters. The result
/// bounds the log of a program that runs for long.
fn start_logging(arguments: &Arguments, environment: &Environment) -> Option<LogLimiter> {
    let level = match arguments.verbose {
        // The demonstration tells by itself what is refused, and does it on purpose.
        0 if matches!(arguments.command, Command::Demo(_)) => "error",
        0 => "warn,audit=info,agent=info",
        1 => "edgepost=info,audit=info,agent=info,warn",
        2 => "edgepost=debug,info",
        _ => "trace",
    };
    let limiter = arguments.command.runs_for_long().then(LogLimiter::default);
    let filter = EnvFilter::new(environment.get("EDGEPOST_LOG").unwrap_or(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(progress::beside_lines)
        .with_ansi(output::stderr_is_terminal() && environment.get("NO_COLOR").is_none())
        .finish()
        .with(limiter.clone())
        .init();
    if let Some(limiter) = limiter.clone() {
        let write = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if limiter.admit_panic() {
                write(panic);
            }
        }));
    }
    limiter
}

/// Runs the command; meanwhile and at its end, writes how many log lines were left out.
async fn run_logged(
    command: Command,
    limiter: Option<&LogLimiter>,
    context: &Context,
) -> Result<(), CliError> {
    let Some(limiter) = limiter else {
        return Box::pin(run(command, context)).await;
    };
    let mut minutes = tokio::time::interval(LOG_SUMMARY);
    let mut command = Box::pin(run(command, context));
    loop {
        tokio::select! {
            outcome = &mut command => {
                limiter.write_left_out();
                return outcome;
            }
            _ = minutes.tick() => limiter.write_left_out(),
        }
    }
}

/// Ends when the user presses Ctrl-C or the system asks for the end (SIGTERM).
pub(crate) async fn stop_signal() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => (),
        () = terminate => (),
    }
}

/// The requests to read configuration again (SIGHUP). From [`listen`](Self::listen) on, the signal does not end the
/// process.
pub(crate) struct ReloadSignal(Option<tokio::signal::unix::Signal>);

impl ReloadSignal {
    /// Takes the signal over.
    pub(crate) fn listen() -> Self {
        Self(tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok())
    }

    /// Returns at the next request.
    pub(crate) async fn received(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Arguments::command().debug_assert();
    }
}
