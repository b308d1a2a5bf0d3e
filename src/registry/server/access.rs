//! Who may pull, and who may push.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, header::AUTHORIZATION};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use crate::{
    password::{HashError, Hasher, PasswordHash},
    registry::server::error::ApiError,
    types::Secret,
};

/// How long a login that was good is not computed again.
const REMEMBERED: Duration = Duration::from_mins(5);
/// The most logins that are remembered at a time.
const MOST_REMEMBERED: usize = 4096;
/// Hashes computed at once: a registry has few accounts, and remembers good logins.
const HASHES_AT_ONCE: usize = 1;
/// How many requests may wait for a hash; more would wait longer than a second.
const MOST_WAITING: usize = 32;

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
    Hash(PasswordHash),
    Plain(Secret),
}

impl Password {
    /// A password at rest.
    pub fn hash(hash: PasswordHash) -> Self {
        Self(Known::Hash(hash))
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
    /// Made anew by every process, so that what is remembered is of no use elsewhere.
    key: hmac::Key,
    remembered: Mutex<HashMap<Vec<u8>, Remembered>>,
    hasher: Hasher,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    push: bool,
    until: Instant,
}

impl Gate {
    pub(super) fn new(access: Access) -> Self {
        // Two random UUIDs are 244 random bits.
        let seed = [uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes()].concat();
        Self {
            access,
            key: hmac::Key::new(hmac::HMAC_SHA256, &seed),
            remembered: Mutex::default(),
            hasher: Hasher::new(HASHES_AT_ONCE, MOST_WAITING),
        }
    }

    /// Lets a request through if its login allows `purpose`.
    pub(super) async fn admit(
        &self,
        headers: &HeaderMap,
        purpose: Purpose,
    ) -> Result<(), ApiError> {
        let accounts = match (&self.access, purpose) {
            (Access::Anonymous, _) | (Access::ReadOnly, Purpose::Pull) => return Ok(()),
            (Access::ReadOnly, Purpose::Push) => return Err(ApiError::read_only()),
            (Access::Basic(accounts), _) => accounts,
        };
        let login = Login::from(headers).ok_or_else(ApiError::unauthorized)?;
        let may_push = match self.recall(&login) {
            Some(push) => push,
            None => self.verify(accounts, login).await?,
        };
        if purpose == Purpose::Pull || may_push { Ok(()) } else { Err(ApiError::denied()) }
    }

    /// Whether the login's account may push; nothing if it was not good lately.
    fn recall(&self, login: &Login) -> Option<bool> {
        let tag = self.tag(login);
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(&tag).filter(|it| it.until > Instant::now()).map(|it| it.push)
    }

    async fn verify(&self, accounts: &[Account], login: Login) -> Result<bool, ApiError> {
        let tag = self.tag(&login);
        let account = accounts.iter().find(|account| account.user == login.user);
        // An unknown user costs as much time as a known one.
        let Some(compared) = account.or(accounts.first()) else {
            return Err(ApiError::unauthorized());
        };
        let fits = match &compared.password.0 {
            Known::Plain(secret) => {
                let expected = hmac::sign(&self.key, secret.expose().as_bytes());
                let given = login.password.expose().as_bytes();
                hmac::verify(&self.key, given, expected.as_ref()).is_ok()
            }
            Known::Hash(hash) => {
                self.hasher.verify(&login.password, hash).await.map_err(|error| match error {
                    HashError::Busy => ApiError::too_many_logins(),
                    _ => ApiError::internal(),
                })?
            }
        };
        match account {
            Some(account) if fits => {
                self.remember(tag, account.push);
                Ok(account.push)
            }
            _ => {
                tracing::info!(user = login.user, "a login was refused");
                Err(ApiError::unauthorized())
            }
        }
    }

    fn remember(&self, tag: Vec<u8>, push: bool) {
        let now = Instant::now();
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MOST_REMEMBERED {
            remembered.retain(|_, it| it.until > now);
        }
        if remembered.len() < MOST_REMEMBERED {
            remembered.insert(tag, Remembered { push, until: now + REMEMBERED });
        }
    }

    /// What a login is remembered by: nothing that tells the password.
    fn tag(&self, login: &Login) -> Vec<u8> {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(login.user.as_bytes());
        context.update(b":");
        context.update(login.password.expose().as_bytes());
        context.sign().as_ref().to_vec()
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
        let (scheme, text) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
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

    fn login(user: &str, password: &str) -> HeaderMap {
        let text = BASE64_STANDARD.encode(format!("{user}:{password}"));
        HeaderMap::from_iter([(AUTHORIZATION, format!("Basic {text}").parse().unwrap())])
    }

    fn gate() -> Gate {
        let hash = Hasher::new(1, 0).hash_now(&Secret::new("s3cret:with:colons")).unwrap();
        Gate::new(Access::Basic(vec![
            Account { user: "maker".to_owned(), password: Password::hash(hash), push: true },
            Account {
                user: "node".to_owned(),
                password: Password::plain(Secret::new("token")),
                push: false,
            },
        ]))
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
            ("stranger", "s3cret:with:colons", Purpose::Pull, false),
        ] {
            let admitted = gate.admit(&login(user, password), purpose).await;
            assert_eq!(admitted.is_ok(), good, "{user} {password} {purpose:?}");
        }
        assert!(gate.admit(&HeaderMap::new(), Purpose::Pull).await.is_err());
    }

    #[tokio::test]
    async fn only_a_good_login_is_remembered() {
        let gate = gate();
        for password in ["s3cret:with:colons", "guess"] {
            let _ = gate.admit(&login("maker", password), Purpose::Push).await;
        }
        assert_eq!(gate.remembered.lock().unwrap().len(), 1);
    }

    #[test]
    fn a_password_does_not_show_itself() {
        let password = Password::plain(Secret::new("canary"));
        assert!(!format!("{password:?}").contains("canary"));
    }
}
