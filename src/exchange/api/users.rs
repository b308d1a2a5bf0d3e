//! Users and their API keys.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::exchange::api::{Hidden, WireSecret, nullable};

/// What `POST` and `PUT /orgs/{org}/users/{user}` take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UserRequest {
    /// The password.
    pub password: WireSecret,
    /// Whether the user manages the organization.
    #[serde(default, deserialize_with = "nullable")]
    pub admin: bool,
    /// Whether the user manages organizations; only in organization `root`.
    #[serde(default, deserialize_with = "nullable")]
    pub hub_admin: bool,
    /// An address for people; may be empty.
    pub email: String,
}

/// What `PATCH /orgs/{org}/users/{user}` takes: exactly one.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct UserPatch {
    /// A new password; an empty one shuts the user out, with every API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<WireSecret>,
    /// Whether the user manages the organization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<bool>,
    /// Whether the user manages organizations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub_admin: Option<bool>,
    /// An address for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// What `POST /orgs/{org}/users/{user}/changepw` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ChangePassword {
    /// The new password.
    pub new_password: WireSecret,
}

/// A user as others see one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Always stars.
    pub password: Hidden,
    /// Whether the user manages the organization.
    pub admin: bool,
    /// Whether the user manages organizations.
    pub hub_admin: bool,
    /// An address for people.
    pub email: String,
    /// When it was last written.
    pub last_updated: Timestamp,
    /// `org/user`, who wrote it last.
    pub updated_by: String,
    /// The user's API keys, without their values.
    pub apikeys: Vec<ApiKey>,
}

/// What `GET /orgs/{org}/users` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Users {
    /// By `org/user`.
    pub users: BTreeMap<String, User>,
    /// Always 0.
    pub last_index: i64,
}

/// What `POST /orgs/{org}/users/{user}/apikeys` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiKeyRequest {
    /// What it is for.
    #[serde(deserialize_with = "nullable")]
    pub description: String,
    /// A name for people.
    #[serde(deserialize_with = "nullable")]
    pub label: String,
}

/// An API key without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// A UUID.
    pub id: String,
    /// A name for people.
    pub label: String,
    /// What it is for.
    pub description: String,
    /// When it was made.
    pub last_updated: Timestamp,
}

/// What `POST /orgs/{org}/edgepost/users/{user}/apikeys` takes: Horizon's request, and an end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ExpiringKeyRequest {
    /// What it is for.
    pub description: String,
    /// A name for people.
    pub label: String,
    /// The days after which it expires; without them it does not.
    pub expires_in_days: Option<u32>,
}

/// An API key with its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiringKey {
    /// The key, as Horizon shows it.
    #[serde(flatten)]
    pub key: ApiKey,
    /// When it expires; `None` if it does not.
    pub expires: Option<Timestamp>,
}

/// What `GET /orgs/{org}/edgepost/users/{user}/apikeys` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeys {
    /// `org/user`, whose keys they are.
    pub owner: String,
    /// The keys, oldest first, expired ones too.
    pub apikeys: Vec<ExpiringKey>,
}

/// What `PUT /orgs/{org}/edgepost/users/{user}/password` takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewPassword {
    /// The new password.
    pub password: WireSecret,
    /// Whether the user's API keys are removed with the old password.
    #[serde(default)]
    pub revoke_api_keys: bool,
}

/// How many API keys a request has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedKeys {
    /// Their number.
    pub revoked: u64,
}

/// An API key that was just made: the only time its value is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NewApiKey {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKey,
    /// `org/user`, for whom it stands.
    pub owner: String,
    /// What to send as the password of the user `apikey`.
    pub value: WireSecret,
    /// When it expires; absent if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}
