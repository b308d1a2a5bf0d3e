//! Sends one request: credentials, time limits, size limits, retries.

use std::{
    error::Error,
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use backon::{ExponentialBuilder, Retryable as _};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822::DateTimeParser};
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect,
};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use super::{
    ExchangeConfig, ExchangeError, PlainHttp,
    call::{Answer, Call},
    error::refused,
};
use crate::{
    authority::{self, ClientAuthRequests, tls_problem},
    exchange::api::VERSION_HEADER,
    proxies::{Proxies, ProxyFailure, ProxyRules},
};

/// A host that does not take the connection by then is as good as away.
const CONNECT: Duration = Duration::from_secs(10);
/// What a long poll may take beyond its wait.
const POLL_GRACE: Duration = Duration::from_secs(15);
/// What is read of the body of an error.
const LARGEST_ERROR: usize = 64 << 10;
/// The longest pause that an exchange can ask for with `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// What is known about the exchange at the other end.
const UNKNOWN: u8 = 0;
const HORIZON: u8 = 1;
const EDGEPOST: u8 = 2;

/// The connection to one exchange.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
    client_auth: ClientAuthRequests,
    proxies: ProxyRules,
    base: Url,
    who: String,
    retries: usize,
    patience: Duration,
    /// Whether credentials cross the network unencrypted.
    is_exposed: bool,
    kind: AtomicU8,
    /// The `Date` of the last answer, and when it came.
    date: Mutex<Option<(Timestamp, Instant)>>,
}

/// A failure on the way to an answer, with what the retry needs to know.
struct Failure {
    error: ExchangeError,
    repeat: bool,
    pause: Option<Duration>,
}

/// The server asked for a client certificate, and ended the connection before it ever answered.
#[derive(Debug, thiserror::Error)]
#[error("the server asks for a client certificate, which this client does not have")]
pub struct ClientCertificateWanted {
    source: reqwest::Error,
}

impl Transport {
    /// Prepares to speak; nothing is sent.
    pub(super) fn new(config: &ExchangeConfig) -> Result<Self, ExchangeError> {
        let unusable = |reason: &dyn ToString| ExchangeError::Unusable {
            url: config.url.clone(),
            reason: reason.to_string(),
        };
        let base = base(&config.url).map_err(|reason| unusable(&reason))?;
        let loopback = is_loopback(&base);
        let plain = base.scheme() == "http";
        let is_exposed = plain && !loopback;
        if is_exposed && config.plain_http == PlainHttp::LoopbackOnly {
            return Err(unusable(
                &"plain http beyond this machine would show the credentials to the network",
            ));
        }
        let client = Client::builder()
            .user_agent(concat!("edgepost/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(config).map_err(|reason| unusable(&reason))?)
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none());
        let proxies = if loopback { Proxies::Direct } else { Proxies::Environment };
        let proxies = proxies.rules().map_err(|error| unusable(&error))?;
        let client = proxies.clone().apply(client);
        let mut client_auth = ClientAuthRequests::default();
        let client = if plain {
            // No TLS, so no need for certificate authorities, which small images do not have.
            client.tls_certs_only([])
        } else {
            let pem = config.ca.as_deref().map(authority::certificates);
            let trusted = pem.transpose().map_err(|error| {
                unusable(&format!("the certificate authority file holds no certificate: {error}"))
            })?;
            let mut tls =
                authority::client_config(trusted.unwrap_or_default(), None, &["h2", "http/1.1"])
                    .map_err(|error| unusable(&error))?;
            client_auth = ClientAuthRequests::record(&mut tls);
            client.tls_backend_preconfigured(tls)
        };
        let client = client.build().map_err(|error| unusable(&chain(&error)))?;
        let (who, retries, patience) = (config.auth.who(), config.retries, config.patience);
        let (kind, date) = (AtomicU8::new(UNKNOWN), Mutex::default());
        Ok(Self {
            client,
            client_auth,
            proxies,
            base,
            who,
            retries,
            patience,
            is_exposed,
            kind,
            date,
        })
    }

    /// Whether credentials cross the network unencrypted.
    pub(super) fn is_exposed(&self) -> bool {
        self.is_exposed
    }

    /// The exchange's address, down to `/v1`.
    pub(super) fn base(&self) -> &Url {
        &self.base
    }

    /// Whether the exchange is ours; `None` before its first answer.
    pub(super) fn is_edgepost(&self) -> Option<bool> {
        match self.kind.load(Ordering::Relaxed) {
            UNKNOWN => None,
            kind => Some(kind == EDGEPOST),
        }
    }

    /// Sends the request until there is an answer; whatever is not a success is an error.
    pub(super) async fn send(&self, call: Call) -> Result<Answer, ExchangeError> {
        let url = self.url(&call);
        let give_up = Instant::now() + call.wait + self.patience;
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(250))
            .with_max_delay(Duration::from_secs(4))
            .with_max_times(if call.repeatable { self.retries } else { 0 })
            .with_jitter();
        (|| self.attempt(&call, &url))
            .retry(backoff)
            .when(|failure| failure.repeat && Instant::now() < give_up)
            .adjust(|failure, pause| pause.map(|own| failure.pause.map_or(own, |it| it.max(own))))
            .notify(|failure, pause| {
                tracing::debug!(error = %failure.error, ?pause, "asking the exchange again");
            })
            .await
            .map_err(|failure| failure.error)
    }

    /// The same, where "there is no such thing" is an answer.
    pub(super) async fn find(&self, call: Call) -> Result<Option<Answer>, ExchangeError> {
        match self.send(call).await {
            Err(ExchangeError::NotFound { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    fn url(&self, call: &Call) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(&call.path);
        }
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        url
    }

    async fn attempt(&self, call: &Call, url: &Url) -> Result<Answer, Failure> {
        let mut timeout = self.patience;
        if !call.wait.is_zero() {
            timeout = call.wait + POLL_GRACE;
        }
        let mut request = self.client.request(call.method.clone(), url.clone()).timeout(timeout);
        if let Some((body, content_type)) = &call.body {
            request = request.body(body.clone());
            if let Some(content_type) = content_type {
                request = request.header(CONTENT_TYPE, *content_type);
            }
        }
        let mut response = request.send().await.map_err(|error| self.no_answer(error))?;
        let status = response.status();
        self.note_kind(response.headers(), status);
        self.note_date(response.headers());
        let largest = if status.is_success() { call.largest } else { LARGEST_ERROR };
        let pause = pause(&response);
        let body = self.body(&mut response, largest, status, call).await?;
        if status.is_success() {
            return Ok(Answer { status, body, what: call.what() });
        }
        Err(Failure {
            error: refused(&self.who, &call.what(), status, &body),
            repeat: matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504),
            pause,
        })
    }

    async fn body(
        &self,
        response: &mut Response,
        largest: usize,
        status: StatusCode,
        call: &Call,
    ) -> Result<Bytes, Failure> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.no_answer(error))? {
            if body.len() + chunk.len() > largest {
                if !status.is_success() {
                    break;
                }
                let error = ExchangeError::TooLong { what: call.what(), allowed: largest };
                return Err(Failure { error, repeat: false, pause: None });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// A proxy in between answers without the header, so only what an exchange says itself counts.
    fn note_kind(&self, headers: &HeaderMap, status: StatusCode) {
        if headers.contains_key(VERSION_HEADER) {
            self.kind.store(EDGEPOST, Ordering::Relaxed);
        } else if !status.is_server_error() {
            let _ =
                self.kind.compare_exchange(UNKNOWN, HORIZON, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn note_date(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).map(HeaderValue::as_bytes);
        let date = date.and_then(|it| DateTimeParser::new().parse_timestamp(it).ok());
        if let Some(date) = date {
            let mut held = self.date.lock().unwrap_or_else(PoisonError::into_inner);
            *held = Some((date, Instant::now()));
        }
    }

    /// What time it is at the exchange, by its last answer.
    pub(super) fn time(&self) -> Option<Timestamp> {
        let held = *self.date.lock().unwrap_or_else(PoisonError::into_inner);
        let (date, noted) = held?;
        let since = SignedDuration::try_from(noted.elapsed()).ok()?;
        date.saturating_add(since).ok()
    }

    fn no_answer(&self, error: reqwest::Error) -> Failure {
        let url = self.base.to_string();
        let error = error.without_url();
        // The alert by which a server rejects a client may be lost; that it asked is not.
        let is_rejected = self.client_auth.is_requested()
            && self.kind.load(Ordering::Relaxed) == UNKNOWN
            && !error.is_timeout();
        let is_of_proxy = error.is_connect() && tls_problem(&error).is_none();
        let proxy = self.proxies.on_the_way_to(&self.base).filter(|_| is_of_proxy);
        let source: Box<dyn Error + Send + Sync> = match proxy {
            _ if is_rejected => Box::new(ClientCertificateWanted { source: error }),
            Some(proxy) => Box::new(ProxyFailure::new(proxy, &error)),
            None => Box::new(error),
        };
        let error = ExchangeError::Unreachable { url, source };
        Failure { error, repeat: !is_rejected, pause: None }
    }
}

/// The address down to `/v1`, with or without which it may be given.
fn base(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text.trim()).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("expected https://host[:port][/path]".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong into the address".to_owned());
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/').to_owned();
    let path = if path.ends_with("/v1") { path } else { format!("{path}/v1") };
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(url::Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}

fn headers(config: &ExchangeConfig) -> Result<HeaderMap, reqwest::header::InvalidHeaderValue> {
    let pair = Zeroizing::new(format!("{}:{}", config.auth.who(), config.auth.secret().expose()));
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut authorization = HeaderValue::from_str(&value)?;
    authorization.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, authorization);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// How long the exchange asks us to stay away.
fn pause(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// An error with its causes, for a message that keeps no source.
fn chain(error: &dyn Error) -> String {
    std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exchange::client::Auth, types::Secret};

    fn config(url: &str) -> ExchangeConfig {
        let auth = Auth::User {
            org: "acme".parse().unwrap(),
            name: "ann".parse().unwrap(),
            password: Secret::new("canary"),
        };
        ExchangeConfig::new(url, "acme".parse().unwrap(), auth)
    }

    #[test]
    fn an_address_is_taken_with_and_without_its_version() {
        for (given, base) in [
            ("https://hub.example", "https://hub.example/v1"),
            ("https://hub.example:3090/v1/", "https://hub.example:3090/v1"),
            ("https://hub.example/edge-exchange", "https://hub.example/edge-exchange/v1"),
        ] {
            assert_eq!(super::base(given).unwrap().as_str(), base);
        }
    }

    #[test]
    fn plain_http_goes_to_this_machine_alone() {
        assert!(Transport::new(&config("http://127.0.0.1:8080")).is_ok());
        assert!(Transport::new(&config("http://[::1]:8080")).is_ok());
        let refused = Transport::new(&config("http://hub.example")).unwrap_err();
        assert!(matches!(refused, ExchangeError::Unusable { .. }));
        let allowed = |url| config(url).plain_http(PlainHttp::AnywhereUnsafe);
        assert!(Transport::new(&allowed("http://hub.example")).unwrap().is_exposed());
        for url in ["http://127.0.0.1:8080", "https://hub.example"] {
            assert!(!Transport::new(&allowed(url)).unwrap().is_exposed(), "{url}");
        }
    }

    #[test]
    fn a_segment_cannot_leave_its_place_in_the_path() {
        let transport = Transport::new(&config("http://localhost:1/v1")).unwrap();
        let call = Call::get(&["orgs", "a/../b", "x y?z"]).query("key", &"service/a b");
        let url = transport.url(&call);
        assert_eq!(
            url.as_str(),
            "http://localhost:1/v1/orgs/a%2F..%2Fb/x%20y%3Fz?key=service%2Fa+b"
        );
    }

    #[test]
    fn the_credentials_do_not_show_themselves() {
        let transport = Transport::new(&config("http://localhost:1/v1")).unwrap();
        let text = format!("{transport:?}");
        assert!(!text.contains("canary") && !text.contains(&STANDARD.encode("acme/ann:canary")));
    }
}
