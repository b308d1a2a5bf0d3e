//! The exchange itself.

use super::{Call, ExchangeClient, ExchangeError};
use crate::exchange::api::AdminStatus;

impl ExchangeClient {
    /// The version of Horizon's exchange API that it speaks, as it says.
    ///
    /// # Errors
    /// As of every request.
    pub async fn version(&self) -> Result<String, ExchangeError> {
        let answer = self.transport.send(Call::get(&["admin", "version"])).await?;
        Ok(answer.text()?.trim().to_owned())
    }

    /// What it says about itself.
    ///
    /// # Errors
    /// As of every request.
    pub async fn status(&self) -> Result<AdminStatus, ExchangeError> {
        self.transport.send(Call::get(&["admin", "status"])).await?.json()
    }
}
