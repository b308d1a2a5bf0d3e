//! The users of the organization.

use std::collections::BTreeMap;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{ApiKeyRequest, NewApiKey, User, UserPatch, UserRequest, Users},
    types::UserId,
};

impl ExchangeClient {
    /// Makes a user.
    ///
    /// # Errors
    /// [`ExchangeError::Conflict`] if there is one of this name.
    pub async fn create_user(&self, id: &UserId, user: &UserRequest) -> Result<(), ExchangeError> {
        let path = self.in_org(&["users", id.as_str()]);
        match self.transport.send(Call::post(&path).json(user)?).await {
            // Horizon answers with the code of bad input.
            Err(ExchangeError::Invalid { what, msg }) if self.user(id).await?.is_some() => {
                Err(ExchangeError::Conflict { what, msg })
            }
            answer => answer.map(drop),
        }
    }

    /// The users that the caller may see, by `org/user`.
    ///
    /// # Errors
    /// As of every request.
    pub async fn users(&self) -> Result<BTreeMap<String, User>, ExchangeError> {
        match self.transport.find(Call::get(&self.in_org(&["users"]))).await? {
            Some(answer) => Ok(answer.json::<Users>()?.users),
            None => Ok(BTreeMap::new()),
        }
    }

    /// A user, if there is one of this name. Under `apikey`, the caller.
    ///
    /// # Errors
    /// As of every request.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, ExchangeError> {
        let path = self.in_org(&["users", id.as_str()]);
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => Ok(answer.json::<Users>()?.users.into_values().next()),
            None => Ok(None),
        }
    }

    /// Changes one attribute of a user.
    ///
    /// # Errors
    /// As of every request.
    pub async fn change_user(&self, id: &UserId, change: &UserPatch) -> Result<(), ExchangeError> {
        let path = self.in_org(&["users", id.as_str()]);
        self.transport.send(Call::patch(&path).json(change)?).await.map(drop)
    }

    /// Removes a user and everything the user owns; whether there was one.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_user(&self, id: &UserId) -> Result<bool, ExchangeError> {
        let path = self.in_org(&["users", id.as_str()]);
        Ok(self.transport.find(Call::delete(&path)).await?.is_some())
    }

    /// Makes an API key for a user; only this answer holds its value.
    ///
    /// # Errors
    /// As of every request.
    pub async fn create_api_key(
        &self,
        id: &UserId,
        key: &ApiKeyRequest,
    ) -> Result<NewApiKey, ExchangeError> {
        let path = self.in_org(&["users", id.as_str(), "apikeys"]);
        self.transport.send(Call::post(&path).json(key)?).await?.json()
    }
}
