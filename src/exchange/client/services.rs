//! Services, as Horizon's exchange has them too: what hzn does to publish one, step by step.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{Credential, Dated, Service, ServicePolicyRequest, Services, WireSecret},
    types::{OrgId, ServiceId, ServiceUrl},
};

impl ExchangeClient {
    /// The services of the organization that the caller may see, by `org/id`.
    pub async fn services(&self) -> Result<BTreeMap<String, Service>, ExchangeError> {
        match self.transport.find(Call::get(&self.in_org(&["services"]))).await? {
            Some(answer) => Ok(answer.json::<Services>()?.services),
            None => Ok(BTreeMap::new()),
        }
    }

    /// The services of that name that the caller may see, of every version and architecture.
    pub async fn services_named(
        &self,
        org: &OrgId,
        url: &ServiceUrl,
    ) -> Result<Vec<Service>, ExchangeError> {
        let call = Call::get(&["orgs", org.as_str(), "services"]).query("url", url);
        let Some(answer) = self.transport.find(call).await? else { return Ok(Vec::new()) };
        let services = answer.json::<Services>()?.services.into_values();
        // `%` in a filter stands for anything.
        Ok(services.filter(|it| it.value.url == *url).collect())
    }

    /// A service, if there is one of this name.
    ///
    /// # Errors
    /// As of every request.
    pub async fn service(&self, id: &ServiceId) -> Result<Option<Service>, ExchangeError> {
        match self.transport.find(Call::get(&path(id, &[]))).await? {
            Some(answer) => Ok(answer.json::<Services>()?.services.into_values().next()),
            None => Ok(None),
        }
    }

    /// The service that the exchange calls `id`, if there is one.
    pub async fn find_service(&self, id: &str) -> Result<Option<Service>, ExchangeError> {
        match self.transport.find(Call::get(&self.in_org(&["services", id]))).await? {
            Some(answer) => Ok(answer.json::<Services>()?.services.into_values().next()),
            None => Ok(None),
        }
    }

    /// Puts a public key (PEM) beside a service.
    ///
    /// # Errors
    /// As of every request.
    pub async fn put_service_key(
        &self,
        id: &ServiceId,
        name: &str,
        pem: &str,
    ) -> Result<(), ExchangeError> {
        let call = Call::put(&path(id, &["keys", name])).raw(pem.to_owned());
        self.transport.send(call).await.map(drop)
    }

    /// Adds a login with which nodes pull the service's images. The same again adds nothing.
    ///
    /// # Errors
    /// As of every request.
    pub async fn add_service_login(
        &self,
        id: &ServiceId,
        login: &Credential,
    ) -> Result<(), ExchangeError> {
        let call = Call::post(&path(id, &["dockauths"])).json(login)?.repeatable();
        self.transport.send(call).await.map(drop)
    }

    /// The pull credentials of a service, as Horizon's API shows them to those who may change it.
    ///
    /// # Errors
    /// As of every request.
    pub async fn service_logins(&self, id: &ServiceId) -> Result<Vec<HeldLogin>, ExchangeError> {
        match self.transport.find(Call::get(&path(id, &["dockauths"]))).await? {
            Some(answer) => answer.json(),
            None => Ok(Vec::new()),
        }
    }

    /// Removes the pull credentials with this number; whether there were any.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_service_login(
        &self,
        id: &ServiceId,
        number: i64,
    ) -> Result<bool, ExchangeError> {
        let call = Call::delete(&path(id, &["dockauths", &number.to_string()]));
        Ok(self.transport.find(call).await?.is_some())
    }

    /// Says what a service says of itself and asks of nodes.
    ///
    /// # Errors
    /// As of every request.
    pub async fn put_service_policy(
        &self,
        id: &ServiceId,
        policy: &Value,
    ) -> Result<(), ExchangeError> {
        let call = Call::put(&path(id, &["policy"])).json(policy)?;
        self.transport.send(call).await.map(drop)
    }

    /// What a service says of itself and asks of nodes, if anything.
    ///
    /// # Errors
    /// As of every request.
    pub async fn service_policy(
        &self,
        id: &ServiceId,
    ) -> Result<Option<Dated<ServicePolicyRequest>>, ExchangeError> {
        match self.transport.find(Call::get(&path(id, &["policy"]))).await? {
            Some(answer) => answer.json().map(Some),
            None => Ok(None),
        }
    }

    /// Removes what was said by [`ExchangeClient::put_service_policy`]; whether there was anything.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_service_policy(&self, id: &ServiceId) -> Result<bool, ExchangeError> {
        Ok(self.transport.find(Call::delete(&path(id, &["policy"]))).await?.is_some())
    }
}

/// Pull credentials of a service, as Horizon's API shows them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeldLogin {
    /// Their number.
    #[serde(rename = "dockAuthId")]
    pub number: i64,
    registry: String,
    #[serde(default)]
    username: String,
    /// In clear, or stars.
    token: WireSecret,
}

impl HeldLogin {
    /// Whether they are these.
    pub fn is(&self, new: &Credential) -> bool {
        self.is_of_account(new) && self.token.0.expose() == new.token.expose()
    }

    /// Whether they are these as far as can be seen: the token may be hidden.
    pub fn may_be(&self, new: &Credential) -> bool {
        let is_hidden = self.token.0.expose().bytes().all(|it| it == b'*');
        self.is(new) || (is_hidden && self.is_of_account(new))
    }

    fn is_of_account(&self, new: &Credential) -> bool {
        self.registry == new.registry.as_str() && self.username == new.username
    }
}

/// `orgs/{org}/services/{id}/…`, in the organization of the service.
fn path(id: &ServiceId, rest: &[&str]) -> Vec<String> {
    let mut path = vec!["orgs".to_owned(), id.org.to_string(), "services".to_owned()];
    path.push(id.exchange_id());
    path.extend(rest.iter().map(|&segment| segment.to_owned()));
    path
}
