//! The value of `-r`: what nodes get to pull with.

use std::str::FromStr;

use crate::types::{Registry, Secret};

/// A registry and the credentials to pull from it: `host[:port]:user:token`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullLogin {
    /// Where the credentials are good.
    pub registry: Registry,
    /// The user; `token` where none was given (Horizon's default).
    pub username: String,
    /// The password or token.
    pub token: Secret,
}

/// Why a value is not `host[:port]:user:token`. It never repeats the value, which holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseLoginError {
    /// There are not enough colons.
    #[error("it is not host[:port]:user:token")]
    Shape,
    /// What stands first is no host.
    #[error("it does not begin with a registry's host, or an IPv6 address in brackets")]
    Registry,
    /// There is nothing behind the user.
    #[error("the token is empty")]
    NoToken,
    /// `host:5000:token`: a port without a user, or a user of digits?
    #[error("`host:digits:token` may mean a port or a user; write both: host:port:user:token")]
    Ambiguous,
}

impl FromStr for PullLogin {
    type Err = ParseLoginError;

    fn from_str(text: &str) -> Result<Self, ParseLoginError> {
        let (host, rest) = split_host(text)?;
        let (second, rest) = rest.split_once(':').ok_or(ParseLoginError::Shape)?;
        let (port, username, token) = match rest.split_once(':') {
            Some((user, token)) if is_port(second) => (Some(second), user, token),
            _ if is_port(second) => return Err(ParseLoginError::Ambiguous),
            _ => (None, second, rest),
        };
        if token.is_empty() {
            return Err(ParseLoginError::NoToken);
        }
        let registry = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self {
            registry: registry.parse().map_err(|_| ParseLoginError::Registry)?,
            username: if username.is_empty() { "token" } else { username }.to_owned(),
            token: Secret::new(token),
        })
    }
}

/// Splits off the host, which may be an IPv6 address in brackets.
fn split_host(text: &str) -> Result<(&str, &str), ParseLoginError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(ParseLoginError::Registry)?;
        let (host, rest) = text.split_at(end + 1);
        Ok((host, rest.strip_prefix(':').ok_or(ParseLoginError::Shape)?))
    } else {
        text.split_once(':').ok_or(ParseLoginError::Shape)
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, String) {
        let login: PullLogin = text.parse().unwrap();
        (login.registry.to_string(), login.username, login.token.expose().to_owned())
    }

    #[test]
    fn hosts_with_and_without_ports_are_told_apart() {
        let expect = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(read("us.icr.io:iamapikey:k:e:y"), expect("us.icr.io", "iamapikey", "k:e:y"));
        assert_eq!(read("node3:5040:bob:tok"), expect("node3:5040", "bob", "tok"));
        assert_eq!(read("[::1]:5000:bob:tok:x"), expect("[::1]:5000", "bob", "tok:x"));
        assert_eq!(read("[::1]:bob:tok"), expect("[::1]", "bob", "tok"));
        assert_eq!(read("acme.azurecr.io::tok"), expect("acme.azurecr.io", "token", "tok"));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for (text, why) in [
            ("host", ParseLoginError::Shape),
            ("host:user", ParseLoginError::Shape),
            ("host:user:", ParseLoginError::NoToken),
            ("host:5000:user:", ParseLoginError::NoToken),
            ("host:5000:token", ParseLoginError::Ambiguous),
            ("[::1:user:token", ParseLoginError::Registry),
            ("ho st:user:token", ParseLoginError::Registry),
        ] {
            assert_eq!(text.parse::<PullLogin>().unwrap_err(), why, "{text}");
        }
    }
}
