//! `edgepost trust revoke`: a key that no longer counts anywhere.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{change::ChangeArgs, keys::key_ids};
use crate::{
    cli::{Context, error::CliError},
    trust::RevocationReason,
};

/// Why a key is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Reason {
    /// Somebody else may have it: what it alone vouches for stops on the nodes
    Compromised,
    /// It is no longer used: what it vouches for runs on, and is not installed anew
    Retired,
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Compromised => Self::Compromised,
            Reason::Retired => Self::Retired,
        }
    }
}

/// Revoke a key: it no longer counts anywhere, as root key or as publisher's
///
/// A laptop was stolen:      edgepost trust revoke ann --reason compromised --trust-sha256 PIN
/// Somebody has left:        edgepost trust revoke bob.pem --reason retired --trust-sha256 PIN
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct RevokeArgs {
    /// The key: its name, its public half as PEM, or its id
    #[arg(value_name = "REVOKED")]
    revoked: String,
    /// Why
    #[arg(long, value_enum)]
    reason: Reason,
    /// End the epoch of each rule that names the key, too: everything signed by these rules must be published again
    #[arg(long)]
    new_epoch: bool,
    #[command(flatten)]
    change: ChangeArgs,
}

impl RevokeArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let keyids = key_ids(std::slice::from_ref(&self.revoked), context)?;
        let told = json!({"revoked": keyids});
        let revocation = self.change.carry_out(told, context, |next| {
            for keyid in &keyids {
                next.revoke(*keyid, self.reason.into())?;
                if self.new_epoch {
                    next.raise_epochs_of(keyid);
                }
            }
            Ok(())
        });
        revocation.await
    }
}
