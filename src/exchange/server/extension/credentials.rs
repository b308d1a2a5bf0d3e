//! The logins that nodes pull a service's images with.

use std::collections::HashSet;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};

use super::assignment::is_assigned;
use crate::{
    exchange::{
        api::{
            CredentialError, HeldCredentials, NewCredentials, SealedCredential, Service,
            ServiceRequest,
        },
        server::{
            ApiError, AppState,
            caller::Caller,
            extract::{Path, SecretBody},
        },
        store::{Ownership, StoredCredential},
    },
    sign::sealed::NodePublicKey,
    types::{NodeId, NodeRef, OrgId, ServiceId},
};

/// More registries than any service has images in.
const MOST_LOGINS: usize = 1000;

/// Gives a node the logins of a service it is to run, sealed to it, and the service's owner their
/// names. To everyone else there is no such thing, so that nobody learns who pulls what from where.
pub(super) async fn of_service(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, id)): Path<(OrgId, String)>,
) -> Result<Response, ApiError> {
    let missing = || missing(&org, &id);
    let service = state.store.posted::<ServiceRequest>(&org, &id).await?.ok_or_else(missing)?;
    if let Some(node) = caller.node() {
        let sealed = sealed(&state, &caller, node, (&org, &id), &service).await?;
        return Ok(Json(sealed.ok_or_else(missing)?).into_response());
    }
    if !caller.keeps(&org, &service.owner) {
        return Err(missing());
    }
    Ok(Json(state.store.masked_credentials(&org, &id).await?).into_response())
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
    if credentials.len() > MOST_LOGINS {
        return Err(ApiError::InvalidInput(format!("more than {MOST_LOGINS} logins at once")));
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

/// The logins, sealed to the node; `None` if the service is not for it. A node of another
/// organization gets none, even of a public service: whoever made it can assign it anything.
async fn sealed(
    state: &AppState,
    caller: &Caller,
    node: &NodeId,
    (org, id): (&OrgId, &str),
    service: &Service,
) -> Result<Option<Vec<SealedCredential>>, ApiError> {
    if caller.org != *org {
        return Ok(None);
    }
    let Some(described) = state.store.nodes(org, None, Some(node)).await?.into_values().next()
    else {
        return Ok(None);
    };
    let node = NodeRef { org: org.clone(), id: node.clone() };
    if !is_assigned(&state.store, &node, &described, (org, id)).await? {
        return Ok(None);
    }
    let key: NodePublicKey = described.public_key.parse().map_err(|_| {
        ApiError::InvalidInput(format!("node '{node}' has no public key to seal to (x25519:…)"))
    })?;
    let service = service_id(org, service)?;
    let seal = |held: StoredCredential| {
        SealedCredential::seal(&held.credential, (held.id, held.version), &service, &node, &key)
    };
    let held = state.store.credentials(org, id).await?;
    let sealed = held.into_iter().map(seal).collect::<Result<_, CredentialError>>();
    sealed.map(Some).map_err(|error| ApiError::InvalidInput(error.to_string()))
}

fn service_id(org: &OrgId, service: &Service) -> Result<ServiceId, ApiError> {
    let request = &service.value;
    Ok(ServiceId {
        org: org.clone(),
        url: request.url.clone(),
        version: request.version.parse().map_err(ApiError::internal)?,
        arch: request.arch.parse().map_err(ApiError::internal)?,
    })
}
