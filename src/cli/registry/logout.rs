//! `edgepost registry logout`: a login is forgotten.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        Context,
        error::CliError,
        registry::login::{bad_login, told},
    },
    registry::client::forget_login,
    types::Registry,
};

/// Forget the login for a registry, in every login file and by the credential helpers that they name
#[derive(Debug, Args)]
pub(super) struct LogoutArgs {
    /// The registry: host or host:port
    #[arg(value_name = "HOST")]
    registry: Registry,
}

impl LogoutArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut forgotten = Vec::new();
        for file in context.environment.login_files() {
            let found = forget_login(&file, &self.registry).await;
            forgotten.extend(found.map_err(|error| bad_login(&error))?.iter().map(told));
        }
        let registry = &self.registry;
        if forgotten.is_empty() {
            context.output.note(format!("there was no login for {registry}"));
        }
        context.output.result(
            &json!({"ok": true, "registry": registry, "forgottenBy": forgotten}),
            || {
                let lines = forgotten.iter().map(|by| format!("{registry}  forgotten by {by}"));
                lines.collect::<Vec<_>>().join("\n")
            },
        );
        Ok(())
    }
}
