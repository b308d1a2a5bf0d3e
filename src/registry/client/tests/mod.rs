//! The client against small servers that misbehave on purpose.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;

use super::*;
use crate::{image::Descriptor, types::Secret};

mod explained;
mod hidden;
mod lists;
mod login;
mod pull;
mod push;
mod tls;

/// A request as a [`Fake`] saw it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    /// None if it broke off.
    pub(super) body: Option<Bytes>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(super) fn query(&self) -> HashMap<String, String> {
        let query = self.uri.query().unwrap_or_default();
        url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }
}

/// A server on loopback that answers as it is told, and remembers what it was asked.
#[derive(Debug)]
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    /// `answer` is given a request and how many came before.
    pub(super) async fn start<F>(answer: F) -> Self
    where
        F: Fn(&Seen, usize) -> Response + Send + Sync + 'static,
    {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        let router = axum::Router::new().fallback(move |request: Request<Body>| {
            let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
            async move {
                let (head, body) = request.into_parts();
                let body = to_bytes(body, 10_000_000).await.ok();
                let request =
                    Seen { method: head.method, uri: head.uri, headers: head.headers, body };
                let before = {
                    let mut log = log.lock().unwrap();
                    log.push(request.clone());
                    log.len() - 1
                };
                answer(&request, before)
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, seen }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn repository(&self) -> Repository {
        format!("{}/team/app", self.address).parse().unwrap()
    }

    pub(super) fn registry(&self) -> Registry {
        self.address.to_string().parse().unwrap()
    }
}

/// Quick in everything.
pub(super) fn quick() -> ClientConfig {
    let retry = RetryPolicy {
        tries: 4,
        first_delay: Duration::from_millis(1),
        longest_delay: Duration::from_millis(5),
        ..RetryPolicy::default()
    };
    ClientConfig { retry, stall: Duration::from_secs(2), ..ClientConfig::default() }
}

pub(super) fn client() -> RegistryClient {
    RegistryClient::new(quick())
}

pub(super) fn client_of_bob(fake: &Fake) -> RegistryClient {
    let login = Login::new("bob", Secret::new("canary"));
    RegistryClient::new(ClientConfig {
        logins: Logins::none().with(fake.registry(), login),
        ..quick()
    })
}

pub(super) fn status(code: u16) -> Response {
    StatusCode::from_u16(code).unwrap().into_response()
}

pub(super) fn with(code: u16, headers: &[(&'static str, &str)], body: &'static [u8]) -> Response {
    let mut response = Response::builder().status(code);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from(body)).unwrap()
}

pub(super) fn layer() -> Descriptor {
    Descriptor::of("application/octet-stream", LAYER)
}

pub(super) const LAYER: &[u8] = b"0123456789";
