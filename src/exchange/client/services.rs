//! Services, as Horizon's exchange has them too: what hzn does to publish one, step by step.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{Credential, Dated, Service, ServicePolicyRequest, Services},
    types::ServiceId,
};

impl ExchangeClient {
    /// The services of the organization that the caller may see, by `org/id`.
    pub async fn services(&self) -> Result<BTreeMap<String, Service>, ExchangeError> {
        match self.transport.find(Call::get(&self.in_org(&["services"]))).await? {
            Some(answer) => Ok(answer.json::<Services>()?.services),
            None => Ok(BTreeMap::new()),
        }
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

    /// Makes a service of what `ServiceDefinition::to_horizon` gives; the exchange names it.
    ///
    /// # Errors
    /// [`ExchangeError::Conflict`] if there is one of this name.
    pub async fn create_service(&self, service: &Value) -> Result<(), ExchangeError> {
        let call = Call::post(&self.in_org(&["services"])).json(service)?;
        self.transport.send(call).await.map(drop)
    }

    /// Replaces a service by what `ServiceDefinition::to_horizon` gives.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if there is none of this name.
    pub async fn replace_service(
        &self,
        id: &ServiceId,
        service: &Value,
    ) -> Result<(), ExchangeError> {
        let call = Call::put(&path(id, &[])).json(service)?;
        self.transport.send(call).await.map(drop)
    }

    /// Removes a service and what hangs on it; whether there was one. A signed document of it stays
    /// in the catalog until it is withdrawn.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_service(&self, id: &ServiceId) -> Result<bool, ExchangeError> {
        Ok(self.transport.find(Call::delete(&path(id, &[]))).await?.is_some())
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

    /// The names of the public keys beside a service.
    ///
    /// # Errors
    /// As of every request.
    pub async fn service_keys(&self, id: &ServiceId) -> Result<Vec<String>, ExchangeError> {
        match self.transport.find(Call::get(&path(id, &["keys"]))).await? {
            Some(answer) => answer.json(),
            None => Ok(Vec::new()),
        }
    }

    /// A public key beside a service, as it was put there.
    ///
    /// # Errors
    /// As of every request.
    pub async fn service_key(
        &self,
        id: &ServiceId,
        name: &str,
    ) -> Result<Option<String>, ExchangeError> {
        match self.transport.find(Call::get(&path(id, &["keys", name]))).await? {
            Some(answer) => Ok(Some(answer.text()?.to_owned())),
            None => Ok(None),
        }
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

/// `orgs/{org}/services/{id}/…`, in the organization of the service.
fn path(id: &ServiceId, rest: &[&str]) -> Vec<String> {
    let mut path = vec!["orgs".to_owned(), id.org.to_string(), "services".to_owned()];
    path.push(id.exchange_id());
    path.extend(rest.iter().map(|&segment| segment.to_owned()));
    path
}
