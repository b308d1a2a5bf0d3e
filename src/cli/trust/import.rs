//! `edgepost trust import` and `remove-import`: services of other organizations.

use clap::Args;
use serde_json::json;

use super::change::ChangeArgs;
use crate::{
    cli::{Context, error::CliError},
    trust::{Import, TrustPin},
    types::OrgId,
};

/// Let nodes use services of another organization, by the next version of the trust document
///
/// Its sensors alone:     edgepost trust import partner --pin HEX --prefix partner.com/sensors/ --trust-sha256 PIN
///
/// None of its keys is copied: nodes walk its own trust, from this pin on, and hold its stamp and catalog against
/// marks of their own. Who may sign there is decided there. What was said about the organization before is replaced.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct ImportArgs {
    /// The other organization
    from: OrgId,
    /// The pin of its trust, which it tells by `edgepost trust show`
    #[arg(long, value_name = "HEX")]
    pin: TrustPin,
    /// How the names of its services begin that may be used; repeatable. Without it, all of them
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: Vec<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Let nodes use nothing of another organization any more, by the next version of the trust document
#[derive(Debug, Args)]
pub(in crate::cli) struct RemoveImportArgs {
    /// The other organization
    from: OrgId,
    #[command(flatten)]
    change: ChangeArgs,
}

impl ImportArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let (org, sha256) = (self.from.clone(), self.pin.0);
        let told = json!({"import": org, "prefixes": self.prefix});
        let import = Import { org, sha256, prefixes: self.prefix.clone() };
        self.change.carry_out(told, context, |next| next.import(&import)).await
    }
}

impl RemoveImportArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let told = json!({"import": self.from});
        self.change.carry_out(told, context, |next| next.remove_import(&self.from)).await
    }
}
