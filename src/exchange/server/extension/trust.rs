//! Whom the organization trusts, and what the exchange itself vouches for.

use axum::{Json, extract::State, http::StatusCode, response::Response};

use super::{may_read, may_read_state, verbatim};
use crate::{
    exchange::{
        api::{Reply, StampKey, TrustHead},
        server::{
            ApiError, AppState,
            caller::Caller,
            extract::{Body, Path},
        },
        store::{TrustPut, Usage},
    },
    sign::Envelope,
    trust::{
        CatalogDifference, Refusal, Trust, TrustPin,
        freshness::{SIGNING_TOLERANCE, check_issued},
    },
    types::OrgId,
};

/// Tells the key with which the exchange signs stamps.
pub(super) async fn stamp_key(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
) -> Result<Json<StampKey>, ApiError> {
    may_read(&caller, &org)?;
    Ok(Json(StampKey { key: state.extension.stamp_key.verifying_key() }))
}

/// Tells which trust document is the newest.
pub(super) async fn newest(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
) -> Result<Json<TrustHead>, ApiError> {
    may_read_state(&state, &caller, &org).await?;
    match state.store.newest_trust(&org).await? {
        Some((newest, _)) => Ok(Json(TrustHead { newest })),
        None => Err(no_trust(&org)),
    }
}

/// Hands out one version of the trust document.
pub(super) async fn version(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, version)): Path<(OrgId, u64)>,
) -> Result<Response, ApiError> {
    may_read_state(&state, &caller, &org).await?;
    let trust = state.store.trust(&org, version).await?;
    verbatim(trust, None, || format!("trust '{org}/{version}'"))
}

/// Makes a trust document the newest. Nodes judge it again; this keeps mistakes out.
pub(super) async fn put(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Body(envelope): Body<Envelope>,
) -> Result<(StatusCode, Json<Reply>), ApiError> {
    // Refused before the document is verified; decided inside the write transaction.
    caller.may_change_trust(&org)?;
    let (held, now) = (state.trust(&org).await?, state.clock.now());
    if held.as_ref().is_some_and(|held| held.digest() == envelope.digest()) {
        return Ok((StatusCode::OK, Json(Reply::ok("trust unchanged"))));
    }
    let next = match &held {
        Some(held) => held.advance(&envelope),
        None => first(&org, &envelope),
    };
    let next = next.map_err(|refusal| out_of_turn_or_refused(&refusal))?;
    let what = format!("trust version {}", next.version());
    check_issued(&what, next.document().issued, now, SIGNING_TOLERANCE)
        .map_err(|refusal| refused(&refusal))?;
    let key = &state.extension.stamp_key;
    let permit = caller.permit(|caller, _| caller.may_change_trust(&org));
    let document = (next.version(), &envelope);
    match state.store.put_trust(&org, document, key, permit, now).await? {
        TrustPut::Accepted => {
            let mut msg = format!("trust version {} is in force", next.version());
            if !next.document().stamp.keyids.contains(&key.key_id()) {
                msg.push_str(
                    "; it does not name this exchange's stamp key, so no node will follow",
                );
            }
            Ok((StatusCode::CREATED, Json(Reply::ok(msg))))
        }
        TrustPut::Unchanged => Ok((StatusCode::OK, Json(Reply::ok("trust unchanged")))),
        TrustPut::OutOfTurn { newest } => {
            let next = newest + 1;
            Err(ApiError::Conflict(format!("trust is at version {newest}; the next is {next}")))
        }
    }
}

/// Hands out the newest stamp.
pub(super) async fn stamp(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
) -> Result<Response, ApiError> {
    may_read_state(&state, &caller, &org).await?;
    let stamp = state.store.stamp(&org, &state.extension.stamp_key, state.clock.now()).await?;
    verbatim(stamp, None, || format!("stamp of '{org}'"))
}

/// Hands out a version of the catalog.
pub(super) async fn catalog(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, version)): Path<(OrgId, u64)>,
) -> Result<Response, ApiError> {
    may_read_state(&state, &caller, &org).await?;
    let bytes = state.store.catalog_length(&org, version).await?.unwrap_or_default();
    let reservation = state.reserve_whole(&caller, Usage { count: 1, bytes }).await?;
    let catalog = state.store.catalog(&org, version).await?;
    verbatim(catalog, reservation, || format!("catalog '{org}/{version}'"))
}

/// Hands out what a catalog has that an earlier one has not.
pub(super) async fn catalog_since(
    State(state): State<AppState>,
    caller: Caller,
    Path((org, version, held)): Path<(OrgId, u64, u64)>,
) -> Result<Json<CatalogDifference>, ApiError> {
    may_read_state(&state, &caller, &org).await?;
    let difference = state.store.catalog_difference(&org, held, version).await?;
    let missing = || format!("changes from catalog {held} to '{org}/{version}' not found");
    difference.map(Json).ok_or_else(|| ApiError::NotFound(missing()))
}

/// There is no trust document yet.
pub(super) fn no_trust(org: &OrgId) -> ApiError {
    ApiError::NotFound(format!("organization '{org}' has no trust document"))
}

/// The first trust document is taken at its word: it is the organization's admin who brings it, and
/// nodes pin it by its hash.
fn first(org: &OrgId, envelope: &Envelope) -> Result<Trust, Refusal> {
    let trust = Trust::pinned(envelope, &TrustPin(envelope.digest()))?;
    if trust.org() == org {
        return Ok(trust);
    }
    Err(Refusal::Relabel {
        expected: format!("the trust of {org}"),
        received: format!("the trust of {}", trust.org()),
    })
}

/// What a refusal means to the one whose document is refused.
pub(super) fn refused(refusal: &Refusal) -> ApiError {
    let mut msg = refusal.to_string();
    if let Some(source) = std::error::Error::source(refusal) {
        msg = format!("{msg}: {source}");
    }
    match refusal {
        Refusal::Malformed { .. } => ApiError::InvalidInput(msg),
        _ => ApiError::SignatureRefused { attack: refusal.attack(), msg },
    }
}

/// The same for a trust document, where being out of turn is no forgery.
fn out_of_turn_or_refused(refusal: &Refusal) -> ApiError {
    match refusal {
        Refusal::Rollback { .. } | Refusal::Equivocation { .. } | Refusal::Vanished { .. } => {
            ApiError::Conflict(refusal.to_string())
        }
        other => refused(other),
    }
}
