//! What every command is given.

use std::{path::PathBuf, sync::Arc};

use crate::{
    cli::{
        config::{Connection, Environment},
        error::CliError,
        key::{KeyFolder, Passphrases},
        output::Output,
    },
    exchange::client::ExchangeClient,
    types::Clock,
};

/// What every command is given.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The surroundings of the program.
    pub(crate) environment: Environment,
    /// How to reach the exchange.
    pub(crate) connection: Connection,
    /// How to speak.
    pub(crate) output: Output,
    /// Whether more is to be said than usual.
    pub(crate) verbose: bool,
    /// The time.
    pub(crate) clock: Arc<dyn Clock>,
}

impl Context {
    /// The user's keys; passphrases come from `EDGEPOST_PASSPHRASE_FILE`, or are asked for.
    pub(crate) fn keys(&self) -> KeyFolder {
        let file = self.environment.get("EDGEPOST_PASSPHRASE_FILE").map(PathBuf::from);
        KeyFolder::new(self.environment.keys(), Passphrases::from(file))
    }

    /// A client of the exchange, as the user.
    pub(crate) fn client(&self) -> Result<ExchangeClient, CliError> {
        self.connection.settings(&self.environment)?.client()
    }
}
