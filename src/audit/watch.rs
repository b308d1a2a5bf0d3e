//! Watches the requests of a server for security events.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::{ConnectInfo, Request},
    http::{Extensions, Method},
    middleware::Next,
    response::Response,
};

use super::{AuditEntry, AuditEvent, AuditLog};

/// What a handler says about its request, for the line that is written after it. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct AuditTrail(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    actor: String,
    event: Option<(AuditEvent, Option<String>)>,
}

impl AuditTrail {
    /// The trail of a request; without [`watch`], one that is not read.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_default()
    }

    /// Says who is logged in: `org/name`.
    pub fn set_actor(&self, actor: String) {
        self.noted().actor = actor;
    }

    /// Says what happens if the request succeeds, and to what; without an object, to what is at the
    /// request's path.
    pub fn note(&self, event: AuditEvent, object: Option<String>) {
        self.noted().event = Some((event, object));
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address that a request came from.
pub fn address(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|it| it.0.ip())
}

/// Answers a request, and records its security event if it has one: what a response is marked with
/// (an [`AuditEvent`] among its extensions), what the handler noted if it succeeded, or a deletion.
/// `deleted` names the event of a successful `DELETE` by its path.
pub async fn watch(
    log: &AuditLog,
    deleted: fn(&str) -> Option<AuditEvent>,
    mut request: Request,
    next: Next,
) -> Response {
    let trail = AuditTrail::default();
    request.extensions_mut().insert(trail.clone());
    let address = address(request.extensions());
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let marked = response.extensions().get::<AuditEvent>().map(|it| (*it, None));
    let event = marked.or_else(|| {
        let is_done = response.status().is_success();
        let noted = trail.noted().event.take();
        let removed = (method == Method::DELETE).then(|| deleted(uri.path())).flatten();
        noted.or(removed.map(|it| (it, None))).filter(|_| is_done)
    });
    if let Some((event, object)) = event {
        let object = object.as_deref().unwrap_or(uri.path());
        log.record(&AuditEntry { event, actor: &trail.noted().actor, address, object });
    }
    response
}
