//! Tokens that a desk issues, and reads again.

use std::{collections::HashMap, sync::Mutex};

use aws_lc_rs::hmac;
use axum::{
    body::to_bytes,
    extract::Request,
    http::{Method, Uri, header::AUTHORIZATION},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

/// Seconds since 1970.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// What may be done with the repositories that begin so: a list of actions, parted by commas.
pub type Right = (String, String);

/// Makes JSON Web Tokens (RFC 7519, HS256), and takes no others than its own.
#[derive(Debug)]
pub struct Mint(hmac::Key);

impl Mint {
    /// One with a key of its own.
    pub fn new(name: &str) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, name.as_bytes()))
    }

    /// A token that says `claims`.
    pub fn token(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(claims));
        let signature = hmac::sign(&self.0, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token for `subject` that is good for so many seconds.
    pub fn token_of(&self, subject: &str, seconds: i64) -> String {
        self.token(&json!({"sub": subject, "iat": now(), "exp": now() + seconds}))
    }

    /// What a token says, if it is of this mint and has not ended.
    pub fn read(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(&self.0, signed.as_bytes(), &signature).ok()?;
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.')?.1).ok()?;
        let claims: Value = serde_json::from_slice(&claims).ok()?;
        (claims["exp"].as_i64()? > now()).then_some(claims)
    }

    /// An access token for what of `scopes` is within `rights`.
    pub fn access(&self, scopes: &[String], rights: &[Right], seconds: i64) -> String {
        let granted: Vec<(String, String)> = scopes
            .iter()
            .filter_map(|scope| {
                let (name, actions) = scope.strip_prefix("repository:")?.rsplit_once(':')?;
                let may = |action: &&str| allows(rights, name, action);
                let actions: Vec<&str> = actions.split(',').filter(may).collect();
                Some((name.to_owned(), actions.join(",")))
            })
            .collect();
        let id = uuid::Uuid::new_v4();
        let (iat, exp) = (now(), now() + seconds);
        self.token(&json!({"jti": id.to_string(), "iat": iat, "exp": exp, "access": granted}))
    }

    /// What an access token opens.
    pub fn opened_by(&self, token: &str) -> Option<Vec<Right>> {
        serde_json::from_value(self.read(token)?["access"].clone()).ok()
    }
}

/// Whether `rights` allow `action` with `repository`.
pub fn allows(rights: &[Right], repository: &str, action: &str) -> bool {
    rights.iter().any(|(begin, actions)| {
        repository.starts_with(begin) && actions.split(',').any(|it| it == action)
    })
}

/// Which repository a request is about, and what it does with it.
pub fn wanted(method: &Method, path: &str) -> (String, &'static str) {
    let path = path.trim_start_matches("/v2/");
    let ends = ["/blobs/", "/manifests/", "/tags/", "/referrers/"];
    let end = ends.iter().find_map(|end| path.find(end));
    let action = match *method {
        Method::GET | Method::HEAD => "pull",
        Method::DELETE if !path.contains("/uploads/") => "delete",
        _ => "push",
    };
    (end.map(|end| path[..end].to_owned()).unwrap_or_default(), action)
}

/// The repository that a blob is to be mounted from.
pub fn mounted(uri: &Uri) -> Option<String> {
    let query = url::form_urlencoded::parse(uri.query()?.as_bytes());
    let mut from = query.filter(|(name, _)| name == "from");
    from.next().map(|(_, from)| from.into_owned())
}

/// Tokens that lapse in the middle of things.
#[derive(Debug, Default)]
pub struct Lapses(Mutex<HashMap<String, String>>);

impl Lapses {
    /// Whether `token` has lapsed for this request: the one that it is sent with first always has.
    pub fn now(&self, request: &Request, token: &str) -> bool {
        let part = request.headers().get("content-range");
        let request = format!("{} {} {part:?}", request.method(), request.uri());
        let mut lapsed = self.0.lock().expect("no thread panics");
        *lapsed.entry(request).or_insert_with(|| token.to_owned()) == token
    }
}

/// What a token server is asked.
pub struct Asked {
    pub method: Method,
    pub path: String,
    /// Of `Authorization: Basic`.
    pub login: Option<(String, String)>,
    /// The query and the form.
    fields: Vec<(String, String)>,
}

impl Asked {
    pub async fn read(request: Request) -> Self {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 64 * 1024).await.unwrap_or_default();
        let of = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect::<Vec<_>>();
        let mut fields = of(parts.uri.query().unwrap_or_default().as_bytes());
        fields.extend(of(&body));
        let authorization = parts.headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        let login = authorization.and_then(basic);
        Self { method: parts.method, path: parts.uri.path().to_owned(), login, fields }
    }

    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// All that it is to be good for: in several fields, or parted by blanks in one.
    pub fn scopes(&self) -> Vec<String> {
        let scopes = self.fields.iter().filter(|(name, _)| name == "scope");
        scopes.flat_map(|(_, value)| value.split(' ').map(str::to_owned)).collect()
    }
}

/// User and password of a `Basic` header.
pub fn basic(authorization: &str) -> Option<(String, String)> {
    let pair = STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    let pair = String::from_utf8(pair).ok()?;
    pair.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}
