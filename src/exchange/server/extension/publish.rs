//! Publishing: everything about a document becomes visible at once, or nothing does.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::trust::{no_trust, refused};
use crate::{
    audit::AuditEvent,
    document::{ClusterDeployment, DeploymentPolicy, NodePolicy, Pattern, ServiceBody},
    exchange::{
        api::{
            NodePolicyRequest, PatternRequest, PolicyRequest, Publication, Published,
            ServicePolicyRequest, ServiceRequest, bounds::MOST_CREDENTIALS,
        },
        server::{
            ApiError, AppState,
            caller::Caller,
            extract::{Path, SecretBody, check_new_name},
        },
        store::{NameClaims, NewDocument, Projection, Publishing, WriteOutcome},
    },
    sign::Envelope,
    trust::{Header, State as DocumentState, Trust},
    types::{DocumentKind, JsonProblem, OrgId, Subject},
};

/// Publishes a signed document. The caller's account and the publisher's key are two gates, and
/// both must open.
pub(super) async fn publish(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    SecretBody(publication): SecretBody<Publication>,
) -> Result<(StatusCode, Json<Published>), ApiError> {
    let header = claimed_header(&publication.envelope)?;
    if header.state == DocumentState::Withdrawn {
        let document = format!("orgs/{org}/{}", header.key());
        caller.note_about(AuditEvent::DocumentWithdrawn, document);
    }
    let published = decide(&state, &caller, &org, &publication, WriteOutcome::Committed).await?;
    let status = if published.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(published)))
}

/// Answers what publishing would be answered, and keeps nothing.
pub(super) async fn check(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    SecretBody(publication): SecretBody<Publication>,
) -> Result<Json<Published>, ApiError> {
    decide(&state, &caller, &org, &publication, WriteOutcome::Undone).await.map(Json)
}

async fn decide(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    Publication { envelope, credentials }: &Publication,
    outcome: WriteOutcome,
) -> Result<Published, ApiError> {
    let header = claimed_header(envelope)?;
    let key = header.key();
    if !credentials.is_empty() && key.kind() != DocumentKind::Service {
        return Err(invalid(format!("a {} has no credentials", key.kind())));
    }
    if credentials.len() > MOST_CREDENTIALS {
        return Err(invalid(format!("more than {MOST_CREDENTIALS} credentials")));
    }
    if !credentials.is_empty() && header.state == DocumentState::Withdrawn {
        return Err(invalid("what is withdrawn has no credentials".to_owned()));
    }
    let trust = state.trust(org).await?.ok_or_else(|| no_trust(org))?;
    let projection = open(&trust, envelope, &header)?;
    let document = NewDocument {
        org,
        envelope,
        header: &header,
        publisher: &caller.name(),
        trust: (trust.version(), trust.digest()),
        projection,
        credentials,
    };
    let (key_of_stamp, now) = (&state.extension.stamp_key, state.clock.now());
    let permit = caller.permit(|caller, claims: Option<NameClaims>| {
        let claims = claims.unwrap_or_default();
        if claims.is_new() {
            check_new_name(key.id())?;
        }
        caller.may_publish(org, (&header.subject, &key), &claims)?;
        Ok(claims)
    });
    let (unchanged, credentials_replaced, catalog_version) =
        match state.store.publish(&document, key_of_stamp, permit, now, outcome).await? {
            Publishing::Published { catalog_version } => (false, false, catalog_version),
            Publishing::Unchanged { catalog_version, has_new_credentials } => {
                (true, has_new_credentials, catalog_version)
            }
            Publishing::Superseded { newest: (epoch, seq) } => {
                let msg = format!("{key} already exists with epoch {epoch}, seq {seq}");
                return Err(ApiError::Conflict(msg));
            }
            Publishing::TrustChanged => return Err(ApiError::Busy),
        };
    let (seq, sha256) = (header.seq, envelope.digest());
    Ok(Published { key, seq, sha256, unchanged, credentials_replaced, catalog_version })
}

/// What the document says it is; to be believed once it has been opened as just that.
fn claimed_header(envelope: &Envelope) -> Result<Header, ApiError> {
    #[derive(Deserialize)]
    struct Claim {
        header: Header,
    }
    let claim = serde_json::from_slice::<Claim>(envelope.payload());
    claim
        .map(|claim| claim.header)
        .map_err(|error| invalid(format!("the signed document: {}", JsonProblem::from(error))))
}

/// Opens the document by the one verify function, and makes of it what hzn and anax see.
fn open(trust: &Trust, envelope: &Envelope, header: &Header) -> Result<Projection, ApiError> {
    let key = header.key();
    if header.state == DocumentState::Withdrawn {
        // What is withdrawn need not be said again.
        trust.open::<Value>(envelope, &key).map_err(|it| refused(&it))?;
        return Ok(Projection::Withdrawn);
    }
    match &header.subject {
        Subject::Service { .. } => {
            let body =
                trust.open::<ServiceBody>(envelope, &key).map_err(|it| refused(&it))?.into_body();
            service(body)
        }
        Subject::Pattern(_) => {
            let body =
                trust.open::<Pattern>(envelope, &key).map_err(|it| refused(&it))?.into_body();
            let pattern: PatternRequest = projected(body.to_horizon())?;
            let unsigned = without_override_signatures(pattern.clone());
            unsigned.problem().map_or(Ok(()), |problem| Err(invalid(problem)))?;
            Ok(Projection::Pattern(Box::new(pattern.completed())))
        }
        Subject::NodePolicy(node) => {
            let body =
                trust.open::<NodePolicy>(envelope, &key).map_err(|it| refused(&it))?.into_body();
            let policy: NodePolicyRequest = projected(body.to_horizon())?;
            policy.problem().map_or(Ok(()), |problem| Err(invalid(problem)))?;
            Ok(Projection::NodePolicy(node.clone()))
        }
        Subject::Policy(_) => {
            let body = trust
                .open::<DeploymentPolicy>(envelope, &key)
                .map_err(|it| refused(&it))?
                .into_body();
            let policy: PolicyRequest = projected(body.to_horizon())?;
            policy.problem().map_or(Ok(()), |problem| Err(invalid(problem)))?;
            Ok(Projection::Policy(Box::new(policy)))
        }
    }
}

fn service(body: ServiceBody) -> Result<Projection, ApiError> {
    let definition = &body.definition;
    if definition.has_deployment() {
        body.deployment().map_err(|error| invalid(format!("the deployment: {error}")))?;
    }
    if let ClusterDeployment::Described(_) = definition.cluster_deployment {
        return Err(invalid("the cluster deployment is no signed text".to_owned()));
    }
    let request: ServiceRequest = projected(definition.to_horizon())?;
    let request = request.completed();
    // Ours need no signature of Horizon's; without one, only our own nodes run them.
    let mut unsigned = request.clone();
    unsigned.deployment.clear();
    unsigned.cluster_deployment.clear();
    unsigned.problem().map_or(Ok(()), |problem| Err(invalid(problem)))?;
    let policy = match body.policy {
        Some(policy) => {
            let policy: ServicePolicyRequest = projected(policy.to_horizon())?;
            policy.problem().map_or(Ok(()), |problem| Err(invalid(problem)))?;
            Some(Box::new(policy))
        }
        None => None,
    };
    Ok(Projection::Service { service: Box::new(request), policy })
}

/// Overrides of ours need no signature of Horizon's either.
fn without_override_signatures(mut pattern: PatternRequest) -> PatternRequest {
    for version in pattern.services.iter_mut().flat_map(|it| &mut it.service_versions) {
        version.deployment_overrides = None;
    }
    pattern
}

/// Reads as strictly as Horizon's paths do.
fn projected<T: DeserializeOwned>(horizon: Value) -> Result<T, ApiError> {
    serde_json::from_value(horizon).map_err(|error| invalid(JsonProblem::from(error).to_string()))
}

fn invalid(msg: String) -> ApiError {
    ApiError::InvalidInput(msg)
}
