//! Organizations.

use std::collections::BTreeMap;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{Org, OrgRequest, OrgSettings, OrgSettingsChange, Orgs},
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

    /// What an organization has chosen that Horizon has no word for.
    ///
    /// # Errors
    /// As of every request.
    pub async fn org_settings(&self, id: &OrgId) -> Result<OrgSettings, ExchangeError> {
        self.transport.send(Call::get(&settings_of(id))).await?.json()
    }

    /// Changes what an organization has chosen, as far as the change names it, and gives all of it.
    ///
    /// # Errors
    /// As of every request.
    pub async fn change_org_settings(
        &self,
        id: &OrgId,
        change: &OrgSettingsChange,
    ) -> Result<OrgSettings, ExchangeError> {
        self.transport.send(Call::put(&settings_of(id)).json(change)?).await?.json()
    }

    /// Removes an organization and everything in it; whether there was one.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_org(&self, id: &OrgId) -> Result<bool, ExchangeError> {
        Ok(self.transport.find(Call::delete(&["orgs", id.as_str()])).await?.is_some())
    }
}

fn settings_of(id: &OrgId) -> [&str; 4] {
    ["orgs", id.as_str(), "edgepost", "settings"]
}
