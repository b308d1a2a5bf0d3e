//! Deployment policies, as Horizon's exchange has them too.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{Policies, Policy},
    types::PolicyId,
};

impl ExchangeClient {
    /// The deployment policies of the organization that the caller may see, by `org/id`.
    pub async fn policies(&self) -> Result<BTreeMap<String, Policy>, ExchangeError> {
        match self.transport.find(Call::get(&self.in_org(&["business", "policies"]))).await? {
            Some(answer) => Ok(answer.json::<Policies>()?.policies),
            None => Ok(BTreeMap::new()),
        }
    }

    /// A deployment policy, if there is one of this name.
    pub async fn find_policy(&self, id: &PolicyId) -> Result<Option<Policy>, ExchangeError> {
        let path = self.in_org(&["business", "policies", id.as_str()]);
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => Ok(answer.json::<Policies>()?.policies.into_values().next()),
            None => Ok(None),
        }
    }

    /// Makes a deployment policy of what `DeploymentPolicy::to_horizon` gives.
    ///
    /// # Errors
    /// [`ExchangeError::Conflict`] if there is one of this name.
    pub async fn create_policy(&self, id: &PolicyId, policy: &Value) -> Result<(), ExchangeError> {
        let path = self.in_org(&["business", "policies", id.as_str()]);
        self.transport.send(Call::post(&path).json(policy)?).await.map(drop)
    }

    /// Replaces a deployment policy by what `DeploymentPolicy::to_horizon` gives.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if there is none of this name.
    pub async fn replace_policy(&self, id: &PolicyId, policy: &Value) -> Result<(), ExchangeError> {
        let path = self.in_org(&["business", "policies", id.as_str()]);
        self.transport.send(Call::put(&path).json(policy)?).await.map(drop)
    }

    /// Removes a deployment policy; whether there was one. A signed document of it stays in the
    /// catalog until it is withdrawn.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_policy(&self, id: &PolicyId) -> Result<bool, ExchangeError> {
        let path = self.in_org(&["business", "policies", id.as_str()]);
        Ok(self.transport.find(Call::delete(&path)).await?.is_some())
    }
}
