//! `edgepost exchange`: serve one, or look after one that runs.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{Context, code, error::CliError, serve::ServeExchangeArgs},
    exchange::{api::Rekeyed, client::ExchangeError},
};

/// Run an exchange, or look after one that runs
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ExchangeArgs {
    #[command(subcommand)]
    command: Option<ExchangeCommand>,
    #[command(flatten)]
    serve: ServeExchangeArgs,
}

/// What is done with an exchange that runs.
#[derive(Debug, Subcommand)]
enum ExchangeCommand {
    /// Encrypt all logins for nodes by a new key, while the exchange or hub runs (as root)
    ///
    /// The new key is made in the exchange's data folder, beside the old one, which goes once no login needs it. What
    /// is broken off is finished by the same command. A copy of the old key file opens old copies of the database:
    /// if it was stolen, the tokens in them must be replaced, too.
    Rekey,
}

impl ExchangeArgs {
    /// Runs the command, or the server where there is none.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match &self.command {
            None => self.serve.run(context).await,
            Some(ExchangeCommand::Rekey) => rekey(context).await,
        }
    }
}

async fn rekey(context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    if !client.is_edgepost().await? {
        return Err(CliError::new(
            code::FAILED,
            "this exchange is Horizon's own, and has no such key",
        )
        .help("name one of Edgepost's by --exchange"));
    }
    let (mut toward, mut rewritten) = (None, 0);
    loop {
        let step = client.rekey(toward).await.map_err(not_root)?;
        rewritten += step.rewritten;
        if step.left == 0 {
            let version = step.key_version;
            let result = json!({"ok": true, "keyVersion": version, "rewritten": rewritten});
            context.output.result(&result, || {
                format!("key {version}: {rewritten} logins rewritten, the older key is gone")
            });
            return Ok(());
        }
        if step.rewritten == 0 {
            return Err(unreadable(&step));
        }
        context.output.step("rekey", format!("{rewritten} logins rewritten, {} left", step.left));
        toward = Some(step.key_version);
    }
}

/// Whoever is not root may not.
fn not_root(error: ExchangeError) -> CliError {
    match error {
        ExchangeError::Denied { .. } => CliError::from(error)
            .help("only the exchange's root user may: EDGEPOST_USER_AUTH=root/root:PASSWORD"),
        error => error.into(),
    }
}

/// Logins that keep the older key from going.
fn unreadable(step: &Rekeyed) -> CliError {
    let (left, version) = (step.left, step.key_version);
    CliError::new(code::VAULT, format!("{left} logins cannot be decrypted, so that the older key stays"))
        .why(format!("all others are encrypted by key {version} now; these rows were altered, or come from another database"))
        .details(step.unreadable.iter().cloned())
        .help("set them anew (edgepost service credentials set) or remove them, and repeat the command")
}
