//! Why an exchange did not do what it was asked.

use std::error::Error;

use reqwest::StatusCode;
use serde::Deserialize;

use crate::authority::tls_problem;

use crate::types::escape_foreign;

/// The longest message of an exchange that is passed on, in characters.
const LONGEST: usize = 1000;
/// The longest name of an attack, in characters.
const LONGEST_NAME: usize = 40;

/// What an exchange is asked for went wrong. Messages are the exchange's own words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The configuration names an exchange that cannot be spoken to.
    #[error("cannot use the exchange {url}: {reason}")]
    Unusable {
        /// The address as it was given.
        url: String,
        /// What is wrong with it, or with its certificate authority.
        reason: String,
    },
    /// No answer came: wrong address, no network, TLS refused, or too slow.
    #[error("no answer from the exchange {url}")]
    Unreachable {
        /// The exchange's address.
        url: String,
        /// What the network said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The exchange does not know these credentials.
    #[error("the exchange refused the credentials of {who}: {msg}")]
    Unauthorized {
        /// `org/name` of the caller.
        who: String,
        /// What the exchange said.
        msg: String,
    },
    /// The caller may not do this.
    #[error("the exchange does not allow it: {msg}")]
    Denied {
        /// What was asked for, as a path below `/v1`.
        what: String,
        /// What the exchange said.
        msg: String,
    },
    /// There is no such thing.
    #[error("the exchange has no {what}")]
    NotFound {
        /// What was asked for, as a path below `/v1`.
        what: String,
    },
    /// Something else is there already, or came first.
    #[error("the exchange holds something else: {msg}")]
    Conflict {
        /// What was asked for, as a path below `/v1`.
        what: String,
        /// What the exchange said.
        msg: String,
    },
    /// The exchange could not accept what it was given.
    #[error("the exchange rejected it: {msg}")]
    Invalid {
        /// What was asked for, as a path below `/v1`.
        what: String,
        /// What the exchange said.
        msg: String,
    },
    /// The organization's trust does not allow this signature.
    #[error("the exchange refused the signature ({attack}): {msg}")]
    SignatureRefused {
        /// The stable name of what is wrong, as in `trust::Refusal::attack`.
        attack: String,
        /// What the exchange said.
        msg: String,
    },
    /// The exchange failed.
    #[error("the exchange failed with status {status}: {msg}")]
    Server {
        /// What was asked for, as a path below `/v1`.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the exchange said.
        msg: String,
    },
    /// The answer is not what the exchange's interface promises.
    #[error("the exchange's answer about {what} cannot be read: {reason}")]
    Malformed {
        /// What was asked for, as a path below `/v1`.
        what: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The answer does not end where every honest one has ended.
    #[error("the exchange's answer about {what} is longer than {allowed} bytes")]
    TooLong {
        /// What was asked for, as a path below `/v1`.
        what: String,
        /// The most that is read of it, in bytes.
        allowed: usize,
    },
}

impl ExchangeError {
    /// Whether the same question may get a better answer later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Server { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// The attack that the answer looks like, by its stable name, to a node that asked for what must
    /// be there; beside those of `trust::Refusal::attack`, `endless-data`.
    pub fn attack(&self) -> Option<&'static str> {
        match self {
            Self::NotFound { .. } => Some("vanished"),
            Self::Malformed { .. } => Some("malformed"),
            Self::TooLong { .. } => Some("endless-data"),
            _ => None,
        }
    }

    /// Whether no connection was made since the exchange's certificate is not trusted, or it does not speak TLS.
    pub fn is_tls_failure(&self) -> bool {
        let Self::Unreachable { source, .. } = self else { return false };
        source.is::<super::ClientCertificateWanted>() || tls_problem(source.as_ref()).is_some()
    }

    /// Whether the exchange said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// The exchange's error body; the real one answers some errors in other shapes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    code: String,
    msg: String,
    /// Ours: the name of the attack, beside the code `signature-refused`.
    attack: String,
}

/// What `status` and `body` mean, where they are not an answer to the question about `what`.
pub(super) fn refused(who: &str, what: &str, status: StatusCode, body: &[u8]) -> ExchangeError {
    let ErrorBody { code, mut msg, attack } = serde_json::from_slice(body).unwrap_or_default();
    if msg.is_empty() {
        msg = first_line(body);
    }
    if msg.is_empty() {
        status.canonical_reason().unwrap_or("no reason given").clone_into(&mut msg);
    }
    let (msg, attack) = (escape_foreign(&msg, LONGEST), escape_foreign(&attack, LONGEST_NAME));
    let asked = what.to_owned();
    match (status, code.as_str()) {
        (_, "signature-refused") => ExchangeError::SignatureRefused { attack, msg },
        // Horizon answers a second POST with 403 or 409, by resource.
        (_, "already-exists") | (StatusCode::CONFLICT, _) => {
            ExchangeError::Conflict { what: asked, msg }
        }
        (StatusCode::UNAUTHORIZED, _) => ExchangeError::Unauthorized { who: who.to_owned(), msg },
        (StatusCode::FORBIDDEN, _) => ExchangeError::Denied { what: asked, msg },
        (StatusCode::NOT_FOUND, _) => ExchangeError::NotFound { what: asked },
        (StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS, _) => {
            ExchangeError::Server { what: asked, status: status.as_u16(), msg }
        }
        _ if status.is_client_error() => ExchangeError::Invalid { what: asked, msg },
        _ => ExchangeError::Server { what: asked, status: status.as_u16(), msg },
    }
}

/// The beginning of a body that is no error body, fit for a message.
fn first_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
    let line = text.lines().next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_creation_is_a_conflict_by_either_status() {
        let body = br#"{"code":"already-exists","msg":"there"}"#;
        for status in [StatusCode::FORBIDDEN, StatusCode::CONFLICT] {
            let error = refused("acme/ann", "orgs/acme", status, body);
            assert!(
                matches!(error, ExchangeError::Conflict { what, msg } if what == "orgs/acme" && msg == "there")
            );
        }
    }

    #[test]
    fn a_refused_signature_keeps_the_name_of_the_attack() {
        let body = br#"{"code":"signature-refused","msg":"no","attack":"stranger"}"#;
        let error = refused("acme/ann", "publish", StatusCode::FORBIDDEN, body);
        assert!(
            matches!(error, ExchangeError::SignatureRefused { attack, .. } if attack == "stranger")
        );
    }

    #[test]
    fn a_page_of_a_proxy_is_cut_to_its_first_line() {
        let error = refused("", "", StatusCode::BAD_GATEWAY, b"<html>\nBad gateway</html>");
        assert!(matches!(error, ExchangeError::Server { status: 502, msg, .. } if msg == "<html>"));
    }
}
