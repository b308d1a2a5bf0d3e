//! Who may pull, and who may push.

use std::{fmt, net::IpAddr, sync::Arc};

use axum::http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    audit::{self, AuditEntry, AuditEvent, AuditLog, AuditTrail},
    login::{Authenticator, LoginError, PasswordHash},
    registry::server::error::ApiError,
    types::Secret,
};

/// The longest `Authorization` header that is looked at, in bytes.
const LONGEST: usize = 4096;

/// Who may do what with a registry.
#[derive(Debug, Clone)]
pub enum Access {
    /// Everybody may pull and push: on loopback, or behind a gate of its own.
    Anonymous,
    /// Everybody may pull, nobody may push.
    ReadOnly,
    /// Those who have an account may pull, and push if it says so.
    Basic(Vec<Account>),
}

/// Somebody who may use a registry.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name to log in with; it has no `:`.
    pub user: String,
    /// How the password is known.
    pub password: Password,
    /// Whether it may push and delete, besides pulling.
    pub push: bool,
}

/// What a registry knows of a password.
#[derive(Clone)]
pub struct Password(Known);

#[derive(Clone)]
enum Known {
    /// A hash in the form in which it is stored.
    Hash(String),
    Plain(Secret),
}

impl Password {
    /// A password at rest.
    pub fn hash(hash: &PasswordHash) -> Self {
        Self(Known::Hash(hash.to_string()))
    }

    /// The password itself: for tokens that a program makes and that live in memory alone.
    pub fn plain(secret: Secret) -> Self {
        Self(Known::Plain(secret))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Pull,
    Push,
}

/// Lets requests through, or does not.
#[derive(Debug)]
pub(super) struct Gate {
    access: Access,
    logins: Authenticator,
    audit: Arc<AuditLog>,
}

impl Gate {
    pub(super) fn new(access: Access, logins: Authenticator, audit: Arc<AuditLog>) -> Self {
        Self { access, logins, audit }
    }

    /// Lets a request through if its login allows `purpose`.
    pub(super) async fn admit(&self, request: &Parts, purpose: Purpose) -> Result<(), ApiError> {
        let accounts = match (&self.access, purpose) {
            (Access::Anonymous, _) | (Access::ReadOnly, Purpose::Pull) => return Ok(()),
            (Access::ReadOnly, Purpose::Push) => return Err(ApiError::read_only()),
            (Access::Basic(accounts), _) => accounts,
        };
        let login = Login::from(&request.headers).ok_or_else(ApiError::unauthorized)?;
        let address = audit::address(&request.extensions);
        let account = self.verify(accounts, &login, address).await.map_err(|error| {
            let event = match error {
                LoginError::Refused => Some(AuditEvent::LoginRefused),
                LoginError::Throttled { .. } => Some(AuditEvent::LoginThrottled),
                _ => None,
            };
            if let Some(event) = event {
                let (actor, object) = (login.user.as_str(), request.uri.path());
                self.audit.record(&AuditEntry { event, actor, address, object });
            }
            ApiError::from(error)
        })?;
        AuditTrail::of(&request.extensions).set_actor(account.user.clone());
        if purpose == Purpose::Pull || account.push { Ok(()) } else { Err(ApiError::denied()) }
    }

    async fn verify<'a>(
        &self,
        accounts: &'a [Account],
        login: &Login,
        from: Option<IpAddr>,
    ) -> Result<&'a Account, LoginError> {
        let from = from.unwrap_or(IpAddr::from([0; 4]));
        let attempt = self.logins.begin(from, &login.user, &login.password)?;
        let account = accounts.iter().find(|account| account.user == login.user);
        let fits = match account.map(|it| &it.password.0) {
            Some(Known::Plain(secret)) if *secret == login.password => {
                self.logins.accept(&attempt, "");
                Ok(())
            }
            Some(Known::Plain(_)) => Err(self.logins.refuse(attempt).await),
            Some(Known::Hash(hash)) => self.logins.verify(attempt, &[hash]).await.map(drop),
            None => self.logins.verify(attempt, &[]).await.map(drop),
        };
        fits.and(account.ok_or(LoginError::Refused))
    }
}

/// What a request logs in with (RFC 7617).
#[derive(Debug)]
struct Login {
    user: String,
    password: Secret,
}

impl Login {
    fn from(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (scheme, text) = value.split_once(' ').filter(|_| value.len() <= LONGEST)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(BASE64_STANDARD.decode(text.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self { user: user.to_owned(), password: Secret::new(password) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Hasher;

    fn login(user: &str, password: &str) -> Parts {
        let text = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let request = axum::http::Request::builder().uri("/v2/");
        let request = request.header(AUTHORIZATION, format!("Basic {text}"));
        request.body(()).unwrap().into_parts().0
    }

    fn gate() -> Gate {
        let hash = Hasher::default().hash(&Secret::new("s3cret:with:colons")).unwrap();
        let access = Access::Basic(vec![
            Account { user: "maker".to_owned(), password: Password::hash(&hash), push: true },
            Account {
                user: "node".to_owned(),
                password: Password::plain(Secret::new("token")),
                push: false,
            },
        ]);
        Gate::new(access, Authenticator::default(), Arc::default())
    }

    #[tokio::test]
    async fn an_account_does_what_it_may() {
        let gate = gate();
        for (user, password, purpose, good) in [
            ("maker", "s3cret:with:colons", Purpose::Push, true),
            ("maker", "s3cret:with:colons", Purpose::Pull, true),
            ("maker", "s3cret", Purpose::Pull, false),
            ("node", "token", Purpose::Pull, true),
            ("node", "token", Purpose::Push, false),
            ("node", "s3cret:with:colons", Purpose::Pull, false),
            ("unknown", "s3cret:with:colons", Purpose::Pull, false),
        ] {
            let admitted = gate.admit(&login(user, password), purpose).await;
            assert_eq!(admitted.is_ok(), good, "{user} {password} {purpose:?}");
        }
        let anonymous = axum::http::Request::new(()).into_parts().0;
        assert!(gate.admit(&anonymous, Purpose::Pull).await.is_err());
    }

    #[test]
    fn a_password_does_not_show_itself() {
        let password = Password::plain(Secret::new("canary"));
        assert!(!format!("{password:?}").contains("canary"));
    }
}
