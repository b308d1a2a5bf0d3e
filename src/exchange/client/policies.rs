//! Deployment policies, as Horizon's exchange has them too.

use serde_json::Value;

use super::{Call, ExchangeClient, ExchangeError};
use crate::types::PolicyId;

impl ExchangeClient {
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
