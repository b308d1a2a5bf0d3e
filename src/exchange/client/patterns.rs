//! Patterns, as Horizon's exchange has them too.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{Pattern, Patterns},
    types::PatternId,
};

impl ExchangeClient {
    /// The patterns of the organization that the caller may see, by `org/id`.
    pub async fn patterns(&self) -> Result<BTreeMap<String, Pattern>, ExchangeError> {
        match self.transport.find(Call::get(&self.in_org(&["patterns"]))).await? {
            Some(answer) => Ok(answer.json::<Patterns>()?.patterns),
            None => Ok(BTreeMap::new()),
        }
    }

    /// A pattern, if there is one of this name.
    pub async fn find_pattern(&self, id: &PatternId) -> Result<Option<Pattern>, ExchangeError> {
        let path = self.in_org(&["patterns", id.as_str()]);
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => Ok(answer.json::<Patterns>()?.patterns.into_values().next()),
            None => Ok(None),
        }
    }

    /// Makes a pattern of what `Pattern::to_horizon` gives.
    ///
    /// # Errors
    /// [`ExchangeError::Conflict`] if there is one of this name.
    pub async fn create_pattern(
        &self,
        id: &PatternId,
        pattern: &Value,
    ) -> Result<(), ExchangeError> {
        let path = self.in_org(&["patterns", id.as_str()]);
        self.transport.send(Call::post(&path).json(pattern)?).await.map(drop)
    }

    /// Replaces a pattern by what `Pattern::to_horizon` gives.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if there is none of this name.
    pub async fn replace_pattern(
        &self,
        id: &PatternId,
        pattern: &Value,
    ) -> Result<(), ExchangeError> {
        let path = self.in_org(&["patterns", id.as_str()]);
        self.transport.send(Call::put(&path).json(pattern)?).await.map(drop)
    }

    /// Removes a pattern; whether there was one. A signed document of it stays in the catalog until
    /// it is withdrawn.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_pattern(&self, id: &PatternId) -> Result<bool, ExchangeError> {
        let path = self.in_org(&["patterns", id.as_str()]);
        Ok(self.transport.find(Call::delete(&path)).await?.is_some())
    }

    /// Puts a public key (PEM) beside a pattern.
    ///
    /// # Errors
    /// As of every request.
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
