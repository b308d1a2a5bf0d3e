//! What every command is given.

use std::sync::Arc;

use crate::{
    cli::{
        config::{Connection, Environment},
        error::CliError,
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
    /// A client of the exchange, as the user.
    pub(crate) fn client(&self) -> Result<ExchangeClient, CliError> {
        self.connection.settings(&self.environment)?.client()
    }
}
