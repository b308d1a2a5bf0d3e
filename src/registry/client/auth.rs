//! Proving who we are: Basic, and Bearer tokens from a registry's token server.
//!
//! A registry names its token server itself (the `realm` of its challenge), so a hostile one could
//! have our login sent anywhere: the realm is checked before a login is even looked up, and a token
//! request follows no redirect (CVE-2026-48978, CVE-2026-33540 and their like).

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{StatusCode, header::HeaderValue};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{
    Login, Logins, Place, RegistryError,
    http::{bounded_body, in_time},
    tls::{Connections, Endpoint},
};
use crate::types::{Registry, Repository};

/// The longest answer of a token server that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;
/// How long a token is good if its server does not say (Docker's token specification).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// A token is not used in its last seconds, so that it does not end on the way.
const MARGIN: Duration = Duration::from_secs(10);
/// Token servers on other hosts than their registries, known to everybody.
const KNOWN_TOKEN_SERVERS: [(&str, &str); 3] = [
    ("docker.io", "auth.docker.io"),
    ("registry-1.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
];

/// What a request needs to be allowed: `repository:NAME:pull` or `repository:NAME:pull,push`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Scope(String);

impl Scope {
    pub(super) fn pull(repository: &Repository) -> Self {
        Self(format!("repository:{}:pull", super::api_path(repository)))
    }

    pub(super) fn push(repository: &Repository) -> Self {
        Self(format!("repository:{}:pull,push", super::api_path(repository)))
    }

    pub(super) fn delete(repository: &Repository) -> Self {
        Self(format!("repository:{}:pull,delete", super::api_path(repository)))
    }

    /// To see which repositories there are.
    pub(super) fn catalog() -> Self {
        Self("registry:catalog:*".to_owned())
    }
}

pub(super) type Scopes = BTreeSet<Scope>;

/// How a registry wants to know who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

#[derive(Debug)]
struct Token {
    authorization: HeaderValue,
    expires: Instant,
}

impl Token {
    fn is_valid(&self) -> bool {
        self.expires > Instant::now()
    }
}

/// What we know of one registry.
#[derive(Debug, Default)]
struct Known {
    scheme: Option<Scheme>,
    /// The `Authorization` of the login, where the scheme is Basic.
    basic: Option<HeaderValue>,
    tokens: HashMap<Scopes, Token>,
    /// Who we are there.
    user: Option<String>,
}

/// Answers the challenges of registries, and remembers the answers.
#[derive(Debug)]
pub(super) struct Authenticator {
    logins: Logins,
    token_servers: BTreeMap<Registry, BTreeSet<String>>,
    /// The inner lock is held while a token is asked for, so that parallel requests ask once.
    known: Mutex<HashMap<Registry, Arc<tokio::sync::Mutex<Known>>>>,
    patience: Duration,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Authenticator {
    pub(super) fn new(
        logins: Logins,
        token_servers: BTreeMap<Registry, BTreeSet<String>>,
        patience: Duration,
    ) -> Self {
        Self { logins, token_servers, known: Mutex::default(), patience }
    }

    fn known(&self, registry: &Registry) -> Arc<tokio::sync::Mutex<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(registry.clone()).or_default())
    }

    /// The `Authorization` for a request, as far as the registry has said that it wants one.
    pub(super) async fn authorization(
        &self,
        connections: &Connections,
        endpoint: &Endpoint,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let known = self.known(&endpoint.registry);
        let mut known = known.lock().await;
        match known.scheme.clone() {
            None => Ok(None),
            Some(Scheme::Basic) => Ok(known.basic.clone()),
            Some(Scheme::Bearer { realm, service }) => {
                if let Some(token) = known.tokens.get(scopes).filter(|token| token.is_valid()) {
                    return Ok(Some(token.authorization.clone()));
                }
                self.buy_token(connections, endpoint, scopes, &mut known, &realm, service).await
            }
        }
    }

    /// The `Authorization` after a challenge to a request that was sent with `sent`.
    pub(super) async fn answer(
        &self,
        connections: &Connections,
        endpoint: &Endpoint,
        scopes: &Scopes,
        challenges: &[String],
        sent: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let known = self.known(&endpoint.registry);
        let mut known = known.lock().await;
        let scheme = self.scheme_of(endpoint, challenges)?;
        known.scheme = Some(scheme.clone());
        match scheme {
            Scheme::Basic if sent.is_some() => Err(unauthorized(endpoint, &known)),
            Scheme::Basic => {
                let login = self.login(endpoint).await?;
                known.user = login.as_ref().map(|login| login.username.clone());
                known.basic = login.as_ref().map(basic);
                if known.basic.is_none() {
                    return Err(unauthorized(endpoint, &known));
                }
                Ok(known.basic.clone())
            }
            Scheme::Bearer { realm, service } => {
                match known.tokens.get(scopes) {
                    // Another request has bought it in the meantime.
                    Some(token) if sent != Some(&token.authorization) && token.is_valid() => {
                        return Ok(Some(token.authorization.clone()));
                    }
                    _ => known.tokens.remove(scopes),
                };
                self.buy_token(connections, endpoint, scopes, &mut known, &realm, service).await
            }
        }
    }

    /// What it means that the registry refuses even the answer to its challenge.
    pub(super) async fn refusal(&self, endpoint: &Endpoint, place: &Place) -> RegistryError {
        let known = self.known(&endpoint.registry);
        let mut known = known.lock().await;
        known.tokens.clear();
        match (&known.scheme, &known.user) {
            // The token server accepted the login, but its token does not open this.
            (Some(Scheme::Bearer { .. }), Some(user)) => RegistryError::Denied {
                place: place.clone(),
                message: format!("the login of `{user}` is good, but does not allow this"),
            },
            _ => unauthorized(endpoint, &known),
        }
    }

    async fn login(&self, endpoint: &Endpoint) -> Result<Option<Login>, RegistryError> {
        let registry = &endpoint.registry;
        self.logins
            .for_registry(registry)
            .await
            .map_err(|source| RegistryError::Login { registry: registry.clone(), source })
    }

    /// The scheme to use of those that a registry offers: Bearer if it can be had, else Basic.
    pub(super) fn scheme_of(
        &self,
        endpoint: &Endpoint,
        challenges: &[String],
    ) -> Result<Scheme, RegistryError> {
        let place = Place::from(&endpoint.registry);
        let offered: Vec<_> = challenges
            .iter()
            .filter_map(|text| http_auth::parse_challenges(text).ok())
            .flatten()
            .collect();
        let Some(bearer) = offered.iter().find(|it| it.scheme.eq_ignore_ascii_case("Bearer"))
        else {
            return if offered.iter().any(|it| it.scheme.eq_ignore_ascii_case("Basic")) {
                Ok(Scheme::Basic)
            } else {
                let why = "it wants a login, but neither Basic nor Bearer";
                Err(RegistryError::protocol(&place, why))
            };
        };
        let parameter = |name: &str| {
            let found = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let realm = parameter("realm")
            .and_then(|realm| Url::parse(&realm).ok())
            .ok_or_else(|| RegistryError::protocol(&place, "its challenge names no realm"))?;
        self.check_realm(endpoint, &realm)?;
        Ok(Scheme::Bearer { realm, service: parameter("service") })
    }

    /// Refuses a token server that may not see our login.
    fn check_realm(&self, endpoint: &Endpoint, realm: &Url) -> Result<(), RegistryError> {
        endpoint.check_target(realm)?;
        if endpoint.owns(realm) {
            return Ok(());
        }
        let registry = &endpoint.registry;
        let host = realm.host_str().unwrap_or_default();
        let ours = endpoint.base.host_str().unwrap_or_default();
        let same_host = host == ours && realm.port() == endpoint.base.port();
        let is_known = KNOWN_TOKEN_SERVERS
            .iter()
            .any(|(of, server)| *of == registry.as_str() && *server == host)
            || self.token_servers.get(registry).is_some_and(|servers| servers.contains(host));
        let on_loopback = registry.is_loopback()
            && host.parse::<Registry>().is_ok_and(|realm| realm.is_loopback());
        if (realm.scheme() == "https" && (same_host || is_known)) || on_loopback {
            return Ok(());
        }
        Err(endpoint.unsafe_target(realm, "is not known as its token server, so it gets no login"))
    }

    async fn buy_token(
        &self,
        connections: &Connections,
        endpoint: &Endpoint,
        scopes: &Scopes,
        known: &mut Known,
        realm: &Url,
        service: Option<String>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let place = Place::from(&endpoint.registry);
        let login = self.login(endpoint).await?;
        known.user = login.as_ref().map(|login| login.username.clone());

        let client = connections.client(realm, endpoint)?;
        let service = service.map(|service| ("service", service));
        let scopes_asked = scopes.iter().map(|scope| ("scope", scope.0.clone()));
        let identity = login.as_ref().filter(|login| login.is_identity_token());
        let request = if let Some(login) = identity {
            let joined: Vec<&str> = scopes.iter().map(|scope| scope.0.as_str()).collect();
            let mut form = vec![
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", "edgepost".to_owned()),
                ("refresh_token", login.password.expose().to_owned()),
                ("scope", joined.join(" ")),
            ];
            form.extend(service);
            client.post(realm.clone()).form(&form)
        } else {
            let query: Vec<_> = service.into_iter().chain(scopes_asked).collect();
            let request = client.get(realm.clone()).query(&query);
            match &login {
                Some(login) => request.header("authorization", basic(login)),
                None => request,
            }
        };
        let mut response = in_time(self.patience, endpoint, request.send()).await?;
        match response.status() {
            StatusCode::OK => (),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(unauthorized(endpoint, known));
            }
            status => {
                return Err(RegistryError::Refused {
                    place,
                    status: status.as_u16(),
                    code: None,
                    message: "from its token server".to_owned(),
                    retry_after: super::http::retry_after(response.headers()),
                });
            }
        }
        let body = bounded_body(&mut response, MAX_ANSWER, self.patience, &place).await?;
        // The parser's own words are not kept: they may quote the answer.
        let unusable =
            || RegistryError::protocol(&place, "its token server's answer holds no token");
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| unusable())?;
        let token = answer.token.or(answer.access_token).ok_or_else(unusable)?;
        let authorization = sensitive(&format!("Bearer {token}")).ok_or_else(unusable)?;
        let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
        let life = life.min(Duration::from_hours(24)).saturating_sub(MARGIN);
        let expires = Instant::now() + life;
        let token = Token { authorization: authorization.clone(), expires };
        known.tokens.insert(scopes.clone(), token);
        Ok(Some(authorization))
    }
}

fn unauthorized(endpoint: &Endpoint, known: &Known) -> RegistryError {
    RegistryError::Unauthorized { registry: endpoint.registry.clone(), user: known.user.clone() }
}

fn basic(login: &Login) -> HeaderValue {
    let pair = format!("{}:{}", login.username, login.password.expose());
    let encoded = format!("Basic {}", BASE64_STANDARD.encode(pair));
    sensitive(&encoded).unwrap_or_else(|| HeaderValue::from_static("Basic"))
}

/// A header value that does not show itself in `Debug`.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
