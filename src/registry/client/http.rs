//! One request to a registry: who we are, re-login, redirects by hand, bounded answers.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{
    Method, Response, StatusCode,
    header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, LOCATION,
        RETRY_AFTER, SERVER, WWW_AUTHENTICATE,
    },
};
use tokio::time::Instant;
use url::Url;

use super::{
    Place, RegistryClient, RegistryError,
    auth::Scopes,
    explain::alien_words,
    tls::{Endpoint, connection_error},
    watch::{Stall, Watch},
};
use crate::registry::protocol::{ErrorBody, ErrorCode, path};

/// The most of a refusal's body that is read, in bytes.
const MAX_REFUSAL: u64 = 64 * 1024;
/// The most of a registry's own words that is passed on, in characters.
const MAX_MESSAGE: usize = 300;
/// The most of a server's name for itself that is passed on, in characters.
const MAX_SERVER: usize = 60;
/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// A request without a body, or with a small one that can be sent again.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) place: Place,
    /// What is asked for, in words, for the error if it does not exist.
    pub(super) what: String,
    pub(super) scopes: Scopes,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// A request for `path` (with its query) of the registry at `endpoint`.
    pub(super) fn new(
        place: Place,
        endpoint: &Endpoint,
        method: Method,
        path: &str,
    ) -> Result<Self, RegistryError> {
        let url = endpoint
            .base
            .join(path)
            .map_err(|error| RegistryError::protocol(&place, error.to_string()))?;
        let (what, scopes) = (String::new(), Scopes::new());
        Ok(Self { place, what, scopes, method, url, headers: HeaderMap::new(), body: Bytes::new() })
    }

    pub(super) fn asking_for(mut self, what: impl Into<String>, scopes: Scopes) -> Self {
        self.what = what.into();
        self.scopes = scopes;
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl RegistryClient {
    /// Sends `call` to the registry itself, logging in if it asks for that, or if it refuses without
    /// asking and `/v2/` asks. Redirects are answers.
    pub(super) async fn send(
        &self,
        endpoint: &Endpoint,
        call: &Call,
    ) -> Result<Response, RegistryError> {
        let Self { auth, connections, .. } = self;
        if !endpoint.owns(&call.url) {
            return self.send_once(endpoint, call, &call.url, None).await;
        }
        let sent = auth.authorization(connections, endpoint, &call.scopes).await?;
        let response = self.send_once(endpoint, call, &call.url, sent.as_ref()).await?;
        let challenges = challenges(&response);
        let asks = response.status() == StatusCode::UNAUTHORIZED && !challenges.is_empty();
        if asks {
            return self.send_answer(endpoint, call, &challenges, sent.as_ref()).await;
        }
        if sent.is_none() && may_hide(response.status()) && call.url.path() != path::BASE {
            let challenges = self.challenges_of_base(endpoint, &call.scopes).await?;
            if !challenges.is_empty() {
                return self.send_answer(endpoint, call, &challenges, None).await;
            }
        }
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(auth.refusal(endpoint, &call.scopes, &call.place).await);
        }
        Ok(response)
    }

    /// Sends `call` with the answer to `challenges`, after it was sent with `sent`.
    async fn send_answer(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        challenges: &[String],
        sent: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let Self { auth, connections, .. } = self;
        let renewed = auth.answer(connections, endpoint, &call.scopes, challenges, sent).await?;
        let response = self.send_once(endpoint, call, &call.url, renewed.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Err(auth.refusal(endpoint, &call.scopes, &call.place).await);
        }
        Ok(response)
    }

    /// How `/v2/` asks for a login, where there is one to send; nothing if it asks for none. A registry
    /// that hides what is private answers anonymous requests by 403 or 404, and asks there alone
    /// (containerd/containerd#3291).
    async fn challenges_of_base(
        &self,
        endpoint: &Endpoint,
        scopes: &Scopes,
    ) -> Result<Vec<String>, RegistryError> {
        if !self.auth.has_unsent_login(endpoint, scopes).await {
            return Ok(Vec::new());
        }
        let base = Call::new(Place::from(&endpoint.registry), endpoint, Method::GET, path::BASE)?;
        let response = self.send_once(endpoint, &base, &base.url, None).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            return Ok(challenges(&response));
        }
        if response.status().is_success() {
            self.auth.note_open(endpoint).await;
        }
        Ok(Vec::new())
    }

    /// Sends `call`, which must be a GET or HEAD, and follows redirects. What is said to the
    /// registry in confidence is said to nobody else, nor again if a redirect leads back.
    pub(super) async fn send_following(
        &self,
        endpoint: &Endpoint,
        call: &Call,
    ) -> Result<Response, RegistryError> {
        let mut response = self.send(endpoint, call).await?;
        let mut url = call.url.clone();
        let mut confidential = true;
        for _ in 0..MAX_REDIRECTS {
            if !response.status().is_redirection() {
                return Ok(response);
            }
            url = location(&response, &url, endpoint, &call.place)?;
            confidential &= endpoint.owns(&url);
            response = if confidential {
                let authorization =
                    self.auth.authorization(&self.connections, endpoint, &call.scopes).await?;
                self.send_once(endpoint, call, &url, authorization.as_ref()).await?
            } else {
                self.send_once(endpoint, call, &url, None).await?
            };
        }
        let why = format!("more than {MAX_REDIRECTS} redirects");
        Err(RegistryError::protocol(&call.place, why))
    }

    pub(super) async fn send_once(
        &self,
        endpoint: &Endpoint,
        call: &Call,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let client = self.connections.client(url, endpoint)?;
        let mut request =
            client.request(call.method.clone(), url.clone()).headers(call.headers.clone());
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if !call.body.is_empty() || matches!(call.method, Method::POST | Method::PUT) {
            request = request.body(call.body.clone());
        }
        match in_time(self.stall.silence, endpoint, request.send()).await {
            Ok(response) => {
                if endpoint.owns(url) {
                    self.warnings.note(&endpoint.registry, response.headers());
                }
                Ok(response)
            }
            Err(error) => {
                Err(self.connections.explain(error, url, endpoint, self.stall.silence).await)
            }
        }
    }

    /// What a refusal means. `what` was asked for.
    pub(super) async fn refusal(
        &self,
        place: &Place,
        what: &str,
        mut response: Response,
    ) -> RegistryError {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        let body = bounded_body(&mut response, MAX_REFUSAL, self.stall, place).await;
        let body = body.unwrap_or_default();
        let entry = serde_json::from_slice::<ErrorBody>(&body)
            .ok()
            .and_then(|body| body.errors.into_iter().next());
        let (code, message) = match entry {
            Some(entry) => (Some(entry.code), words(&entry.message)),
            None => (None, words_of_none(&response, &body)),
        };
        let place = place.clone();
        match status {
            StatusCode::NOT_FOUND => {
                let usual = [
                    Some(ErrorCode::ManifestUnknown),
                    Some(ErrorCode::BlobUnknown),
                    Some(ErrorCode::NameUnknown),
                ];
                let message = if usual.contains(&code) { String::new() } else { message };
                RegistryError::NotFound { place, what: what.to_owned(), message }
            }
            StatusCode::FORBIDDEN => RegistryError::Denied { place, message },
            _ if code == Some(ErrorCode::Denied) => RegistryError::Denied { place, message },
            status => {
                let status = status.as_u16();
                RegistryError::Refused { place, status, code, message, retry_after }
            }
        }
    }
}

/// Whether an answer to an anonymous request may hide what a login would be shown.
fn may_hide(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

/// Whether an answer to a question that only saves work, such as a HEAD before a push, tells nothing: the
/// registry, or a proxy before it, does not answer such questions.
pub(super) fn is_unanswered(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}

/// Waits for the head of an answer, but not for ever.
pub(super) async fn in_time(
    patience: Duration,
    endpoint: &Endpoint,
    request: impl Future<Output = reqwest::Result<Response>>,
) -> Result<Response, RegistryError> {
    let registry = &endpoint.registry;
    match tokio::time::timeout(patience, request).await {
        Ok(answer) => answer.map_err(|error| connection_error(error, registry)),
        Err(_) => Err(RegistryError::Timeout { registry: registry.clone(), waited: patience }),
    }
}

/// The body of an answer, refused beyond `limit` bytes and when it stalls. It comes as it is: what is
/// compressed was not asked for, and could become anything.
pub(super) async fn bounded_body(
    response: &mut Response,
    limit: u64,
    stall: Stall,
    place: &Place,
) -> Result<Bytes, RegistryError> {
    let too_large = || RegistryError::TooLarge { place: place.clone(), limit };
    let registry = place.registry();
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    if let Some(encoding) = encoding_of(response.headers()) {
        let why = format!("its answer is encoded ({encoding}), which nobody asked for");
        return Err(RegistryError::protocol(place, words(&why)));
    }
    let mut body = Vec::new();
    let mut watch = Watch::new(stall);
    loop {
        let deadline = watch.deadline(Instant::now());
        let chunk = tokio::time::timeout_at(deadline, response.chunk())
            .await
            .map_err(|_| watch.silent(registry))?
            .map_err(|error| connection_error(error, registry))?;
        let Some(chunk) = chunk else { return Ok(body.into()) };
        watch.came(chunk.len(), Instant::now(), registry)?;
        if body.len() as u64 + chunk.len() as u64 > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
}

/// In what an answer is wrapped, if it is.
fn encoding_of(headers: &HeaderMap) -> Option<&str> {
    let encoding = headers.get(CONTENT_ENCODING)?.to_str().unwrap_or("unreadable").trim();
    (!encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity")).then_some(encoding)
}

/// Where a `Location` points, seen from `url`; refused if we do not go there.
///
/// A registry behind a proxy that ends TLS may write its own address with `http://`: that is
/// mended, not followed.
pub(super) fn location(
    response: &Response,
    url: &Url,
    endpoint: &Endpoint,
    place: &Place,
) -> Result<Url, RegistryError> {
    let target = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
        .and_then(|location| url.join(location).ok())
        .ok_or_else(|| RegistryError::protocol(place, "its answer has no usable Location"))?;
    let target = own_scheme(target, endpoint);
    endpoint.check_target(&target)?;
    Ok(target)
}

/// An address that a registry has written of itself, with the scheme and port it is reached at.
pub(super) fn own_scheme(mut target: Url, endpoint: &Endpoint) -> Url {
    let own_host = target.host_str() == endpoint.base.host_str();
    if !endpoint.is_plain() && target.scheme() == "http" && own_host && target.port().is_none() {
        // Cannot fail between two web schemes.
        let _ = target.set_scheme("https");
        let _ = target.set_port(endpoint.base.port());
    }
    target
}

pub(super) fn challenges(response: &Response) -> Vec<String> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
    headers.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// How long to wait, by `Retry-After`: seconds, or a date, read by the server's own clock.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let wanted = text(RETRY_AFTER)?;
    if let Ok(seconds) = wanted.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let time = |text| jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp());
    let wait = time(wanted)?.duration_since(time(text(DATE)?)?);
    Duration::try_from(wait).ok()
}

/// The words of a refusal that is not in the form of the registry protocol.
fn words_of_none(response: &Response, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if is_page(response.headers(), body) || response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        words(&alien_words(server_of(response.headers()).as_deref(), &text))
    } else {
        words(text.trim())
    }
}

/// Refuses an answer that is a web page: it may come with any status, and is no registry's.
pub(super) async fn refuse_page(
    response: &mut Response,
    place: &Place,
    stall: Stall,
) -> Result<(), RegistryError> {
    if !is_page(response.headers(), b"") {
        return Ok(());
    }
    let page = bounded_body(response, MAX_REFUSAL, stall, place).await.unwrap_or_default();
    let server = server_of(response.headers());
    let why = alien_words(server.as_deref(), &String::from_utf8_lossy(&page));
    Err(RegistryError::protocol(place, words(&why)))
}

/// Whether an answer is a web page, by its type or, where none is named, by how it begins.
fn is_page(headers: &HeaderMap, body: &[u8]) -> bool {
    match headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()) {
        Some(media_type) => media_type.trim_start().to_ascii_lowercase().starts_with("text/html"),
        None => body.trim_ascii_start().starts_with(b"<"),
    }
}

/// What calls itself so in its answer: `nginx/1.18.0`.
fn server_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(SERVER)?.to_str().ok()?;
    let server: String = text.chars().filter(|c| !c.is_control()).take(MAX_SERVER).collect();
    (!server.is_empty()).then_some(server)
}

/// A registry's words, fit for a terminal and a log.
pub(super) fn words(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| ((*k).parse().unwrap(), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |pairs: &[_]| retry_after(&headers(pairs));
        assert_eq!(wait(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        let later = ("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT");
        let now = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(wait(&[later, now]), Some(Duration::from_secs(30)));
        assert_eq!(wait(&[("retry-after", "soon")]), None);
    }

    #[test]
    fn words_cannot_move_the_cursor() {
        assert_eq!(words("no\x1b[2J\r\nway"), "no[2Jway");
    }
}
