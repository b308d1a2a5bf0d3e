//! The least length of secrets, as an organization has chosen it.

use super::{ApiError, AppState};
use crate::types::{OrgId, Secret};

/// A kind of secret that accounts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretKind {
    /// The password of a user.
    Password,
    /// The token of a node.
    Token,
}

/// Refuses a new secret with fewer characters than the organization asks for. Those that exist stay valid.
pub(super) async fn check_length(
    state: &AppState,
    org: &OrgId,
    kind: SecretKind,
    secret: &Secret,
) -> Result<(), ApiError> {
    let Some(settings) = state.store.org_settings(org).await? else { return Ok(()) };
    let (word, least) = match kind {
        SecretKind::Password => ("password", settings.min_password_length),
        SecretKind::Token => ("token", settings.min_token_length),
    };
    if secret.expose().chars().count() < least as usize {
        let msg = format!("the {word} is too short: org '{org}' asks for {least} characters");
        return Err(ApiError::InvalidInput(msg));
    }
    Ok(())
}
