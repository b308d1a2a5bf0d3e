//! A small registry in memory, with the peculiarities that registries in the field have.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Method, Uri},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use edgepost::types::Digest;

use super::web::{Door, Heard, Web};

/// Who may enter: `ann` with `secret`.
const LOGIN: &str = "ann:secret";
/// The token that her login buys.
const TOKEN: &str = "t0ken";

/// In what a registry differs from the usual ones.
#[derive(Debug, Clone, Default)]
pub struct Peculiarities {
    /// How it asks for a login, `Basic` or `Bearer`; to nobody, if nothing is said.
    pub scheme: Option<&'static str>,
    /// The status by which it answers anonymous requests but for `/v2/`, without a challenge.
    pub anonymous: Option<u16>,
    /// The status of each HEAD of a manifest.
    pub head_manifest: Option<u16>,
    /// The status of each HEAD of a blob.
    pub head_blob: Option<u16>,
    /// A header of each answer.
    pub header: Option<(&'static str, &'static str)>,
    /// Where it sends those who ask for a blob, as `https://host:port`.
    pub blobs_at: Option<String>,
    /// How many pushes of manifests it denies, before a right has arrived.
    pub denied: u32,
}

/// A registry that runs as long as the test holds it.
#[derive(Debug)]
pub struct FakeRegistry {
    web: Web,
}

#[derive(Debug, Default)]
struct Store {
    peculiarities: Peculiarities,
    /// By path; with their media types.
    held: BTreeMap<String, (String, Bytes)>,
    uploads: BTreeMap<String, Vec<u8>>,
}

impl FakeRegistry {
    /// Starts one that is entered by `door`.
    pub fn start(peculiarities: Peculiarities, door: Door<'_>) -> Self {
        let store = Arc::new(Mutex::new(Store { peculiarities, ..Store::default() }));
        let router = Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
                let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
                let mut response = store.answer(&method, &uri, &headers, &body);
                if let Some((name, value)) = store.peculiarities.header {
                    response.headers_mut().insert(name, value.parse().expect("a header's value"));
                }
                response
            },
        );
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        Self { web: Web::start(router, door) }
    }

    /// Its `host:port`.
    pub fn host(&self) -> String {
        self.web.address().to_string()
    }

    /// All requests so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.web.heard()
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).expect("a response")
}

impl Store {
    fn answer(
        &mut self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Response {
        let path = uri.path();
        let query = uri.query().unwrap_or_default();
        let said = headers.get("authorization").and_then(|it| it.to_str().ok());
        let basic = format!("Basic {}", STANDARD.encode(LOGIN));
        if path == "/token" {
            return match said {
                Some(said) if said == basic => {
                    answer(200, &[], format!(r#"{{"token":"{TOKEN}"}}"#))
                }
                _ => answer(401, &[], ""),
            };
        }
        if let Some(scheme) = self.peculiarities.scheme {
            let wanted = if scheme == "Basic" { basic } else { format!("Bearer {TOKEN}") };
            if said != Some(&wanted) {
                let host = headers.get("host").and_then(|it| it.to_str().ok()).unwrap_or_default();
                return self.refusal(path, scheme, host, said.is_some());
            }
        }
        if path == "/v2/" {
            return answer(200, &[], "{}");
        }
        match self.peculiar(method, path) {
            Some(response) => response,
            None if path.contains("/uploads/") => self.upload(method, path, query, body),
            None => self.content(method, path, headers, body),
        }
    }

    /// How it asks for a login, or hides that there is anything.
    fn refusal(&self, path: &str, scheme: &str, host: &str, has_login: bool) -> Response {
        match self.peculiarities.anonymous {
            Some(status) if path != "/v2/" && !has_login => answer(status, &[], ""),
            _ => {
                let challenge = format!("{scheme} realm=\"http://{host}/token\"");
                answer(401, &[("www-authenticate", &challenge)], "")
            }
        }
    }

    /// What it answers in its own way.
    fn peculiar(&mut self, method: &Method, path: &str) -> Option<Response> {
        let Peculiarities { head_manifest, head_blob, blobs_at, denied, .. } =
            &mut self.peculiarities;
        let is_blob = path.contains("/blobs/sha256:");
        let status = match *method {
            Method::HEAD if path.contains("/manifests/") => *head_manifest,
            Method::HEAD if is_blob => *head_blob,
            Method::PUT if path.contains("/manifests/") && *denied > 0 => {
                *denied -= 1;
                Some(403)
            }
            _ => None,
        };
        if let Some(status) = status {
            return Some(answer(status, &[], ""));
        }
        let target = blobs_at.as_ref().filter(|_| is_blob && *method == Method::GET)?;
        Some(answer(307, &[("location", &format!("{target}{path}"))], ""))
    }

    fn upload(&mut self, method: &Method, path: &str, query: &str, body: &Bytes) -> Response {
        match *method {
            Method::POST => {
                let session = format!("{path}{}", self.uploads.len());
                self.uploads.insert(session.clone(), Vec::new());
                answer(202, &[("location", &session)], "")
            }
            Method::PATCH | Method::PUT => {
                let Some(sent) = self.uploads.get_mut(path) else { return answer(404, &[], "") };
                sent.extend_from_slice(body);
                if *method == Method::PATCH {
                    let range = format!("0-{}", sent.len().saturating_sub(1));
                    return answer(202, &[("location", path), ("range", &range)], "");
                }
                let content = Bytes::from(std::mem::take(sent));
                let digest = Digest::of(&content).to_string();
                if !query.contains(&digest) {
                    return answer(400, &[], "");
                }
                let end = path.find("uploads/").unwrap_or_default();
                let octets = "application/octet-stream".to_owned();
                self.held.insert(format!("{}{digest}", &path[..end]), (octets, content));
                answer(201, &[], "")
            }
            _ => answer(204, &[], ""),
        }
    }

    fn content(
        &mut self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Response {
        if *method == Method::PUT {
            let media_type = headers.get("content-type").and_then(|it| it.to_str().ok());
            let held = (media_type.unwrap_or_default().to_owned(), body.clone());
            let end = path.rfind('/').map_or(0, |at| at + 1);
            self.held.insert(format!("{}{}", &path[..end], Digest::of(body)), held.clone());
            self.held.insert(path.to_owned(), held);
            return answer(201, &[], "");
        }
        match self.held.get(path) {
            Some((media_type, content)) => {
                let digest = Digest::of(content).to_string();
                let headers = [
                    ("content-type", media_type.as_str()),
                    ("docker-content-digest", &digest),
                    ("content-length", &content.len().to_string()),
                ];
                let body =
                    if *method == Method::HEAD { Body::empty() } else { content.clone().into() };
                answer(200, &headers, body)
            }
            None => answer(404, &[], ""),
        }
    }
}
