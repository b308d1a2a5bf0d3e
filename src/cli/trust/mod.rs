//! `edgepost trust`: who may sign what in the organization.

mod change;
mod file;
mod import;
mod init;
mod keys;
mod merge;
mod publish;
mod renew;
mod revoke;
mod rotate;
mod rule;
mod show;
mod sign;
mod stamp_key;
mod words;

use clap::{Args, Subcommand};

use crate::{
    cli::{Context, code, error::CliError},
    exchange::client::ExchangeClient,
    trust::{Trust, TrustPin, TrustRoot},
};

/// Who may sign what in the organization
#[derive(Debug, Subcommand)]
pub(super) enum TrustCommand {
    Init(init::InitArgs),
    Show(show::ShowArgs),
    Add(rule::AddArgs),
    Remove(rule::RemoveArgs),
    NewEpoch(rule::NewEpochArgs),
    Import(import::ImportArgs),
    RemoveImport(import::RemoveImportArgs),
    Revoke(revoke::RevokeArgs),
    Rotate(rotate::RotateArgs),
    Renew(renew::RenewArgs),
    StampKey(stamp_key::StampKeyArgs),
    Sign(sign::SignArgs),
    Merge(merge::MergeArgs),
    Publish(publish::PublishArgs),
}

/// Against which trust to verify
#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// The pin of the organization's trust; without it the word of the exchange, or of the file, is taken for the first trust document
    #[arg(long, value_name = "HEX")]
    trust_sha256: Option<TrustPin>,
}

impl PinArgs {
    /// Where the walk begins.
    pub(super) fn root(&self) -> TrustRoot {
        self.trust_sha256.map_or(TrustRoot::FirstSeen, TrustRoot::Pinned)
    }

    /// Whether the exchange's word is not needed.
    pub(super) fn is_given(&self) -> bool {
        self.trust_sha256.is_some()
    }
}

impl TrustCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Init(args) => args.run(context).await,
            Self::Show(args) => args.run(context).await,
            Self::Add(args) => args.run(context).await,
            Self::Remove(args) => args.run(context).await,
            Self::NewEpoch(args) => args.run(context).await,
            Self::Import(args) => args.run(context).await,
            Self::RemoveImport(args) => args.run(context).await,
            Self::Revoke(args) => args.run(context).await,
            Self::Rotate(args) => args.run(context).await,
            Self::Renew(args) => args.run(context).await,
            Self::StampKey(args) => args.run(context).await,
            Self::Sign(args) => args.run(context),
            Self::Merge(args) => args.run(context),
            Self::Publish(args) => args.run(context).await,
        }
    }
}

/// The organization's newest trust, walked from its first version.
pub(super) async fn walk_trust(
    client: &ExchangeClient,
    root: TrustRoot,
) -> Result<Trust, CliError> {
    match client.walk_trust(root).await? {
        Some(trust) => Ok(trust),
        None if client.is_edgepost().await? => Err(no_trust(client)),
        None => Err(horizons_own()),
    }
}

/// An exchange of Open Horizon has no place for trust documents.
fn horizons_own() -> CliError {
    CliError::new(code::NOT_FOUND, "the exchange keeps no trust documents")
        .why("it is Open Horizon's own, where only Horizon's signatures protect a service")
        .help("`edgepost service verify NAME --horizon-key FILE` verifies those; or give the URL of an Edgepost exchange by --exchange")
}

/// The organization has no trust document yet.
fn no_trust(client: &ExchangeClient) -> CliError {
    let what = format!("organization {} has no trust document", client.org());
    CliError::new(code::NOT_FOUND, what).help("`edgepost trust init` makes one")
}
