//! Removing what the exchange has: only when it is meant.

use std::fmt::Display;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::{
    cli::{
        Context, code,
        error::{CliError, missing},
    },
    exchange::client::ExchangeError,
};

/// That a removal is meant. There is no prompt, so that scripts and people see the same.
#[derive(Debug, Args)]
pub(super) struct ForceArgs {
    /// Really remove it
    #[arg(short, long)]
    force: bool,
}

impl ForceArgs {
    /// Refuses to remove `what` unless it is meant.
    pub(super) fn confirm(&self, what: &impl Display) -> Result<(), CliError> {
        if self.force {
            return Ok(());
        }
        Err(CliError::new(code::USAGE, format!("{what} is removed only with --force"))
            .help("add --force"))
    }

    /// Removes the `noun` of this name by `removal`, which says whether there was one.
    pub(super) async fn remove(
        &self,
        noun: &str,
        name: &(impl Display + Serialize),
        removal: impl Future<Output = Result<bool, ExchangeError>>,
        context: &Context,
    ) -> Result<(), CliError> {
        self.confirm(&format!("{noun} {name}"))?;
        if !removal.await? {
            return Err(missing(noun, name));
        }
        context.output.result(&json!({"ok": true, "removed": name}), || name.to_string());
        Ok(())
    }
}
