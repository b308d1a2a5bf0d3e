//! The logins that nodes pull a service's images with.

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{
        Credential, HeldCredentials, MaskedCredential, NewCredentials, SealedCredential,
    },
    types::{OrgId, ServiceId},
};

impl ExchangeClient {
    /// The logins of a service, sealed to the calling node.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if the service is not assigned to the node.
    pub async fn sealed_credentials(
        &self,
        service: &ServiceId,
    ) -> Result<Vec<SealedCredential>, ExchangeError> {
        self.transport.send(Call::get(&path(&service.org, &service.exchange_id()))).await?.json()
    }

    /// The logins of the service that the exchange calls `id`, without their tokens, for the user
    /// who owns it.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if there is no such service, or it is not the caller's.
    pub async fn masked_credentials(
        &self,
        id: &str,
    ) -> Result<Vec<MaskedCredential>, ExchangeError> {
        self.transport.send(Call::get(&path(self.org(), id))).await?.json()
    }

    /// Sets logins of the service that the exchange calls `id`: each takes the place of what the
    /// service has for its registry.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if there is no such service, or it is not the caller's.
    pub async fn set_credentials(
        &self,
        id: &str,
        credentials: Vec<Credential>,
    ) -> Result<HeldCredentials, ExchangeError> {
        let call = Call::put(&path(self.org(), id)).json(&NewCredentials { credentials })?;
        self.transport.send(call).await?.json()
    }

    /// Removes the login with this number from the service that the exchange calls `id`; whether
    /// there was one.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_credential(&self, id: &str, number: i64) -> Result<bool, ExchangeError> {
        let number = number.to_string();
        let call = Call::delete(&self.in_org(&["services", id, "dockauths", &number]));
        Ok(self.transport.find(call).await?.is_some())
    }
}

fn path(org: &OrgId, id: &str) -> [String; 6] {
    ["orgs", org.as_str(), "edgepost", "services", id, "credentials"].map(str::to_owned)
}
