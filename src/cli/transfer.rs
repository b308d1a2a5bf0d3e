//! The options of every command that moves images.

use clap::Args;

use crate::{
    cli::{Context, progress::ProgressArgs, registries::push_config},
    registry::client::{ByteRate, ClientConfig, Pace},
    types::Registry,
};

/// How images are moved.
#[derive(Debug, Args)]
pub(super) struct TransferArgs {
    /// Fetch no more than this in a second, all blobs together: 500k, 2M, 1.5MiB. What is sent to a registry
    /// is not held back
    #[arg(long, env = "EDGEPOST_LIMIT_RATE", value_name = "RATE")]
    limit_rate: Option<ByteRate>,
    /// Speak plain HTTP with this registry, though it is not on this machine; repeatable
    #[arg(long, env = "EDGEPOST_PLAIN_HTTP", value_name = "REGISTRY", value_delimiter = ',')]
    plain_http: Vec<Registry>,
    #[command(flatten)]
    pub(super) progress: ProgressArgs,
}

impl TransferArgs {
    /// A client's configuration with the logins of this user, as was asked for, with an allowance of
    /// its own.
    pub(super) fn config(&self, context: &Context) -> ClientConfig {
        ClientConfig {
            pace: self.limit_rate.map_or_else(Pace::unlimited, Pace::limited),
            ..push_config(context, &self.plain_http)
        }
    }
}
