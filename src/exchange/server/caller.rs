//! Who asks.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{header, request::Parts},
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
    async fn known(state: &AppState, sent: &Sent) -> Result<Self, ApiError> {
        let Sent { org, name, secret, .. } = sent;
        if name == API_KEY {
            let value = Digest::of(secret.expose().as_bytes());
            let user = state.store.api_key_owner(org, &value).await?.ok_or(UNKNOWN)?;
            let record = state.store.user(org, &user).await?.ok_or(UNKNOWN)?;
            return Ok(Self::as_user(org.clone(), user, &record));
        }
        let logins = state.store.logins(org, name).await?;
        if logins.node.is_none() && logins.user.is_none() {
            // As slow as a wrong secret, so that names cannot be told from the time it takes.
            sent.fits(state, "").await?;
        }
        if let Some(node) = logins.node
            && sent.fits(state, &node.token_hash).await?
        {
            return Ok(Self { org: org.clone(), role: Role::Node(node.id) });
        }
        if let Some((id, user)) = logins.user
            && sent.fits(state, &user.password_hash).await?
        {
            return Ok(Self::as_user(org.clone(), id, &user));
        }
        Err(UNKNOWN)
    }
}

/// The same whether the name or the secret is wrong, so that names cannot be guessed.
const UNKNOWN: ApiError = ApiError::InvalidCredentials("invalid.credentials");

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let sent = Sent::read(parts).ok_or(UNKNOWN)?;
        Self::known(state, &sent).await.map_err(|error| match error {
            // To a Horizon agent 503 is a reason to try again, 500 is not.
            ApiError::Internal(source) => {
                tracing::error!(error = %source, "credentials cannot be checked");
                ApiError::Busy
            }
            ApiError::InvalidCredentials(_) => {
                state.guesses.count(sent.from, &sent.full_name());
                error
            }
            other => other,
        })
    }
}

/// Credentials as they were sent: `org/name:secret`, and from where.
struct Sent {
    from: IpAddr,
    org: OrgId,
    name: String,
    secret: Secret,
}

impl Sent {
    fn read(parts: &Parts) -> Option<Self> {
        let value = parts.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, encoded) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") || value.len() > LONGEST {
            return None;
        }
        let bytes = zeroize::Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
        let text = std::str::from_utf8(&bytes).ok()?;
        let (org, rest) = text.split_once('/')?;
        let (name, secret) = rest.split_once(':')?;
        let from = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Some(Self {
            from: from.map_or(IpAddr::from([0, 0, 0, 0]), |it| it.0.ip()),
            org: org.parse().ok()?,
            name: name.to_owned(),
            secret: Secret::new(secret),
        })
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.org, self.name)
    }

    /// Whether the secret is what was hashed. One that was right lately is right however often
    /// others guess.
    async fn fits(&self, state: &AppState, hash: &str) -> Result<bool, ApiError> {
        let name = self.full_name();
        if state.passwords.remembers(&name, &self.secret, hash) {
            return Ok(true);
        }
        if state.guesses.are_too_many(self.from, &name) {
            return Err(ApiError::TooManyGuesses);
        }
        state.passwords.is_right(&name, &self.secret, hash).await
    }
}
