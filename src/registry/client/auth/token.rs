//! Tokens, and what token servers answer.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode, header::HeaderValue};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use super::{basic, scope::Scopes, sensitive};
use crate::{
    registry::client::{
        Login, Place, RegistryError,
        http::{bounded_body, in_time, retry_after},
        tls::{Connections, Endpoint},
        watch::Stall,
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

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
    refresh_token: Option<String>,
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
            StatusCode::OK => (),
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
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| unusable())?;
        let filled = |text: &String| !text.is_empty();
        let token = answer.token.filter(filled).or(answer.access_token.filter(filled));
        let token = token.ok_or_else(unusable)?;
        let authorization = bearer(&token).ok_or_else(unusable)?;
        let said = answer.expires_in.and_then(|life| Duration::try_from_secs_f64(life).ok());
        let life = said.or_else(|| jwt::life(&token)).unwrap_or(DEFAULT_LIFE);
        let life = life.min(Duration::from_hours(24));
        let expires = asked + life.saturating_sub(MARGIN.min(life / SHORT_LIFE));
        let refresh = answer.refresh_token.filter(filled).map(Secret::new);
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

/// The `Authorization` of a token.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}
