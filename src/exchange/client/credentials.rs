//! The logins that nodes pull a service's images with.

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{MaskedCredential, SealedCredential},
    types::ServiceId,
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
        self.transport.send(credentials_of(service)).await?.json()
    }

    /// The logins of a service, without their tokens, for the user who owns it.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if there is no such service, or it is not the caller's.
    pub async fn masked_credentials(
        &self,
        service: &ServiceId,
    ) -> Result<Vec<MaskedCredential>, ExchangeError> {
        self.transport.send(credentials_of(service)).await?.json()
    }
}

fn credentials_of(service: &ServiceId) -> Call {
    let (org, id) = (service.org.as_str(), service.exchange_id());
    Call::get(&["orgs", org, "edgepost", "services", &id, "credentials"])
}
