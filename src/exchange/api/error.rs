//! The answer to a write, and to anything that went wrong.

use serde::{Deserialize, Serialize};

/// The body of most answers that are not a thing: `{"code":"ok","msg":"…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What came of it.
    pub code: Code,
    /// The same for people.
    pub msg: String,
    /// The stable name of the attack a signature was refused for; only with
    /// [`Code::SignatureRefused`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attack: Option<String>,
}

impl Reply {
    /// It worked.
    pub fn ok(msg: impl Into<String>) -> Self {
        Self::new(Code::Ok, msg)
    }

    /// What came of it, and why.
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into(), attack: None }
    }
}

/// The code words of the exchange. The spelling is Horizon's; the last two are ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// It worked.
    Ok,
    /// The request cannot be read or does not fit what is there.
    InvalidInput,
    /// Nobody by that name and secret.
    InvalidCredentials,
    /// The caller may not.
    AccessDenied,
    /// There is one already.
    AlreadyExists,
    /// There is none.
    NotFound,
    /// Not on this path.
    MethodNotAllowed,
    /// The exchange failed.
    #[serde(rename = "internal_error")]
    InternalError,
    /// The exchange has too much to do; later is better.
    #[serde(rename = "too busy")]
    TooBusy,
    /// The organization's trust does not allow this signature.
    SignatureRefused,
}
