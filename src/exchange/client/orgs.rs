//! Organizations.

use std::collections::BTreeMap;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{Org, OrgRequest, Orgs},
    types::OrgId,
};

impl ExchangeClient {
    /// Makes an organization.
    ///
    /// # Errors
    /// [`ExchangeError::Conflict`] if there is one of this name.
    pub async fn create_org(&self, id: &OrgId, org: &OrgRequest) -> Result<(), ExchangeError> {
        let call = Call::post(&["orgs", id.as_str()]).json(org)?;
        self.transport.send(call).await.map(drop)
    }

    /// Every organization that the caller may see.
    ///
    /// # Errors
    /// As of every request.
    pub async fn orgs(&self) -> Result<BTreeMap<OrgId, Org>, ExchangeError> {
        match self.transport.find(Call::get(&["orgs"])).await? {
            Some(answer) => Ok(answer.json::<Orgs>()?.orgs),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Removes an organization and everything in it; whether there was one.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_org(&self, id: &OrgId) -> Result<bool, ExchangeError> {
        Ok(self.transport.find(Call::delete(&["orgs", id.as_str()])).await?.is_some())
    }
}
