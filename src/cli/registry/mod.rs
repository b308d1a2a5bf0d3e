//! `edgepost registry`: serve one, or be a user of others.

mod check;
mod delete;
mod gc;
mod lists;
mod login;
mod logout;
mod reach;

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
    /// Prove a login at a registry, and keep it where Docker and Podman find it too
    Login(login::LoginArgs),
    /// Forget the login for a registry
    Logout(logout::LogoutArgs),
    /// Say whether a registry can be reached, and takes our login
    Check(check::CheckArgs),
    /// List the tags of a repository
    Tags(lists::TagsArgs),
    /// List the repositories of a registry, as far as it shows them
    Repos(lists::ReposArgs),
    /// List what was said about an image: signatures, lists of parts
    Referrers(lists::ReferrersArgs),
    /// Delete a tag, or a manifest with all the tags that name it
    Delete(delete::DeleteArgs),
    /// List what no published service needs, and never what one needs
    Gc(gc::GcArgs),
}

impl RegistryArgs {
    /// Runs the command, or the server where there is none.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match &self.command {
            None => self.serve.run(context).await,
            Some(RegistryCommand::Login(args)) => args.run(context).await,
            Some(RegistryCommand::Logout(args)) => args.run(context).await,
            Some(RegistryCommand::Check(args)) => args.run(context).await,
            Some(RegistryCommand::Tags(args)) => args.run(context).await,
            Some(RegistryCommand::Repos(args)) => args.run(context).await,
            Some(RegistryCommand::Referrers(args)) => args.run(context).await,
            Some(RegistryCommand::Delete(args)) => args.run(context).await,
            Some(RegistryCommand::Gc(args)) => args.run(context).await,
        }
    }
}
