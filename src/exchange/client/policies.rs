//! Deployment policies, as Horizon's exchange has them too.

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{Policies, Policy},
    types::PolicyId,
};

impl ExchangeClient {
    /// A deployment policy, if there is one of this name.
    pub async fn find_policy(&self, id: &PolicyId) -> Result<Option<Policy>, ExchangeError> {
        let path = self.in_org(&["business", "policies", id.as_str()]);
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => Ok(answer.json::<Policies>()?.policies.into_values().next()),
            None => Ok(None),
        }
    }
}
