//! Tokens, and what token servers answer.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode, header::HeaderValue};
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

use super::{basic, scope::Scopes, sensitive};
use crate::{
    registry::{
        client::{
            Login, Place, RegistryError,
            http::{bounded_body, in_time, retry_after, words},
            tls::{Connections, Endpoint},
            watch::Stall,
        },
        protocol::ErrorCode,
    },
    types::{Secret, jwt},
};

/// The longest answer of a token server that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;
/// How long a token is good if neither its server nor it says so (Docker's token specification).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// A token is not used in its last seconds, so that it does not end on the way…
const MARGIN: Duration = Duration::from_secs(10);
/// …nor in the last part of a short life.
const SHORT_LIFE: u32 = 4;

/// A token for the registry itself.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) authorization: HeaderValue,
    expires: Instant,
}

impl Token {
    /// As the token server sold it.
    pub(super) fn text(&self) -> Option<&str> {
        self.authorization.to_str().ok()?.strip_prefix("Bearer ")
    }

    pub(super) fn is_valid(&self) -> bool {
        self.expires > Instant::now()
    }
}

/// What a token server sold.
#[derive(Debug)]
pub(super) struct Sold {
    pub(super) token: Token,
    /// The refresh token that takes the place of the one it was bought with.
    pub(super) refresh: Option<Secret>,
}

/// What a token server answers. Fields of another type than Docker's token specification and RFC 6749
/// give them count as absent; a number may be written as text.
struct Answer {
    token: Option<String>,
    life: Option<Duration>,
    refresh_token: Option<String>,
    /// What it refuses by an answer that is no refusal by its status.
    refusal: Option<(Option<ErrorCode>, String)>,
}

impl Answer {
    /// Reads it; none if it is no JSON object.
    fn read(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        let object: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
        let text = |name: &str| {
            let text = object.get(name)?.as_str()?;
            (!text.is_empty()).then(|| text.to_owned())
        };
        let seconds = object.get("expires_in").and_then(|life| {
            life.as_f64().or_else(|| life.as_str().and_then(|text| text.trim().parse().ok()))
        });
        Some(Self {
            token: text("token").or_else(|| text("access_token")),
            life: seconds.and_then(|life| Duration::try_from_secs_f64(life).ok()),
            refresh_token: text("refresh_token"),
            refusal: refusal_in(&object),
        })
    }
}

/// The first of `errors`, as registries write them, or `error` and its description, as OAuth 2 does.
fn refusal_in(object: &serde_json::Map<String, Value>) -> Option<(Option<ErrorCode>, String)> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(first) = object.get("errors").and_then(Value::as_array).and_then(|it| it.first()) {
        let code = first.get("code").cloned();
        let code = code.and_then(|code| serde_json::from_value::<ErrorCode>(code).ok());
        return Some((code, words(&text(first.get("message")))));
    }
    let (error, more) = (text(object.get("error")), text(object.get("error_description")));
    let said = [error, more].into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(": ");
    (!said.is_empty()).then(|| (None, words(&said)))
}

/// A purchase: where, for what, as whom.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) connections: &'a Connections,
    pub(super) endpoint: &'a Endpoint,
    pub(super) realm: &'a Url,
    pub(super) service: Option<&'a str>,
    pub(super) scopes: &'a Scopes,
    pub(super) login: Option<&'a Login>,
    pub(super) stall: Stall,
}

impl Order<'_> {
    /// Asks for the token. None: the token server does not take the login.
    pub(super) async fn place(&self) -> Result<Option<Sold>, RegistryError> {
        let place = Place::from(&self.endpoint.registry);
        let asked = Instant::now();
        let mut response = match self.login {
            Some(Login::IdentityToken { token, .. }) => {
                let response = self.send(self.by_post(token)?).await?;
                // A token server of before OAuth 2.
                match response.status() {
                    StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                        self.send(self.by_get()?).await?
                    }
                    _ => response,
                }
            }
            _ => self.send(self.by_get()?).await?,
        };
        match response.status() {
            status if status.is_success() => (),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Ok(None),
            // So OAuth 2 (RFC 6749, 5.2) says that a refresh token has ended.
            StatusCode::BAD_REQUEST if matches!(self.login, Some(Login::IdentityToken { .. })) => {
                return Ok(None);
            }
            status => {
                return Err(RegistryError::Refused {
                    place,
                    status: status.as_u16(),
                    code: None,
                    message: "from its token server".to_owned(),
                    retry_after: retry_after(response.headers()),
                });
            }
        }
        let body = bounded_body(&mut response, MAX_ANSWER, self.stall, &place).await?;
        // The parser's own words are not kept: they may quote the answer.
        let unusable =
            || RegistryError::protocol(&place, "its token server's answer holds no token");
        let answer = Answer::read(&body).ok_or_else(unusable)?;
        let token = match (answer.token, answer.refusal) {
            (Some(token), _) => token,
            (None, Some((code, said))) => return Err(refused(place, code, &said)),
            (None, None) => return Err(unusable()),
        };
        let authorization = bearer(&token).ok_or_else(unusable)?;
        let life = answer.life.or_else(|| jwt::life(&token)).unwrap_or(DEFAULT_LIFE);
        let life = life.min(Duration::from_hours(24));
        let expires = asked + life.saturating_sub(MARGIN.min(life / SHORT_LIFE));
        let refresh = answer.refresh_token.map(Secret::new);
        Ok(Some(Sold { token: Token { authorization, expires }, refresh }))
    }

    fn by_get(&self) -> Result<RequestBuilder, RegistryError> {
        let client = self.connections.client(self.realm, self.endpoint)?;
        let service = self.service.map(|service| ("service", service.to_owned()));
        let scopes = self.scopes.iter().map(|scope| ("scope", scope.text()));
        let query: Vec<_> = service.into_iter().chain(scopes).collect();
        let request = client.get(self.realm.clone()).query(&query);
        Ok(match self.login {
            Some(login) => request.header("authorization", basic(login)),
            None => request,
        })
    }

    fn by_post(&self, refresh_token: &Secret) -> Result<RequestBuilder, RegistryError> {
        let client = self.connections.client(self.realm, self.endpoint)?;
        let scopes: Vec<_> = self.scopes.iter().map(super::scope::Scope::text).collect();
        let mut form = vec![
            ("grant_type", "refresh_token"),
            ("client_id", "edgepost"),
            ("refresh_token", refresh_token.expose()),
        ];
        let scopes = scopes.join(" ");
        if !scopes.is_empty() {
            form.push(("scope", &scopes));
        }
        form.extend(self.service.map(|service| ("service", service)));
        Ok(client.post(self.realm.clone()).form(&form))
    }

    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response, RegistryError> {
        let Self { connections, realm, endpoint, .. } = self;
        match in_time(self.stall.silence, endpoint, request.send()).await {
            Ok(response) => Ok(response),
            Err(error) => {
                Err(connections.explain(error, realm, endpoint, self.stall.silence).await)
            }
        }
    }
}

/// A refusal that comes in the place of a token.
fn refused(place: Place, code: Option<ErrorCode>, said: &str) -> RegistryError {
    let message = format!("its token server says: {said}");
    match code {
        Some(ErrorCode::Denied | ErrorCode::Unauthorized) | None => {
            RegistryError::Denied { place, message }
        }
        code => RegistryError::Refused { place, status: 200, code, message, retry_after: None },
    }
}

/// The `Authorization` of a token.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}
