//! What a registry's token says that it opens. Nothing here is verified: whoever made the token may have written what
//! they like.

use serde::Deserialize;

use crate::types::jwt::claims;

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

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

    fn token(claims: &str) -> String {
        format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_says_what_it_opens() {
        let rights =
            r#"{"access":[{"type":"repository","name":"a/b","actions":["pull"]}],"exp":1}"#;
        let access = super::access(&token(rights)).unwrap();
        assert_eq!((access[0].kind.as_str(), access[0].name.as_str()), ("repository", "a/b"));
        assert_eq!(access[0].actions, ["pull"]);
        assert!(super::access(&token(r#"{"access":"all"}"#)).is_none());
    }
}
