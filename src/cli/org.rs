//! `edgepost org`: organizations of the exchange.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{Context, error::CliError, removal::ForceArgs},
    exchange::api::OrgRequest,
    types::OrgId,
};

/// Organizations
#[derive(Debug, Subcommand)]
pub(super) enum OrgCommand {
    /// Make an organization (as root)
    Create(CreateArgs),
    /// List the organizations you may see
    List,
    /// Remove an organization and everything in it (as root); there is no way back
    Remove(RemoveArgs),
}

/// Make an organization (as root)
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Its name
    name: OrgId,
    /// What people call it
    #[arg(long)]
    label: Option<String>,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
}

/// Remove an organization and everything in it (as root)
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Its name
    name: OrgId,
    #[command(flatten)]
    force: ForceArgs,
}

impl OrgCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let client = context.client()?;
        match self {
            Self::Create(args) => {
                let label = args.label.clone().unwrap_or_else(|| args.name.to_string());
                let org = OrgRequest::new(label, args.description.clone());
                client.create_org(&args.name, &org).await?;
                context
                    .output
                    .result(&json!({"ok": true, "org": args.name}), || args.name.to_string());
                context.output.next(format!(
                    "edgepost user create NAME --org {} --admin --password-file FILE",
                    args.name
                ));
            }
            Self::List => {
                let orgs = client.orgs().await?;
                let rows = orgs.iter().map(|(name, org)| {
                    vec![name.to_string(), org.value.label.clone(), org.value.description.clone()]
                });
                context.output.list(&orgs, &["ORG", "LABEL", "DESCRIPTION"], rows);
            }
            Self::Remove(args) => {
                let removal = client.remove_org(&args.name);
                args.force.remove("org", &args.name, removal, context).await?;
            }
        }
        Ok(())
    }
}
