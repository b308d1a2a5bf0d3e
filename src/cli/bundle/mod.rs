//! `edgepost bundle`: what a node needs, in one file that is carried to it.

mod export;
mod import;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{
    agent,
    cli::{Context, agent::FolderArgs, error::CliError},
};

/// Carry what is published to nodes that no network reaches
#[derive(Debug, Subcommand)]
pub(super) enum BundleCommand {
    Export(Box<export::ExportArgs>),
    Import(import::ImportArgs),
    /// Say what this node has, so that a bundle can leave it out
    Inventory(InventoryArgs),
}

/// Say what this node has, so that a bundle can leave it out
#[derive(Debug, Args)]
pub(super) struct InventoryArgs {
    #[command(flatten)]
    folder: FolderArgs,
}

impl BundleCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Export(args) => args.run(context).await,
            Self::Import(args) => args.run(context).await,
            Self::Inventory(args) => args.run(context).await,
        }
    }
}

impl InventoryArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        context.output.document(&agent::inventory(self.folder.data()).await?);
        Ok(())
    }
}

/// The file of a bundle.
#[derive(Debug, Args)]
struct FileArgs {
    /// The bundle's file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}
