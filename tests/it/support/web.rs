//! A web server of a story's own, that remembers what it was told.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::header::CONTENT_LENGTH,
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use axum_server::tls_rustls::RustlsConfig;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio::runtime::Runtime;

use super::authority::Authority;

/// Bodies up to this length are remembered; longer ones are layers.
const REMEMBERED: u64 = 64 * 1024;

/// How a server is entered.
#[derive(Debug, Clone, Copy)]
pub enum Door<'a> {
    /// In plain.
    Plain,
    /// Over TLS, by a certificate for these names.
    Tls(&'a Authority, &'a [&'a str]),
    /// The same, by those alone who have a certificate of the authority.
    Mutual(&'a Authority, &'a [&'a str]),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Its method.
    pub method: String,
    /// Whom it was sent to.
    pub host: String,
    /// Its path and query.
    pub target: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body, if it is no layer.
    pub body: String,
}

impl Heard {
    /// Its path.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// What its query and its body, as a form, say of `name`.
    pub fn values(&self, name: &str) -> Vec<String> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        let of = |text: &str| -> Vec<(String, String)> {
            url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
        };
        let all = of(query).into_iter().chain(of(&self.body));
        all.filter(|(own, _)| own == name).map(|(_, value)| value).collect()
    }
}

/// A server that runs as long as the story holds it.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    heard: Log,
    runtime: Option<Runtime>,
}

type Log = Arc<Mutex<Vec<Heard>>>;

impl Web {
    /// Serves `router` on a free port of loopback.
    pub fn start(router: Router, door: Door<'_>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let builder = &mut tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime starts");
        let heard = Log::default();
        let router = router.layer(from_fn_with_state(Arc::clone(&heard), remember));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        listener.set_nonblocking(true).expect("a listener can be told so");
        let address = listener.local_addr().expect("a listener has an address");
        let entered = runtime.enter();
        let service = router.into_make_service();
        if let Some(config) = tls(door) {
            let config = RustlsConfig::from_config(Arc::new(config));
            let server = axum_server::from_tcp_rustls(listener, config);
            runtime.spawn(server.expect("a listener can be served").serve(service));
        } else {
            let server = axum_server::from_tcp(listener).expect("a listener can be served");
            runtime.spawn(server.serve(service));
        }
        drop(entered);
        Self { address, heard, runtime: Some(runtime) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no thread panics").clone()
    }

    /// All that was said in all requests so far.
    pub fn everything(&self) -> String {
        format!("{:#?}", self.heard())
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn remember(State(log): State<Log>, request: Request, next: Next) -> Response {
    let (parts, mut body) = request.into_parts();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
    let headers: Vec<(String, String)> =
        parts.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let length = parts.headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let mut said = String::new();
    if length.is_some_and(|length: u64| length <= REMEMBERED) {
        let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
        said = String::from_utf8_lossy(&whole).into_owned();
        body = Body::from(whole);
    }
    let named = headers.iter().find(|(name, _)| name == "host").map(|(_, host)| host.clone());
    let authority = parts.uri.authority().map(ToString::to_string);
    log.lock().expect("no thread panics").push(Heard {
        method: parts.method.to_string(),
        host: authority.or(named).unwrap_or_default(),
        target: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers,
        body: said,
    });
    next.run(Request::from_parts(parts, body)).await
}

/// The TLS configuration of a server that is entered so; `None`: in plain.
pub fn tls(door: Door<'_>) -> Option<ServerConfig> {
    let (authority, names) = match door {
        Door::Plain => return None,
        Door::Tls(authority, names) | Door::Mutual(authority, names) => (authority, names),
    };
    let builder = match door {
        Door::Mutual(..) => {
            let mut roots = RootCertStore::empty();
            let pem = authority.pem();
            let root = CertificateDer::from_pem_slice(pem.as_bytes()).expect("it is PEM");
            roots.add(root).expect("it is a CA");
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            ServerConfig::builder().with_client_cert_verifier(verifier.expect("it has a root"))
        }
        _ => ServerConfig::builder().with_no_client_auth(),
    };
    let own = authority.server(names);
    let certificate = CertificateDer::from_pem_slice(own.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes());
    let config = builder
        .with_single_cert(vec![certificate.expect("it is PEM")], key.expect("it is PEM"))
        .map(|mut config| {
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            config
        });
    Some(config.expect("certificate and key go together"))
}
