//! The users of the organization.

use std::collections::BTreeMap;

use super::{Call, ExchangeClient, ExchangeError};
use crate::{
    exchange::api::{
        ApiKeyRequest, ApiKeys, ExpiringKeyRequest, NewApiKey, NewPassword, RevokedKeys, User,
        UserPatch, UserRequest, Users,
    },
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

    /// Gives a user another password, and removes the user's API keys if that is asked for. An exchange of
    /// Horizon has no such request. `apikey` is the caller, here and below.
    ///
    /// # Errors
    /// As of every request.
    pub async fn set_password(
        &self,
        id: &UserId,
        password: &NewPassword,
    ) -> Result<RevokedKeys, ExchangeError> {
        let path = self.extension(&["users", id.as_str(), "password"]);
        self.transport.send(Call::put(&path).json(password)?).await?.json()
    }

    /// The API keys of a user, without their values.
    ///
    /// # Errors
    /// As of every request.
    pub async fn api_keys(&self, id: &UserId) -> Result<ApiKeys, ExchangeError> {
        let path = self.extension(&["users", id.as_str(), "apikeys"]);
        self.transport.send(Call::get(&path)).await?.json()
    }

    /// Makes an API key that may expire; only this answer holds its value.
    ///
    /// # Errors
    /// As of every request.
    pub async fn create_expiring_key(
        &self,
        id: &UserId,
        key: &ExpiringKeyRequest,
    ) -> Result<NewApiKey, ExchangeError> {
        let path = self.extension(&["users", id.as_str(), "apikeys"]);
        self.transport.send(Call::post(&path).json(key)?).await?.json()
    }

    /// Removes an API key of a user.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if there is none of this id.
    pub async fn revoke_api_key(&self, id: &UserId, key: &str) -> Result<(), ExchangeError> {
        let path = self.extension(&["users", id.as_str(), "apikeys", key]);
        self.transport.send(Call::delete(&path)).await.map(drop)
    }

    /// Removes all API keys of a user, and gives their number.
    ///
    /// # Errors
    /// As of every request.
    pub async fn revoke_api_keys(&self, id: &UserId) -> Result<u64, ExchangeError> {
        let path = self.extension(&["users", id.as_str(), "apikeys"]);
        Ok(self.transport.send(Call::delete(&path)).await?.json::<RevokedKeys>()?.revoked)
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
