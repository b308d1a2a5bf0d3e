//! What a token says of its own life, and of what it opens. Nothing here is verified: whoever made the token may have
//! written what they like.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// The claims that are looked at; fractions of a second are allowed (RFC 7519, "`NumericDate`").
#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    iat: Option<f64>,
    nbf: Option<f64>,
}

/// What a token for a registry opens (Docker's token specification).
#[derive(Deserialize)]
struct Rights {
    access: Vec<Access>,
}

/// What a token opens in one place.
#[derive(Deserialize)]
pub(in crate::registry::client) struct Access {
    /// `repository` or `registry`.
    #[serde(rename = "type")]
    pub(in crate::registry::client) kind: String,
    /// The name of the repository.
    pub(in crate::registry::client) name: String,
    /// `pull`, `push` and the like.
    #[serde(default)]
    pub(in crate::registry::client) actions: Vec<String>,
}

/// What a token opens, if it says so.
pub(in crate::registry::client) fn access(token: &str) -> Option<Vec<Access>> {
    claims::<Rights>(token).map(|it| it.access)
}

fn claims<T: DeserializeOwned>(token: &str) -> Option<T> {
    let mut parts = token.split('.');
    let (Some(_), Some(body), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let body = BASE64_URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&Zeroizing::new(body)).ok()
}

/// When a JSON Web Token ends.
pub(in crate::registry::client) fn expiry(token: &str) -> Option<Timestamp> {
    Timestamp::from_second(whole(claims::<Claims>(token)?.exp?)?).ok()
}

/// How long a JSON Web Token is good from when it was made.
pub(in crate::registry::client) fn life(token: &str) -> Option<Duration> {
    let claims: Claims = claims(token)?;
    let life = claims.exp? - claims.iat.or(claims.nbf)?;
    Duration::try_from_secs_f64(life).ok()
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole(seconds: f64) -> Option<i64> {
    (0.0..1e12).contains(&seconds).then_some(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_says_when_it_ends() {
        let ends = expiry(&token(r#"{"exp":1893456000,"iat":1893452400.5}"#)).unwrap();
        assert_eq!(ends.to_string(), "2030-01-01T00:00:00Z");
        assert_eq!(life(&token(r#"{"exp":100,"iat":40}"#)), Some(Duration::from_mins(1)));
        assert_eq!(life(&token(r#"{"exp":100,"nbf":400}"#)), None);
    }

    #[test]
    fn a_token_says_what_it_opens() {
        let rights =
            r#"{"access":[{"type":"repository","name":"a/b","actions":["pull"]}],"exp":1}"#;
        let access = access(&token(rights)).unwrap();
        assert_eq!((access[0].kind.as_str(), access[0].name.as_str()), ("repository", "a/b"));
        assert_eq!(access[0].actions, ["pull"]);
        assert!(super::access(&token(r#"{"access":"all"}"#)).is_none());
    }

    #[test]
    fn what_is_no_token_says_nothing() {
        let no_dates =
            [token("{}"), token("[1]"), token(r#"{"exp":1e300}"#), token(r#"{"exp":-1}"#)];
        for text in
            no_dates.iter().map(String::as_str).chain(["", "a.b", "a.b.c", "a.b.c.d", "..."])
        {
            assert_eq!(expiry(text), None, "{text}");
        }
    }
}
