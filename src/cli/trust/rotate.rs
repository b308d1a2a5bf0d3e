//! `edgepost trust rotate`: other root keys.

use clap::Args;
use serde_json::Value;

use super::{
    change::ChangeArgs,
    keys::{key_ids, public_keys},
    revoke::Reason,
};
use crate::{
    cli::{Context, error::CliError},
    trust::Rotation,
};

/// Exchange root keys, or ask for more or fewer of them
///
/// From one key to three people:    edgepost trust rotate --add-root ann.pem --add-root bob.pem --add-root eve.pem
///                                  --remove-root default --threshold 2 --trust-sha256 PIN
/// A root key was stolen:           edgepost trust rotate --remove-root eve.pem --reason compromised
///                                  --add-root dan.pem --trust-sha256 PIN
///
/// Enough root keys of the version before and enough of the new ones must sign: nodes follow by themselves.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct RotateArgs {
    /// A key that becomes a root key: its name, or its public half as PEM; repeatable
    #[arg(long, value_name = "KEY")]
    add_root: Vec<String>,
    /// A root key that is one no longer: its name, its public half as PEM, or its id; repeatable
    #[arg(long, value_name = "KEY")]
    remove_root: Vec<String>,
    /// How many of the root keys must sign each later change; without it, as many as before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8))]
    threshold: Option<u32>,
    /// Revoke the keys that are removed, so that they count nowhere else either
    #[arg(long, value_enum, requires = "remove_root")]
    reason: Option<Reason>,
    #[command(flatten)]
    change: ChangeArgs,
}

impl RotateArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let rotation = Rotation {
            add: public_keys(&self.add_root, context)?,
            remove: key_ids(&self.remove_root, context)?,
            threshold: self.threshold,
        };
        let change = self.change.carry_out(Value::Null, context, |next| {
            if let Some(reason) = self.reason {
                // Before they are removed: a key that nothing names any more cannot be revoked.
                rotation.remove.iter().try_for_each(|key| next.revoke(*key, reason.into()))?;
            }
            next.rotate(&rotation)
        });
        change.await
    }
}
