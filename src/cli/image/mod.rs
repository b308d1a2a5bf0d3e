//! `edgepost image`: the publisher's and the agent's transport by hand.

mod copy;
mod inspect;
mod place;
mod verify;

use clap::Subcommand;

use crate::cli::{Context, error::CliError};

/// Images, wherever they are
#[derive(Debug, Subcommand)]
pub(super) enum ImageCommand {
    Copy(copy::CopyArgs),
    Inspect(inspect::InspectArgs),
    Verify(verify::ImageVerifyArgs),
}

impl ImageCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Copy(args) => args.run(context).await,
            Self::Inspect(args) => args.run(context).await,
            Self::Verify(args) => args.run(context).await,
        }
    }
}
