//! `edgepost registry check`: whether a registry can be used, and as whom.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{Context, error::CliError, registries::push_config},
    registry::client::RegistryClient,
    types::Registry,
};

/// Say whether a registry can be reached, and takes our login
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The registry: host or host:port
    #[arg(value_name = "HOST")]
    registry: Registry,
    /// Speak plain HTTP with it: whoever is on the way sees and changes everything
    #[arg(long)]
    plain_http: bool,
}

impl CheckArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let plain = self.plain_http.then(|| self.registry.clone());
        let client = RegistryClient::new(push_config(context, plain.as_slice()));
        client.ping(&self.registry).await?;
        let registry = &self.registry;
        context.output.result(&json!({"ok": true, "registry": registry}), || {
            format!("{registry} can be reached, and takes our login")
        });
        Ok(())
    }
}
