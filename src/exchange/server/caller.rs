//! Who asks.

use std::net::IpAddr;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{ApiError, AppState};
use crate::{
    audit::{self, AuditEntry, AuditEvent, AuditTrail},
    exchange::store::{
        AccountProof, AccountState, CallerAccount, Logins, NodeLogin, Permit, UserRecord,
    },
    types::{Digest, NodeId, OrgId, Secret, UserId},
};

/// The organization of those who manage organizations.
pub(crate) const ROOT: &str = "root";
/// The user name under which an API key is sent.
const API_KEY: &str = "apikey";
/// The longest `Authorization` header that is looked at.
const LONGEST: usize = 4096;

/// Who asks, once the secret was found right.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The organization the caller belongs to.
    pub(crate) org: OrgId,
    /// What the caller is there.
    pub(crate) role: Role,
    /// By what the caller has authenticated.
    proof: AccountProof,
    /// What is said of the request in its audit line.
    trail: AuditTrail,
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

impl Role {
    /// What a user is who is described like this.
    fn of_user(org: &OrgId, id: UserId, user: &UserRecord) -> Self {
        match () {
            () if org.as_str() == ROOT && id.as_str() == ROOT => Self::Root(id),
            () if org.as_str() == ROOT && user.hub_admin => Self::HubAdmin(id),
            () if user.admin => Self::Admin(id),
            () => Self::User(id),
        }
    }
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

    /// A caller in this role, for tests of what a role allows.
    #[cfg(test)]
    pub(crate) fn in_role(org: OrgId, role: Role) -> Self {
        let node = "n1".parse().unwrap();
        let proof = AccountProof::Token { node, hash: String::new() };
        Self { org, role, proof, trail: AuditTrail::default() }
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

    /// Says what happens to the object at the request's path if the request succeeds.
    pub(crate) fn note(&self, event: AuditEvent) {
        self.trail.note(event, None);
    }

    /// Says what happens to `object` if the request succeeds.
    pub(crate) fn note_about(&self, event: AuditEvent, object: String) {
        self.trail.note(event, Some(object));
    }

    /// The decision on a write of this caller. `decide` is given the caller and the row as they are inside the
    /// write transaction, and gives what is to be written.
    pub(crate) fn permit<'a, Row, New>(
        &'a self,
        decide: impl FnOnce(&Self, Option<Row>) -> Result<New, ApiError> + Send + 'a,
    ) -> Permit<'a, Row, New, ApiError> {
        let account = CallerAccount { org: &self.org, proof: &self.proof };
        Permit::of(account, move |state, row| decide(&self.with_state(state), row))
    }

    /// The same caller, with the role that its account has now.
    fn with_state(&self, state: &AccountState) -> Self {
        let role = match (state, self.user()) {
            (AccountState::User(record), Some(id)) => Role::of_user(&self.org, id.clone(), record),
            _ => self.role.clone(),
        };
        Self { role, ..self.clone() }
    }

    fn as_node(org: OrgId, NodeLogin { id, token_hash }: NodeLogin) -> Self {
        let role = Role::Node(id.clone());
        let proof = AccountProof::Token { node: id, hash: token_hash };
        Self { org, role, proof, trail: AuditTrail::default() }
    }

    fn as_user(org: OrgId, id: UserId, user: &UserRecord, proof: AccountProof) -> Self {
        Self { role: Role::of_user(&org, id, user), org, proof, trail: AuditTrail::default() }
    }

    /// Finds out who sends these credentials. The least powerful of a name comes first.
    async fn known(state: &AppState, sent: &Sent) -> Result<Self, ApiError> {
        let Sent { org, name, secret, .. } = sent;
        let attempt = state.logins.begin(sent.address(), &sent.full_name(), secret)?;
        if name == API_KEY {
            let value = Digest::of(secret.expose().as_bytes());
            let now = state.clock.now();
            let Some(user) = state.store.api_key_owner(org, &value, now).await? else {
                return Err(state.logins.refuse(attempt).await.into());
            };
            let Some(record) = state.store.user(org, &user).await? else {
                return Err(state.logins.refuse(attempt).await.into());
            };
            state.logins.accept(&attempt, &value.to_string());
            let proof = AccountProof::ApiKey { user: user.clone(), value };
            return Ok(Self::as_user(org.clone(), user, &record, proof));
        }
        let Logins { node, user } = state.store.logins(org, name).await?;
        // An empty hash fits nothing.
        let token_hash = node.as_ref().map_or("", |it| it.token_hash.as_str());
        let password_hash = user.as_ref().map_or("", |(_, it)| it.password_hash.as_str());
        let found = state.logins.verify(attempt, &[token_hash, password_hash]).await?;
        match (found, node, user) {
            (0, Some(node), _) => Ok(Self::as_node(org.clone(), node)),
            (_, _, Some((id, user))) => {
                let hash = user.password_hash.clone();
                let proof = AccountProof::Password { user: id.clone(), hash };
                Ok(Self::as_user(org.clone(), id, &user, proof))
            }
            _ => Err(UNKNOWN),
        }
    }
}

/// The same whether the name or the secret is wrong, so that names cannot be guessed.
const UNKNOWN: ApiError = ApiError::InvalidCredentials("invalid.credentials");

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let sent = Sent::read(parts).ok_or(UNKNOWN)?;
        let refuse = |event| {
            let (actor, object) = (sent.full_name(), parts.uri.path());
            state.audit.record(&AuditEntry { event, actor: &actor, address: sent.from, object });
        };
        match Self::known(state, &sent).await {
            Ok(caller) => {
                let trail = AuditTrail::of(&parts.extensions);
                trail.set_actor(caller.name());
                Ok(Self { trail, ..caller })
            }
            // To a Horizon agent 503 is a reason to try again, 500 is not.
            Err(ApiError::Internal(source)) => {
                tracing::error!(event = "login.failed", error = %source, "credentials cannot be checked");
                Err(ApiError::Busy)
            }
            Err(error) => {
                match error {
                    ApiError::InvalidCredentials(_) => refuse(AuditEvent::LoginRefused),
                    ApiError::TooManyGuesses { .. } => refuse(AuditEvent::LoginThrottled),
                    _ => {}
                }
                Err(error)
            }
        }
    }
}

/// Credentials as they were sent: `org/name:secret`, and from where.
struct Sent {
    from: Option<IpAddr>,
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
        Some(Self {
            from: audit::address(&parts.extensions),
            org: org.parse().ok()?,
            name: name.to_owned(),
            secret: Secret::new(secret),
        })
    }

    fn full_name(&self) -> String {
        format!("{}/{}", self.org, self.name)
    }

    fn address(&self) -> IpAddr {
        self.from.unwrap_or(IpAddr::from([0; 4]))
    }
}
