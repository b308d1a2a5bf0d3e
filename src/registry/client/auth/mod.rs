//! Proving who we are: Basic, and Bearer tokens from a registry's token server.
//!
//! A registry names its token server itself (the `realm` of its challenge), so a hostile one could
//! have our login sent anywhere: the realm is checked before a login is even looked up, and a token
//! request follows no redirect (CVE-2026-48978, CVE-2026-33540 and their like).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use reqwest::header::HeaderValue;

use super::{
    FoundLogin, HelperProblem, Login, LoginError, Logins, Place, RegistryError,
    error::error_chain,
    logins::rights,
    tls::{Connections, Endpoint},
    watch::Stall,
};
use crate::types::{Registry, Repository};

mod azure;
mod challenge;
mod offered;
mod scope;
mod token;

pub use azure::AZURE_TOKEN_USER;
pub(super) use challenge::{Scheme, TokenServers, UNKNOWN_TOKEN_SERVER};
pub(super) use scope::{Scope, Scopes};

use scope::{covers, lacking, main_of};
use token::{Order, Token, bearer};

/// What we know of one registry.
#[derive(Debug, Default)]
struct Known {
    scheme: Option<Scheme>,
    /// Whether `/v2/` was seen to ask for no login.
    is_open: bool,
    /// Who we are in a repository, or in the registry as a whole; none: nobody.
    logins: HashMap<Option<Repository>, Option<FoundLogin>>,
    tokens: Vec<(Scopes, Token)>,
}

impl Known {
    fn login(&self, scopes: &Scopes) -> Option<&Login> {
        let found = self.logins.get(&main_of(scopes).cloned())?;
        found.as_ref().map(|found| &found.login)
    }

    fn token(&self, scopes: &Scopes) -> Option<&Token> {
        let mut fitting = self.tokens.iter().filter(|(held, _)| covers(held, scopes));
        fitting.find(|(_, token)| token.is_valid()).map(|(_, token)| token)
    }
}

/// Whether a login may be one that was looked up before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Once,
    Again,
}

/// Answers the challenges of registries, and remembers the answers.
#[derive(Debug)]
pub(super) struct Authenticator {
    logins: Logins,
    token_servers: TokenServers,
    /// The inner lock is held while a token is asked for, so that parallel requests ask once.
    known: Mutex<HashMap<Registry, Arc<tokio::sync::Mutex<Known>>>>,
    stall: Stall,
}

impl Authenticator {
    pub(super) fn new(logins: Logins, token_servers: TokenServers, stall: Stall) -> Self {
        Self { logins, token_servers, known: Mutex::default(), stall }
    }

    fn known(&self, registry: &Registry) -> Arc<tokio::sync::Mutex<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(registry.clone()).or_default())
    }

    /// The `Authorization` for a request, as far as the registry has said that it wants one.
    pub(super) async fn authorization(
        &self,
        connections: &Connections,
        endpoint: &Endpoint,
        scopes: &Scopes,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let known = self.known(&endpoint.registry);
        let mut known = known.lock().await;
        match known.scheme.clone() {
            None => Ok(None),
            Some(Scheme::Basic) => {
                let login = self.login(endpoint, scopes, &mut known, Look::Once).await?;
                Ok(login.as_ref().map(direct))
            }
            Some(Scheme::Bearer { realm, service }) => {
                if let Some(token) = known.token(scopes) {
                    return Ok(Some(token.authorization.clone()));
                }
                let bearer = (&realm, service.as_deref());
                self.buy_token(connections, endpoint, scopes, &mut known, bearer, None).await
            }
        }
    }

    /// Whether there is a login to send, and `/v2/` was not seen to ask for none. A login that cannot be
    /// read is logged, and is none here: the request may not need it.
    pub(super) async fn has_unsent_login(&self, endpoint: &Endpoint, scopes: &Scopes) -> bool {
        let known = self.known(&endpoint.registry);
        let mut known = known.lock().await;
        if known.is_open {
            return false;
        }
        match self.login(endpoint, scopes, &mut known, Look::Once).await {
            Ok(login) => login.is_some(),
            Err(error) => {
                let (registry, error) = (&endpoint.registry, error_chain(&error));
                tracing::warn!(event = "registry.login_unreadable", %registry, %error, "no login is sent");
                false
            }
        }
    }

    /// Remembers that `/v2/` of a registry asks for no login.
    pub(super) async fn note_open(&self, endpoint: &Endpoint) {
        self.known(&endpoint.registry).lock().await.is_open = true;
    }

    /// The `Authorization` after a challenge to a request that was sent with `sent`.
    pub(super) async fn answer(
        &self,
        connections: &Connections,
        endpoint: &Endpoint,
        scopes: &Scopes,
        challenges: &[String],
        sent: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let known = self.known(&endpoint.registry);
        let mut known = known.lock().await;
        let scheme = self.scheme_of(endpoint, challenges)?;
        known.scheme = Some(scheme.clone());
        match scheme {
            Scheme::Basic => {
                // What was refused may have been changed since: in its file, or by its helper.
                let look = if sent.is_some() { Look::Again } else { Look::Once };
                let login = self.login(endpoint, scopes, &mut known, look).await?;
                match login.as_ref().map(direct) {
                    Some(authorization) if Some(&authorization) != sent => Ok(Some(authorization)),
                    _ => Err(self.unauthorized(endpoint, scopes, login.as_ref()).await),
                }
            }
            Scheme::Bearer { realm, service } => {
                known.tokens.retain(|(_, token)| Some(&token.authorization) != sent);
                // Another request may have bought one in the meantime.
                if let Some(token) = known.token(scopes) {
                    return Ok(Some(token.authorization.clone()));
                }
                let bearer = (&realm, service.as_deref());
                self.buy_token(connections, endpoint, scopes, &mut known, bearer, sent).await
            }
        }
    }

    /// What it means that the registry refuses even the answer to its challenge.
    pub(super) async fn refusal(
        &self,
        endpoint: &Endpoint,
        scopes: &Scopes,
        place: &Place,
    ) -> RegistryError {
        let known = self.known(&endpoint.registry);
        let mut known = known.lock().await;
        let lacking = known.token(scopes).and_then(|token| lacking_in(token.text()?, scopes));
        known.tokens.clear();
        match (&known.scheme, known.login(scopes)) {
            // The token that was given as the login says itself what it opens.
            (Some(Scheme::Bearer { .. }), Some(Login::RegistryToken(token)))
                if let Some(message) = lacking_in(token.expose(), scopes) =>
            {
                RegistryError::Denied { place: place.clone(), message }
            }
            // The token server accepted the login, but its token does not open this.
            (Some(Scheme::Bearer { .. }), Some(login))
                if !matches!(login, Login::RegistryToken(_)) =>
            {
                let user = login.username();
                let message = match lacking {
                    Some(lacking) => format!("the login of `{user}` is good, but {lacking}"),
                    None => format!("the login of `{user}` is good, but does not allow this"),
                };
                RegistryError::Denied { place: place.clone(), message }
            }
            (_, login) => self.unauthorized(endpoint, scopes, login).await,
        }
    }

    /// That `login` is not accepted, or is missing: then why it cannot be read, or which registries
    /// there are logins for.
    async fn unauthorized(
        &self,
        endpoint: &Endpoint,
        scopes: &Scopes,
        login: Option<&Login>,
    ) -> RegistryError {
        let mut others = Vec::new();
        if login.is_none() {
            if let Err(error) = self.found(&place_of(endpoint, scopes)).await {
                return error;
            }
            others = self.logins.registries().await;
        }
        let user = login.map(|login| login.username().to_owned());
        RegistryError::Unauthorized { registry: endpoint.registry.clone(), user, others }
    }

    /// The login for a repository, or the registry as a whole, and where it comes from.
    pub(super) async fn found(&self, place: &Place) -> Result<Option<FoundLogin>, RegistryError> {
        let found = match place {
            Place::Registry(registry) => self.logins.for_registry(registry).await,
            Place::Repository(repository) => self.logins.for_repository(repository).await,
        };
        let registry = || place.registry().clone();
        found.map_err(|source| RegistryError::Login { registry: registry(), source })
    }

    /// The login for what `scopes` open. Where the credential helper that keeps it is not installed, it is
    /// none here, since much can be pulled without any: that is reported if a request is refused.
    async fn login(
        &self,
        endpoint: &Endpoint,
        scopes: &Scopes,
        known: &mut Known,
        look: Look,
    ) -> Result<Option<Login>, RegistryError> {
        let main = main_of(scopes).cloned();
        if look == Look::Again || !known.logins.contains_key(&main) {
            let found = match self.found(&place_of(endpoint, scopes)).await {
                Err(RegistryError::Login { source, .. }) if is_missing_helper(&source) => {
                    let (registry, error) = (&endpoint.registry, error_chain(&source));
                    tracing::debug!(%registry, error, "no login is sent");
                    None
                }
                found => found?,
            };
            known.logins.insert(main, found);
        }
        Ok(known.login(scopes).cloned())
    }

    /// The scheme to use of those that a registry offers: Bearer if it can be had, else Basic.
    pub(super) fn scheme_of(
        &self,
        endpoint: &Endpoint,
        challenges: &[String],
    ) -> Result<Scheme, RegistryError> {
        challenge::scheme_of(endpoint, challenges, &self.token_servers)
    }

    /// Buys a token, unless the login is one. `refused` is what the registry does not take any more.
    async fn buy_token(
        &self,
        connections: &Connections,
        endpoint: &Endpoint,
        scopes: &Scopes,
        known: &mut Known,
        (realm, service): (&url::Url, Option<&str>),
        refused: Option<&HeaderValue>,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let looked_up_before = known.logins.contains_key(&main_of(scopes).cloned());
        let mut login = self.login(endpoint, scopes, known, Look::Once).await?;
        let mut looks = if looked_up_before { 2 } else { 1 };
        loop {
            looks -= 1;
            if let Some(Login::RegistryToken(_)) = &login {
                match login.as_ref().map(direct) {
                    Some(authorization) if Some(&authorization) != refused => {
                        return Ok(Some(authorization));
                    }
                    _ => (),
                }
            } else {
                let (login, stall) = (login.as_ref(), self.stall);
                let order = Order { connections, endpoint, realm, service, scopes, login, stall };
                if let Some(sold) = order.place().await? {
                    let authorization = sold.token.authorization.clone();
                    if let Some(refresh) = sold.refresh {
                        renew(known, scopes, refresh);
                    }
                    known.tokens.retain(|(_, token)| token.is_valid());
                    known.tokens.push((scopes.clone(), sold.token));
                    return Ok(Some(authorization));
                }
            }
            // What was refused may have been changed since: in its file, or by its helper.
            let renewed = match looks {
                0 => None,
                _ => self.login(endpoint, scopes, known, Look::Again).await?,
            };
            if renewed.is_none() || renewed == login {
                return Err(self.unauthorized(endpoint, scopes, login.as_ref()).await);
            }
            login = renewed;
        }
    }
}

/// What a token lacks that is to open `scopes`, if it says what it opens.
fn lacking_in(token: &str, scopes: &Scopes) -> Option<String> {
    lacking(scopes, &rights::access(token)?)
}

/// Lets a refresh token take the place of the one before: some token servers take each only once.
fn renew(known: &mut Known, scopes: &Scopes, refresh: crate::types::Secret) {
    if let Some(Some(found)) = known.logins.get_mut(&main_of(scopes).cloned())
        && let Login::IdentityToken { token, .. } = &mut found.login
    {
        *token = refresh;
    }
}

fn is_missing_helper(error: &LoginError) -> bool {
    matches!(error, LoginError::Helper { source: HelperProblem::Start(_), .. })
}

/// Whose login counts for what `scopes` open.
fn place_of(endpoint: &Endpoint, scopes: &Scopes) -> Place {
    main_of(scopes).map_or_else(|| Place::from(&endpoint.registry), Place::from)
}

/// The `Authorization` of a login where no token is bought.
fn direct(login: &Login) -> HeaderValue {
    match login {
        Login::RegistryToken(token) => bearer(token.expose()),
        _ => None,
    }
    .unwrap_or_else(|| basic(login))
}

fn basic(login: &Login) -> HeaderValue {
    let encoded = format!("Basic {}", login.pair().expose());
    sensitive(&encoded).unwrap_or_else(|| HeaderValue::from_static("Basic"))
}

/// A header value that does not show itself in `Debug`.
fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
