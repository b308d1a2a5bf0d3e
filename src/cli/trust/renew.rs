//! `edgepost trust renew`: the same for another year.

use clap::Args;
use serde_json::Value;

use super::change::ChangeArgs;
use crate::cli::{Context, error::CliError};

/// Make a next version that says the same, before the one in force expires
///
/// For another year:      edgepost trust renew --trust-sha256 PIN
///
/// It also recovers nodes that refuse every state as `freeze`, because a clock was ahead once: the next version brings
/// them back to its own time.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct RenewArgs {
    #[command(flatten)]
    change: ChangeArgs,
}

impl RenewArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        self.change.carry_out(Value::Null, context, |_| Ok(())).await
    }
}
