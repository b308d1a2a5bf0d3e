//! Patterns, as Horizon's exchange has them too.

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{Pattern, Patterns},
    types::PatternId,
};

impl ExchangeClient {
    /// A pattern, if there is one of this name.
    pub async fn find_pattern(&self, id: &PatternId) -> Result<Option<Pattern>, ExchangeError> {
        let path = self.in_org(&["patterns", id.as_str()]);
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => Ok(answer.json::<Patterns>()?.patterns.into_values().next()),
            None => Ok(None),
        }
    }

    /// Puts a public key (PEM) beside a pattern.
    pub async fn put_pattern_key(
        &self,
        id: &PatternId,
        name: &str,
        pem: &str,
    ) -> Result<(), ExchangeError> {
        let path = self.in_org(&["patterns", id.as_str(), "keys", name]);
        self.transport.send(Call::put(&path).raw(pem.to_owned())).await.map(drop)
    }
}
