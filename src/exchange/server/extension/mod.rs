//! What our exchange has beside Horizon's: signed documents and everything that keeps them honest.
//!
//! All of it lies under `/v1/orgs/{org}/edgepost/`, and what is for the exchange as a whole under
//! `/v1/admin/edgepost/`.

mod accounts;
mod approvals;
mod changes;
mod credentials;
mod documents;
mod nodes;
mod publish;
mod rekey;
mod reports;
mod settings;
mod trust;

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    response::Response,
    routing::{MethodRouter, delete, get, post, put},
};
use serde_json::Value;
use tokio::sync::watch;

use super::{
    ApiError, AppState, budget::Reservation, caller::Caller, extract::body_limit, lists::reserved,
    posted,
};
use crate::{
    exchange::{
        api::{PatternRequest, PolicyRequest, ServiceRequest},
        store::{SecretFileError, stamp_key},
    },
    sign::{Envelope, SigningKey},
    trust::{Statement, Trust, TrustRoot},
    types::{OrgId, Subject},
};

/// An envelope may have 1 MiB, and logins come on top.
const LONGEST_PUBLICATION: usize = 2 << 20;
/// A node's report, in bytes: for each service its images and what went wrong.
const LONGEST_REPORT: usize = 256 << 10;
/// What is not a document, in bytes.
const LONGEST_RECORD: usize = 32 << 10;

/// Every path of ours, below `/v1`.
pub(super) fn routes() -> Router<AppState> {
    let publish = post(publish::publish).layer(body_limit(LONGEST_PUBLICATION));
    let check = post(publish::check).layer(body_limit(LONGEST_PUBLICATION));
    let ours = Router::new()
        .route("/stamp-key", get(trust::stamp_key))
        .route("/trust", get(trust::newest).put(trust::put))
        .route("/trust/{version}", get(trust::version))
        .route("/stamp", get(trust::stamp))
        .route("/catalog/{version}", get(trust::catalog))
        .route("/catalog/{version}/since/{held}", get(trust::catalog_since))
        .route("/publish", publish)
        .route("/publish/check", check)
        .route("/documents", get(documents::newest))
        .route("/documents/history", get(documents::history))
        .route("/documents/{sha256}", get(documents::by_digest))
        .route("/services/{id}/credentials", get(credentials::of_service).put(credentials::set))
        .route("/services", get(posted::page::<ServiceRequest>))
        .route("/patterns", get(posted::page::<PatternRequest>))
        .route("/policies", get(posted::page::<PolicyRequest>))
        .route("/settings", short(get(settings::get).put(settings::put)))
        .route("/changes", short(post(changes::wait)))
        .route(
            "/users/{user}/apikeys",
            get(accounts::keys).post(accounts::create_key).delete(accounts::revoke_keys),
        )
        .route("/users/{user}/apikeys/{id}", delete(accounts::revoke_key))
        .route("/users/{user}/password", put(accounts::set_password))
        .route("/nodes", get(nodes::list))
        .route(
            "/nodes/{id}/approval",
            get(approvals::get).put(approvals::put).delete(approvals::delete),
        )
        .route("/states", get(reports::states))
        .route("/refusals", get(reports::refusing))
        .route(
            "/nodes/{id}/report",
            put(reports::put).get(reports::get).layer(body_limit(LONGEST_REPORT)),
        );
    Router::new()
        .nest("/orgs/{org}/edgepost", ours)
        .route("/admin/edgepost/rekey", post(rekey::go_on))
}

/// A path whose bodies are short.
fn short(route: MethodRouter<AppState>) -> MethodRouter<AppState> {
    route.layer(body_limit(LONGEST_RECORD))
}

/// What the handlers share beyond what all of the exchange shares.
#[derive(Debug)]
pub(super) struct Extension {
    stamp_key: SigningKey,
    /// The newest trust of each organization, as far as it was asked for.
    trusts: Mutex<HashMap<OrgId, Arc<Trust>>>,
    /// Whether the server is about to end, so that nobody should wait any longer.
    closing: watch::Sender<bool>,
}

impl Extension {
    /// With the keys in the data folder, which are made on first use.
    pub(super) fn open(folder: &Path) -> Result<Self, SecretFileError> {
        let stamp_key = stamp_key(folder)?;
        Ok(Self { stamp_key, trusts: Mutex::default(), closing: watch::Sender::new(false) })
    }

    /// Answers everyone who waits for changes, now and from now on.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
    }
}

impl AppState {
    /// Whom the organization trusts; `None` before its first trust document.
    pub(super) async fn trust(&self, org: &OrgId) -> Result<Option<Arc<Trust>>, ApiError> {
        let Some((version, sha256)) = self.store.newest_trust(org).await? else {
            return Ok(None);
        };
        let trusts = || self.extension.trusts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = trusts().get(org)
            && (known.version(), known.digest()) == (version, sha256)
        {
            return Ok(Some(Arc::clone(known)));
        }
        let trust = Arc::new(self.walk(org, version).await?);
        trusts().insert(org.clone(), Arc::clone(&trust));
        Ok(Some(trust))
    }

    /// Verifies the chain again, from its first document on.
    async fn walk(&self, org: &OrgId, newest: u64) -> Result<Trust, ApiError> {
        let mut chain = Vec::new();
        for version in 1..=newest {
            let bytes = self.store.trust(org, version).await?;
            let bytes = bytes.ok_or_else(|| ApiError::internal("a trust document is missing"))?;
            chain.push(Envelope::from_json(&bytes).map_err(ApiError::internal)?);
        }
        let trust = Trust::walk(&chain, TrustRoot::FirstSeen).map_err(ApiError::internal)?;
        trust.ok_or_else(|| ApiError::internal("a chain of trust is empty"))
    }
}

/// JSON as it is kept, byte for byte.
fn verbatim(
    bytes: Option<Vec<u8>>,
    reservation: Option<Reservation>,
    what: impl FnOnce() -> String,
) -> Result<Response, ApiError> {
    let bytes = bytes.ok_or_else(|| ApiError::NotFound(format!("{} not found", what())))?;
    Ok(reserved(bytes, reservation))
}

/// What is signed is for the organization's own users and nodes.
fn may_read(caller: &Caller, org: &OrgId) -> Result<(), ApiError> {
    caller.may_read_changes(org)
}

/// Its trust, stamp and catalog are for others as well, once it has a public service: without them nobody
/// could verify that one. They name every document of the organization, and say nothing of what is in it.
async fn may_read_state(state: &AppState, caller: &Caller, org: &OrgId) -> Result<(), ApiError> {
    match may_read(caller, org) {
        Err(denied) if !state.store.shares_anything(org).await? => Err(denied),
        _ => Ok(()),
    }
}

/// Of its documents, others read the services that are public. Which service it is, the signed header says:
/// the id that the exchange gives it can be that of two.
async fn may_read_document(
    state: &AppState,
    caller: &Caller,
    org: &OrgId,
    envelope: Option<&[u8]>,
) -> Result<(), ApiError> {
    let Err(denied) = may_read(caller, org) else { return Ok(()) };
    let envelope = envelope.map(Envelope::from_json).transpose().map_err(ApiError::internal)?;
    let statement = envelope.map(|it| serde_json::from_slice::<Statement<Value>>(it.payload()));
    match statement.transpose().map_err(ApiError::internal)?.map(|it| it.header.subject) {
        Some(Subject::Service { url, .. }) if state.store.shares(org, &url).await? => Ok(()),
        _ => Err(denied),
    }
}
