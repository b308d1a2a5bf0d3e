//! A token server as docker-registry wants one (distribution's "Token Authentication").

use std::{sync::Arc, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    routing::get,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};

use super::{
    authority::{Authority, Certified},
    cloud::tokens::now,
    web::{Door, Heard, Web},
};

/// Who is issued tokens: their login, and what they may do with any repository.
pub const ACCOUNTS: [(&str, &[&str]); 2] =
    [("pusher:push-secret", &["pull", "push"]), ("puller:pull-secret", &["pull"])];

/// Issues tokens that are good for a while.
#[derive(Debug)]
pub struct Issuer {
    web: Web,
    authority: Authority,
}

struct Desk {
    signer: Certified,
    life: Duration,
}

impl Issuer {
    /// One whose tokens live so long.
    pub fn start(life: Duration) -> Self {
        let authority = Authority::new();
        let desk = Arc::new(Desk { signer: authority.server(&["issuer"]), life });
        let router = Router::new().route("/token", get(issue)).with_state(desk);
        let web = Web::start(router, Door::Tls(&authority, &["127.0.0.1"]));
        Self { web, authority }
    }

    /// The certificate of its authority: of the tokens, and of the server itself.
    pub fn ca(&self) -> String {
        self.authority.pem()
    }

    /// Its `host:port`.
    pub fn host(&self) -> String {
        self.web.address().to_string()
    }

    /// The part of a docker-registry's configuration that sends everybody here.
    pub fn as_auth(&self, bundle: &std::path::Path) -> String {
        std::fs::write(bundle, self.ca()).expect("the folder is writable");
        let (realm, bundle) = (format!("https://{}/token", self.host()), bundle.display());
        format!(
            "auth:\n  token: {{realm: \"{realm}\", service: registry, issuer: issuer, rootcertbundle: {bundle}}}\n"
        )
    }

    /// Who asked for tokens, and for what.
    pub fn asked(&self) -> Vec<Heard> {
        self.web.heard()
    }
}

async fn issue(State(desk): State<Arc<Desk>>, request: Request) -> (StatusCode, Json<Value>) {
    let login = request.headers().get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    let login = login.and_then(|it| STANDARD.decode(it.strip_prefix("Basic ")?).ok());
    let Some((_, rights)) =
        ACCOUNTS.iter().find(|(account, _)| login.as_deref() == Some(account.as_bytes()))
    else {
        return (StatusCode::UNAUTHORIZED, Json(json!({"details": "incorrect login"})));
    };
    let query = request.uri().query().unwrap_or_default();
    let scopes: Vec<String> = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "scope")
        .flat_map(|(_, scopes)| scopes.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let access: Vec<Value> = scopes.iter().filter_map(|scope| granted(scope, rights)).collect();
    let token = desk.token(&access);
    (StatusCode::OK, Json(json!({"token": token, "expires_in": desk.life.as_secs()})))
}

fn granted(scope: &str, rights: &[&str]) -> Option<Value> {
    let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
    let actions: Vec<&str> = actions.split(',').filter(|it| rights.contains(it)).collect();
    Some(json!({"type": "repository", "name": name, "actions": actions}))
}

impl Desk {
    /// A token (RFC 7519, ES256) with the certificate of its key, as distribution 2.x verifies it.
    fn token(&self, access: &[Value]) -> String {
        let certificate = CertificateDer::from_pem_slice(self.signer.certificate.as_bytes());
        let chain = [STANDARD.encode(certificate.expect("it is PEM"))];
        let life = i64::try_from(self.life.as_secs()).expect("a short life");
        let claims = json!({
            "iss": "issuer", "aud": "registry", "sub": "", "access": access,
            "iat": now(), "nbf": now() - 5, "exp": now() + life, "jti": uuid::Uuid::new_v4().to_string(),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({"typ": "JWT", "alg": "ES256", "x5c": chain});
        let signed = format!("{}.{}", part(&head), part(&claims));
        let key = PrivateKeyDer::from_pem_slice(self.signer.key.as_bytes()).expect("it is PEM");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der());
        let key = key.expect("a key of its own");
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).expect("keys can sign");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
