//! The value of `-r`: what nodes get to pull with.

use std::str::FromStr;

use crate::types::{CopyFlaw, Registry, Secret};

/// A registry and the credentials to pull from it: `host[:port]:user:token`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullLogin {
    /// Where the credentials are good.
    pub registry: Registry,
    /// The user.
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
    /// It begins with `https://` or another scheme.
    #[error("it begins with a scheme; leave out `http://` or `https://`")]
    Scheme,
    /// The host has a path behind it.
    #[error("it has a path behind the host; a login is for the registry as a whole")]
    Path,
    /// The digits behind the host are no port.
    #[error(
        "the digits behind the host are no port, which is from 1 to 65535; if they are the user, write the port before them"
    )]
    Port,
    /// The user stands before the host, as in a URL.
    #[error("it is written as user:password@host; the host comes first: host:user:password")]
    LoginBeforeHost,
    /// There is no user between the colons.
    #[error("the user is empty; a registry that takes any user takes `token`")]
    NoUser,
    /// There is nothing behind the user.
    #[error("the token is empty")]
    NoToken,
    /// `host:5000:token`: a port without a user, or a user of digits?
    #[error("`host:digits:token` may mean a port or a user; write both: host:port:user:token")]
    Ambiguous,
    /// It broke as it was copied.
    #[error("{part} is not as it was issued: {flaw}")]
    Copied {
        /// What of it: the host, the user or the token.
        part: &'static str,
        /// What is wrong with it.
        flaw: CopyFlaw,
    },
}

impl FromStr for PullLogin {
    type Err = ParseLoginError;

    fn from_str(text: &str) -> Result<Self, ParseLoginError> {
        refuse_url(text)?;
        let (host, rest) = split_host(text)?;
        check_copy("the host", host)?;
        let (second, rest) = rest.split_once(':').ok_or(ParseLoginError::Shape)?;
        if host.contains('/') || is_port_with_path(second) {
            return Err(ParseLoginError::Path);
        }
        let is_number = !second.is_empty() && second.bytes().all(|b| b.is_ascii_digit());
        if is_number && !is_port(second) {
            return Err(ParseLoginError::Port);
        }
        let (port, username, token) = match rest.split_once(':') {
            Some((user, token)) if is_number => (Some(second), user, token),
            _ if is_number => return Err(ParseLoginError::Ambiguous),
            _ => (None, second, rest),
        };
        if username.is_empty() {
            return Err(ParseLoginError::NoUser);
        }
        if token.is_empty() {
            return Err(ParseLoginError::NoToken);
        }
        check_copy("the user", username)?;
        check_token(token)?;
        let registry = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self {
            registry: registry.parse().map_err(|_| ParseLoginError::Registry)?,
            username: username.to_owned(),
            token: Secret::new(token),
        })
    }
}

/// Refuses what is written like a URL: `https://host…`, `user:password@host…`. Only a host with a dot or a port is a
/// registry, so that a name without both before an `@` is a user.
fn refuse_url(text: &str) -> Result<(), ParseLoginError> {
    let (first, rest) = text.split_once(':').unwrap_or((text, ""));
    let is_scheme = !first.is_empty() && first.bytes().all(|b| b.is_ascii_alphanumeric());
    if is_scheme && rest.starts_with("//") {
        return Err(ParseLoginError::Scheme);
    }
    let is_host = first.contains('.') || first == "localhost" || text.starts_with('[');
    let port = rest.split(':').next().unwrap_or_default();
    let host_behind = text.rsplit_once('@').is_some_and(|(_, host)| {
        host.contains(['.', ':']) && host.parse::<Registry>().is_ok()
            || host.starts_with("localhost")
    });
    if first.contains('@') || !is_host && !is_port(port) && host_behind {
        return Err(ParseLoginError::LoginBeforeHost);
    }
    Ok(())
}

fn check_copy(part: &'static str, text: &str) -> Result<(), ParseLoginError> {
    CopyFlaw::of(text).map_or(Ok(()), |flaw| Err(ParseLoginError::Copied { part, flaw }))
}

/// A password may have blanks inside and quotes around it, and none at its ends.
fn check_token(token: &str) -> Result<(), ParseLoginError> {
    match CopyFlaw::of(token) {
        None | Some(CopyFlaw::InnerBlank | CopyFlaw::Quoted) => Ok(()),
        Some(flaw) => Err(ParseLoginError::Copied { part: "the token", flaw }),
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
    text.parse::<u16>().is_ok_and(|port| port > 0) && text.bytes().all(|b| b.is_ascii_digit())
}

/// `5000/team`: the port of a registry, and a path that does not belong there.
fn is_port_with_path(text: &str) -> bool {
    text.split_once('/').is_some_and(|(port, _)| is_port(port))
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
        assert_eq!(
            read("r.example:ann@corp.example:t@x.y"),
            expect("r.example", "ann@corp.example", "t@x.y")
        );
        assert_eq!(read("r:5000:ann:t//@x.y:z"), expect("r:5000", "ann", "t//@x.y:z"));
    }

    #[test]
    fn what_a_copy_has_broken_is_named() {
        for (text, part, flaw) in [
            (" r.example:user:token", "the host", CopyFlaw::LeadingBlank),
            ("ho st:user:token", "the host", CopyFlaw::InnerBlank),
            ("r.example: user:token", "the user", CopyFlaw::LeadingBlank),
            ("r.example:user: token", "the token", CopyFlaw::LeadingBlank),
            ("r.example:user:tok\nen", "the token", CopyFlaw::LineBreak),
            ("r.example:user:token\n", "the token", CopyFlaw::FinalLineBreak),
        ] {
            let expected = ParseLoginError::Copied { part, flaw };
            assert_eq!(text.parse::<PullLogin>().unwrap_err(), expected, "{text:?}");
        }
        assert_eq!(read("r.example:user:a good word").2, "a good word");
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
            ("-host:user:token", ParseLoginError::Registry),
            ("https://r.example:user:token", ParseLoginError::Scheme),
            ("oci://r.example:5000:user:token", ParseLoginError::Scheme),
            ("r.example/team:user:token", ParseLoginError::Path),
            ("r.example:5000/team:user:token", ParseLoginError::Path),
            ("r.example:70000:user:token", ParseLoginError::Port),
            ("r.example:0:user:token", ParseLoginError::Port),
            ("r.example:123456:token", ParseLoginError::Port),
            ("r.example::token", ParseLoginError::NoUser),
            ("r.example:5000::token", ParseLoginError::NoUser),
            ("ann:secret@r.example", ParseLoginError::LoginBeforeHost),
            ("ann:secret@r.example:5000", ParseLoginError::LoginBeforeHost),
            ("ann:se:cret@localhost:5000", ParseLoginError::LoginBeforeHost),
            ("ann@r.example:secret", ParseLoginError::LoginBeforeHost),
        ] {
            assert_eq!(text.parse::<PullLogin>().unwrap_err(), why, "{text}");
        }
    }
}
