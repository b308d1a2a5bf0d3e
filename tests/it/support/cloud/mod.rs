//! Clouds of a story's own: our registry behind a desk that lets people in as that cloud's does.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, Uri, header::AUTHORIZATION},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use edgepost::registry::server::{Access, router, storage::Folder};
use serde_json::json;

use super::{
    authority::Authority,
    web::{Door, Heard, Web},
};

pub mod azure;
pub mod ibm;
pub mod openshift;
pub mod tokens;

pub use tokens::{Mint, Right, now};

use tokens::{Asked, allows, mounted, wanted};

/// The ways of one cloud.
trait Ways: Send + Sync {
    /// The path of its token server.
    fn realm(&self) -> &'static str;
    /// What its token server calls the registry.
    fn service(&self) -> Option<String>;
    /// The answer of its token server, or of another address that is no registry's.
    fn sell(&self, asked: &Asked) -> Option<Response>;
    /// What a token opens; none: it is no token, or has ended.
    fn rights(&self, token: &str) -> Option<Vec<Right>>;
    /// An answer in the place of the registry's, though the token is good.
    fn refuse(&self, _repository: &str, _action: &str) -> Option<Response> {
        None
    }
}

/// An emulated cloud.
#[derive(Debug)]
pub struct Cloud {
    host: String,
    web: Web,
    authority: Authority,
    desk: Arc<Desk>,
}

/// Who stands before the registry.
struct Desk {
    host: String,
    ways: Box<dyn Ways>,
    /// The host where blobs lie, if it is not the registry itself.
    storage: Option<&'static str>,
    /// Whether every token lapses as it is used.
    lapsing: AtomicBool,
    lapses: tokens::Lapses,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk(..)")
    }
}

impl Cloud {
    fn start(folder: &Path, host: &str, ways: impl Ways + 'static) -> Self {
        Self::with_storage(folder, host, None, ways)
    }

    fn with_storage(
        folder: &Path,
        host: &str,
        storage: Option<&'static str>,
        ways: impl Ways + 'static,
    ) -> Self {
        let authority = Authority::new();
        let desk = Arc::new(Desk {
            host: host.to_owned(),
            ways: Box::new(ways),
            storage,
            lapsing: AtomicBool::new(false),
            lapses: tokens::Lapses::default(),
        });
        let folder = Folder::open(folder.join(host)).expect("a registry can be made");
        let registry = router(folder, Access::Anonymous);
        let router = registry.layer(from_fn_with_state(Arc::clone(&desk), let_in));
        let names: Vec<&str> = [host].into_iter().chain(storage).collect();
        let web = Web::start(router, Door::Tls(&authority, &names));
        Self { host: host.to_owned(), web, authority, desk }
    }

    /// The name of its registry.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// All its names.
    pub fn hosts(&self) -> Vec<&str> {
        [self.host()].into_iter().chain(self.desk.storage).collect()
    }

    /// What answers to its names.
    pub fn web(&self) -> &Web {
        &self.web
    }

    /// Its certificate authority, in PEM.
    pub fn ca(&self) -> String {
        self.authority.pem()
    }

    /// Lets the token of every request lapse on the way: the request must come again with another.
    pub fn let_tokens_lapse(&self) {
        self.desk.lapsing.store(true, Ordering::SeqCst);
    }

    /// The requests for tokens so far.
    pub fn purchases(&self) -> Vec<Heard> {
        let realm = self.desk.ways.realm();
        self.web.heard().into_iter().filter(|it| it.path() == realm).collect()
    }
}

/// Lets those in who have a good token.
async fn let_in(State(desk): State<Arc<Desk>>, mut request: Request, next: Next) -> Response {
    let host = request.headers().get("host").and_then(|it| it.to_str().ok());
    let host = request.uri().host().or(host).unwrap_or_default();
    if desk.storage.is_some_and(|storage| storage == host) {
        return from_storage(request, next).await;
    }
    if !request.uri().path().starts_with("/v2/") {
        let asked = Asked::read(request).await;
        let unknown = || StatusCode::NOT_FOUND.into_response();
        return desk.ways.sell(&asked).unwrap_or_else(unknown);
    }
    let authorization = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let token = authorization.and_then(|it| it.strip_prefix("Bearer "));
    let (repository, action) = wanted(request.method(), request.uri().path());
    let rights = token.and_then(|token| desk.ways.rights(token));
    // From where a blob may not be pulled it is not mounted: an upload begins instead.
    let plain = mounted(request.uri()).and_then(|from| {
        let may = rights.as_ref().is_some_and(|it| allows(it, &from, "pull"));
        (!may).then(|| request.uri().path().parse().expect("a path is a path"))
    });
    let good = rights.is_some_and(|it| repository.is_empty() || allows(&it, &repository, action));
    let lapsed =
        desk.lapsing.load(Ordering::SeqCst) && desk.lapses.now(&request, token.unwrap_or_default());
    if !good || lapsed {
        return desk.challenge(&repository, action);
    }
    if let Some(refusal) = desk.ways.refuse(&repository, action) {
        return refusal;
    }
    if let Some(plain) = plain {
        *request.uri_mut() = plain;
    }
    let is_blob = request.method() == "GET" && request.uri().path().contains("/blobs/sha256:");
    match desk.storage {
        Some(storage) if is_blob => {
            let to = format!("https://{storage}{}?sig=signed", request.uri().path());
            (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response()
        }
        _ => next.run(request).await,
    }
}

impl Desk {
    fn challenge(&self, repository: &str, action: &str) -> Response {
        let realm = format!("https://{}{}", self.host, self.ways.realm());
        let service = self.ways.service().map(|it| format!(",service=\"{it}\""));
        let scope = format!(",scope=\"repository:{repository}:{action}\"");
        let scope = if repository.is_empty() { "" } else { &scope };
        let challenge = format!("Bearer realm=\"{realm}\"{}{scope}", service.unwrap_or_default());
        let error = json!({"code": "UNAUTHORIZED", "message": "authentication required"});
        let body = Json(json!({"errors": [error]}));
        (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)], body).into_response()
    }
}

/// A store of blobs, which takes its own signature for a login, and no other beside it.
async fn from_storage(mut request: Request, next: Next) -> Response {
    if request.headers().contains_key(AUTHORIZATION) {
        let why = "<Error><Code>InvalidAuthenticationInfo</Code></Error>";
        return (StatusCode::BAD_REQUEST, why).into_response();
    }
    if request.uri().query() != Some("sig=signed") {
        return StatusCode::FORBIDDEN.into_response();
    }
    let path: Uri = request.uri().path().parse().expect("a path is a path");
    *request.uri_mut() = path;
    next.run(request).await
}

/// An answer in JSON.
fn answer(status: u16, body: &serde_json::Value) -> Response {
    let builder = Response::builder().status(status).header("content-type", "application/json");
    builder.body(Body::from(body.to_string())).expect("this is an answer")
}

/// A refusal by a token server.
fn refused(status: u16, message: &str) -> Response {
    answer(status, &json!({"errors": [{"code": "UNAUTHORIZED", "message": message}]}))
}
