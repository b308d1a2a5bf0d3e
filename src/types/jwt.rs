//! What a JSON Web Token says of itself. Nothing here is verified: whoever made the token may have written what they
//! like, so that it is good for a warning, and for nothing else.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// The claims about its life; fractions of a second are allowed (RFC 7519, "`NumericDate`").
#[derive(Deserialize)]
struct Life {
    exp: Option<f64>,
    iat: Option<f64>,
    nbf: Option<f64>,
}

/// The claims of a token, if it is one, and they are such.
pub fn claims<T: DeserializeOwned>(token: &str) -> Option<T> {
    let mut parts = token.split('.');
    let (Some(_), Some(body), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let body = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).ok()?);
    serde_json::from_slice(&body).ok()
}

/// When a token ends, if it says so.
pub fn expiry(token: &str) -> Option<Timestamp> {
    Timestamp::from_second(whole(claims::<Life>(token)?.exp?)?).ok()
}

/// How long a token is good from when it was made, if it says so.
pub fn life(token: &str) -> Option<Duration> {
    let claims: Life = claims(token)?;
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
