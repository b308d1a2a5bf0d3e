//! `edgepost user api-key`: secrets by which programs log in as a user.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{Context, error::CliError},
    exchange::{
        api::{ExpiringKey, ExpiringKeyRequest},
        client::ExchangeClient,
    },
    types::UserId,
};

/// API keys of a user: secrets by which programs log in, as `ORG/apikey:VALUE`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ApiKeyCommand {
    /// List the API keys of a user, without their values
    List {
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Create an API key and print its value, which is shown only once
    Create(CreateArgs),
    /// Remove API keys; programs that use them are refused at once
    Revoke(RevokeArgs),
}

/// Whose keys they are.
#[derive(Debug, Args)]
pub(in crate::cli) struct OwnerArgs {
    /// The user; without it: yourself
    #[arg(long, value_name = "NAME", default_value = "apikey", hide_default_value = true)]
    user: UserId,
}

/// Create an API key and print its value, which is shown only once
#[derive(Debug, Args)]
pub(in crate::cli) struct CreateArgs {
    #[command(flatten)]
    owner: OwnerArgs,
    /// A short name for people
    #[arg(long, default_value = "")]
    label: String,
    /// What the key is for
    #[arg(long, default_value = "")]
    description: String,
    /// The days after which it expires; without this it does not
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    expires_in: Option<u32>,
}

/// Remove API keys; programs that use them are refused at once
#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeArgs {
    /// The key's id, as `list` shows it
    #[arg(required_unless_present = "all")]
    id: Option<String>,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Remove all API keys of the user
    #[arg(long, conflicts_with = "id")]
    all: bool,
}

impl ApiKeyCommand {
    /// Runs the command.
    pub(super) async fn run(
        &self,
        client: &ExchangeClient,
        context: &Context,
    ) -> Result<(), CliError> {
        match self {
            Self::List { owner } => {
                let keys = client.api_keys(&owner.user).await?;
                let headings = ["KEY", "LABEL", "DESCRIPTION", "CREATED", "EXPIRES"];
                context.output.list(&keys, &headings, keys.apikeys.iter().map(row));
            }
            Self::Create(args) => {
                let request = ExpiringKeyRequest {
                    description: args.description.clone(),
                    label: args.label.clone(),
                    expires_in_days: args.expires_in,
                };
                let key = client.create_expiring_key(&args.owner.user, &request).await?;
                context.output.note(format!("API key {} of {}", key.key.id, key.owner));
                let value = || key.value.0.expose().to_owned();
                context.output.result(&key, value);
            }
            Self::Revoke(args) => args.run(client, context).await?,
        }
        Ok(())
    }
}

impl RevokeArgs {
    async fn run(&self, client: &ExchangeClient, context: &Context) -> Result<(), CliError> {
        let revoked = match &self.id {
            Some(id) => client.revoke_api_key(&self.owner.user, id).await.map(|()| 1)?,
            None => client.revoke_api_keys(&self.owner.user).await?,
        };
        let result = json!({"ok": true, "revokedApiKeys": revoked});
        context.output.result(&result, || format!("API keys removed: {revoked}"));
        Ok(())
    }
}

fn row(ExpiringKey { key, expires }: &ExpiringKey) -> Vec<String> {
    let expires = expires.map_or_else(|| "never".to_owned(), |it| it.to_string());
    let (label, description) = (key.label.clone(), key.description.clone());
    vec![key.id.clone(), label, description, key.last_updated.to_string(), expires]
}
