//! The logins that nodes pull a service's images with.

use std::collections::HashSet;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};

use crate::{
    exchange::{
        api::{
            CredentialError, HeldCredentials, NewCredentials, SealedCredential, ServiceRequest,
            bounds::MOST_CREDENTIALS,
        },
        server::{
            ApiError, AppState,
            caller::Caller,
            entitlement::{Access, Decision, Way, decide},
            extract::{Path, SecretBody},
        },
        store::{Ownership, StoredCredential},
    },
    sign::sealed::NodePublicKey,
    types::{NodeRef, OrgId, ServiceId},
};

/// Gives a node the logins of a service it is to run, sealed to it, and the service's owner their
/// names. To everyone else there is no such thing, so that nobody learns who pulls what from where.
pub(super) async fn of_service(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
) -> Result<Response, ApiError> {
    let Decision { service, access, .. } =
        decide(&state, &caller, (&org, &id), Way::Sealed).await?;
    match (access, service, caller.node()) {
        (Access::Masked(held), ..) => Ok(Json(held).into_response()),
        (Access::Tokens { credentials, key }, Some(service), Some(node)) => {
            let node = NodeRef { org: org.clone(), id: node.clone() };
            let service = service_id(&org, &service)?;
            Ok(Json(sealed(credentials, &service, &node, key)?).into_response())
        }
        _ => Err(missing(&org, &id)),
    }
}

/// Sets logins of a service, for whoever may see their names, and tells its nodes.
pub(super) async fn set(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
    SecretBody(NewCredentials { credentials }): SecretBody<NewCredentials>,
) -> Result<Json<HeldCredentials>, ApiError> {
    let permit = caller.permit(|caller, held: Option<Ownership>| match held {
        Some(held) if caller.keeps(&org, &held.owner) => Ok(()),
        _ => Err(missing(&org, &id)),
    });
    if credentials.len() > MOST_CREDENTIALS {
        let msg = format!("more than {MOST_CREDENTIALS} credentials at once");
        return Err(ApiError::InvalidInput(msg));
    }
    let registries: HashSet<_> = credentials.iter().map(|it| &it.registry).collect();
    if registries.len() < credentials.len() {
        let msg = "a registry is named twice: nodes can use one login for each".to_owned();
        return Err(ApiError::InvalidInput(msg));
    }
    let now = state.clock.now();
    let (credentials, changed) =
        state.store.set_credentials(&org, &id, &credentials, permit, now).await?;
    tracing::info!(event = "credentials.set", actor = caller.name(), %org, service = id, changed, "logins of a service were set");
    Ok(Json(HeldCredentials { changed, credentials }))
}

fn missing(org: &OrgId, id: &str) -> ApiError {
    ApiError::NotFound(format!("credentials of service '{org}/{id}' not found"))
}

/// The logins, sealed to the public key that the node was registered with.
fn sealed(
    held: Vec<StoredCredential>,
    service: &ServiceId,
    node: &NodeRef,
    key: Option<String>,
) -> Result<Vec<SealedCredential>, ApiError> {
    let key = key.ok_or_else(|| {
        ApiError::AccessDenied(format!(
            "node '{node}' has another public key than it was registered with: an administrator has to approve it"
        ))
    })?;
    let key: NodePublicKey = key.parse().map_err(|_| {
        ApiError::InvalidInput(format!("node '{node}' has no public key to seal to (x25519:…)"))
    })?;
    let seal = |held: StoredCredential| {
        SealedCredential::seal(&held.credential, (held.id, held.version), service, node, &key)
    };
    let sealed = held.into_iter().map(seal).collect::<Result<_, CredentialError>>();
    sealed.map_err(|error| ApiError::InvalidInput(error.to_string()))
}

fn service_id(org: &OrgId, request: &ServiceRequest) -> Result<ServiceId, ApiError> {
    Ok(ServiceId {
        org: org.clone(),
        url: request.url.clone(),
        version: request.version.parse().map_err(ApiError::internal)?,
        arch: request.arch.parse().map_err(ApiError::internal)?,
    })
}
