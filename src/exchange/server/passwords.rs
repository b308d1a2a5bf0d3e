//! Passwords and tokens that are set through the API.

use super::ApiError;
use crate::{
    login::{Authenticator, LoginError},
    types::Secret,
};

/// Computes what is stored of passwords and tokens.
#[derive(Debug, Clone)]
pub(crate) struct Passwords(Authenticator);

impl Passwords {
    /// By the authenticator that will verify them.
    pub(crate) fn new(logins: Authenticator) -> Self {
        Self(logins)
    }

    /// The hash under which to keep `secret`.
    pub(crate) async fn hash(&self, secret: &Secret) -> Result<String, ApiError> {
        Ok(self.0.hash(secret).await.map(|it| it.to_string())?)
    }

    /// Whether `secret` is what was hashed.
    pub(crate) async fn is_hash_of(&self, secret: &Secret, hash: &str) -> Result<bool, ApiError> {
        Ok(self.0.is_hash_of(secret, hash).await?)
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Refused => Self::InvalidCredentials("invalid.credentials"),
            LoginError::Throttled { retry_after } => Self::TooManyGuesses { retry_after },
            LoginError::Busy { retry_after } => Self::Overloaded { retry_after },
            LoginError::Unavailable => Self::Busy,
            error => Self::internal(error),
        }
    }
}
