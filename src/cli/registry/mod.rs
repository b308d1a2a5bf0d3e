//! `edgepost registry`: serve one, or be a user of others.

mod check;

use clap::{Args, Subcommand};

use crate::cli::{Context, error::CliError, serve::ServeRegistryArgs};

/// Run a registry, or look after the logins of others
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct RegistryArgs {
    #[command(subcommand)]
    command: Option<RegistryCommand>,
    #[command(flatten)]
    serve: ServeRegistryArgs,
}

/// What is done with registries that others run.
#[derive(Debug, Subcommand)]
enum RegistryCommand {
    /// Say whether a registry can be reached, and takes our login
    Check(check::CheckArgs),
}

impl RegistryArgs {
    /// Runs the command, or the server where there is none.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match &self.command {
            None => self.serve.run(context).await,
            Some(RegistryCommand::Check(args)) => args.run(context).await,
        }
    }
}
