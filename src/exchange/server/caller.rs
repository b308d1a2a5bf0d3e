//! Who asks.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{ApiError, AppState};
use crate::{
    exchange::store::UserRecord,
    types::{Digest, NodeId, OrgId, Secret, UserId},
};

/// The organization of those who manage organizations.
pub(crate) const ROOT: &str = "root";
/// The user name under which an API key is sent.
const API_KEY: &str = "apikey";
/// The longest `Authorization` header that is looked at.
const LONGEST: usize = 4096;

/// Who asks, once the secret was found right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The organization the caller belongs to.
    pub(crate) org: OrgId,
    /// What the caller is there.
    pub(crate) role: Role,
}

/// What a caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// `root/root`, who may everything.
    Root(UserId),
    /// Manages organizations.
    HubAdmin(UserId),
    /// Manages its organization.
    Admin(UserId),
    /// Manages what is its own.
    User(UserId),
    /// Runs services.
    Node(NodeId),
}

impl Caller {
    /// `org/name` of the caller: who owns what it makes.
    pub(crate) fn name(&self) -> String {
        let name = match &self.role {
            Role::Root(id) | Role::HubAdmin(id) | Role::Admin(id) | Role::User(id) => id.as_str(),
            Role::Node(id) => id.as_str(),
        };
        format!("{}/{name}", self.org)
    }

    /// The user it is, if it is one.
    pub(crate) fn user(&self) -> Option<&UserId> {
        match &self.role {
            Role::Root(id) | Role::HubAdmin(id) | Role::Admin(id) | Role::User(id) => Some(id),
            Role::Node(_) => None,
        }
    }

    /// The node it is, if it is one.
    pub(crate) fn node(&self) -> Option<&NodeId> {
        match &self.role {
            Role::Node(id) => Some(id),
            _ => None,
        }
    }

    fn as_user(org: OrgId, id: UserId, user: &UserRecord) -> Self {
        let role = match () {
            () if org.as_str() == ROOT && id.as_str() == ROOT => Role::Root(id),
            () if org.as_str() == ROOT && user.hub_admin => Role::HubAdmin(id),
            () if user.admin => Role::Admin(id),
            () => Role::User(id),
        };
        Self { org, role }
    }

    /// Finds out who sends these credentials. The least powerful of a name comes first.
    async fn known(state: &AppState, sent: Sent) -> Result<Self, ApiError> {
        let Sent { org, name, secret } = sent;
        if name == API_KEY {
            let value = Digest::of(secret.expose().as_bytes());
            let user = state.store.api_key_owner(&org, &value).await?.ok_or(UNKNOWN)?;
            let record = state.store.user(&org, &user).await?.ok_or(UNKNOWN)?;
            return Ok(Self::as_user(org, user, &record));
        }
        let logins = state.store.logins(&org, &name).await?;
        let full = format!("{org}/{name}");
        let is_known = logins.node.is_some() || logins.user.is_some();
        if let Some(node) = logins.node
            && state.passwords.is_right(&full, &secret, &node.token_hash).await?
        {
            return Ok(Self { org, role: Role::Node(node.id) });
        }
        if let Some((id, user)) = logins.user
            && state.passwords.is_right(&full, &secret, &user.password_hash).await?
        {
            return Ok(Self::as_user(org, id, &user));
        }
        if !is_known {
            state.passwords.pretend(&secret).await?;
        }
        Err(UNKNOWN)
    }
}

/// The same whether the name or the secret is wrong, so that names cannot be guessed.
const UNKNOWN: ApiError = ApiError::InvalidCredentials("invalid.credentials");

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let sent = Sent::read(&parts.headers).ok_or(UNKNOWN)?;
        Self::known(state, sent).await.map_err(|error| match error {
            // To a Horizon agent 503 is a reason to try again, 500 is not.
            ApiError::Internal(source) => {
                tracing::error!(error = %source, "credentials cannot be checked");
                ApiError::Busy
            }
            other => other,
        })
    }
}

/// Credentials as they were sent: `org/name:secret`.
struct Sent {
    org: OrgId,
    name: String,
    secret: Secret,
}

impl Sent {
    fn read(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || value.len() > LONGEST {
            return None;
        }
        let bytes = zeroize::Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
        let text = std::str::from_utf8(&bytes).ok()?;
        let (org, rest) = text.split_once('/')?;
        let (name, secret) = rest.split_once(':')?;
        Some(Self { org: org.parse().ok()?, name: name.to_owned(), secret: Secret::new(secret) })
    }
}
