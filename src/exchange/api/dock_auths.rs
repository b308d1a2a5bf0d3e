//! Registry logins of a service, as Horizon's clients read them.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    exchange::api::{Hidden, WireSecret},
    types::Registry,
};

/// A login as `GET /orgs/{org}/services/{id}/dockauths` tells it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DockAuth {
    /// Its number.
    pub dock_auth_id: i64,
    /// The registry it is for.
    pub registry: Registry,
    /// The user name.
    pub username: String,
    /// The token, or stars.
    pub token: ShownToken,
    /// When it was last written.
    pub last_updated: Timestamp,
}

/// A token, for those who pull with it, and stars for all others.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum ShownToken {
    /// As it is: to a node that is to run the service.
    Clear(WireSecret),
    /// Stars: to people.
    Hidden(Hidden),
}
