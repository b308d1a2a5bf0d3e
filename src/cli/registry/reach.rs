//! How the commands below reach a registry.

use clap::Args;

use crate::{
    cli::{Context, registries::push_config},
    registry::client::RegistryClient,
    types::Registry,
};

/// How to reach the registry.
#[derive(Debug, Args)]
pub(super) struct ReachArgs {
    /// Speak plain HTTP with it: whoever is on the way sees and changes everything
    #[arg(long)]
    plain_http: bool,
}

impl ReachArgs {
    /// A client with the logins of this user.
    pub(super) fn client(&self, registries: &[Registry], context: &Context) -> RegistryClient {
        let plain = if self.plain_http { registries } else { &[] };
        RegistryClient::new(push_config(context, plain))
    }
}
