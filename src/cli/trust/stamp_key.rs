//! `edgepost trust stamp-key`: the exchange's online key was replaced.

use clap::Args;
use serde_json::json;

use super::change::ChangeArgs;
use crate::cli::{Context, error::CliError};

/// Let the exchange's key of today sign the stamps, and the key before it no more
///
/// The exchange was broken into, or has lost its data: put it right, remove stamp-key.pem from its data folder,
/// start it, and let the root keys say that the key which it made is the one that counts:
///                        edgepost trust stamp-key --trust-sha256 PIN
///
/// Nodes then forget how far stamps of the old key had counted. What a document says, and how old it is, was never
/// that key's to say.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct StampKeyArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

impl StampKeyArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let key = context.client()?.stamp_key().await?;
        let told = json!({"stampKey": key.key_id()});
        self.change.carry_out(told, context, |next| next.stamp_by(key)).await
    }
}
