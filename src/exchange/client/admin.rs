//! The exchange itself.

use super::{Call, ExchangeClient, ExchangeError};
use crate::exchange::api::{AdminStatus, RekeyRequest, Rekeyed};

impl ExchangeClient {
    /// The version of Horizon's exchange API that it speaks, as it says.
    ///
    /// # Errors
    /// As of every request.
    pub async fn version(&self) -> Result<String, ExchangeError> {
        let answer = self.transport.send(Call::get(&["admin", "version"])).await?;
        Ok(answer.text()?.trim().to_owned())
    }

    /// Goes on with a change of the key by which tokens are encrypted at rest, `toward` the one that
    /// an earlier answer named; or begins one. To be repeated until nothing is left.
    ///
    /// # Errors
    /// [`ExchangeError::Denied`] for everybody but the root user.
    pub async fn rekey(&self, toward: Option<i64>) -> Result<Rekeyed, ExchangeError> {
        let call = Call::post(&["admin", "edgepost", "rekey"]).json(&RekeyRequest { toward })?;
        self.transport.send(call).await?.json()
    }

    /// What it says about itself.
    ///
    /// # Errors
    /// As of every request.
    pub async fn status(&self) -> Result<AdminStatus, ExchangeError> {
        self.transport.send(Call::get(&["admin", "status"])).await?.json()
    }
}
