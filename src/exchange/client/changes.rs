//! The change feed: at once, or waiting for something to happen.

use std::time::Duration;

use super::{Call, ExchangeClient, ExchangeError};
use crate::exchange::api::{
    ChangesRequest, ChangesResponse, ChangesWait, LONGEST_WAIT, MaxChangeId,
};

impl ExchangeClient {
    /// The changes from `from` on. Where there are none yet, our exchange holds its answer back
    /// until there is one, for `wait` at most (60 s at most, counted in whole seconds).
    ///
    /// # Errors
    /// As of every request; an empty answer is none.
    pub async fn changes(
        &self,
        from: i64,
        wait: Duration,
    ) -> Result<ChangesResponse, ExchangeError> {
        let wait = wait.min(LONGEST_WAIT);
        let request = ChangesWait { change_id: from, wait: wait.as_secs() };
        let call = Call::post(&self.extension(&["changes"])).json(&request)?;
        self.transport.send(call.waiting(wait).repeatable()).await?.json()
    }

    /// The changes from `from` on, at most `most` of them, at once: what Horizon's exchange has too.
    ///
    /// # Errors
    /// As of every request.
    pub async fn changes_now(
        &self,
        from: i64,
        most: u32,
    ) -> Result<ChangesResponse, ExchangeError> {
        let request = ChangesRequest::since(from, most);
        let call = Call::post(&self.in_org(&["changes"])).json(&request)?;
        self.transport.send(call.repeatable()).await?.json()
    }

    /// The number of the newest change.
    ///
    /// # Errors
    /// As of every request.
    pub async fn newest_change(&self) -> Result<i64, ExchangeError> {
        let answer = self.transport.send(Call::get(&["changes", "maxchangeid"])).await?;
        Ok(answer.json::<MaxChangeId>()?.max_change_id)
    }
}
