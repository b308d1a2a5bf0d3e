//! Azure Container Registry, as azure.github.io/acr ("AAD-OAuth") and its FAQ describe it.

use std::path::Path;

use axum::response::Response;
use serde_json::json;

use super::{Asked, Cloud, Mint, Right, Ways, answer, refused};

/// The registry's name.
pub const HOST: &str = "acme.azurecr.io";
/// Where its blobs are served from.
pub const STORAGE: &str = "acmestore.blob.core.windows.net";
/// The user whose password is a refresh token.
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// A service principal with the role `AcrPush`, and its password.
pub const PRINCIPAL: (&str, &str) = ("6f3d2c1b-5a49-4e38-9d27-1c0b8a7f6e5d", "principal~secret.8Q");
/// One with the role `AcrPull`.
pub const READER: (&str, &str) = ("0a1b2c3d-4e5f-4061-8273-94a5b6c7d8e9", "reader~secret.8Q");
/// A token of the registry itself for `team/app` alone.
pub const SCOPED: (&str, &str) = ("pump-7", "scoped+secret/8Q==");
/// The admin user.
pub const ADMIN: (&str, &str) = ("acme", "admin/secret+8Q");

/// The directory of people: what `az account get-access-token` prints.
pub fn directory() -> Mint {
    Mint::new("directory")
}

/// The registry's own tokens.
pub fn registry() -> Mint {
    Mint::new("azure")
}

/// Starts one.
pub fn start(folder: &Path) -> Cloud {
    Cloud::with_storage(folder, HOST, Some(STORAGE), Azure { mint: registry() })
}

struct Azure {
    mint: Mint,
}

impl Azure {
    fn rights_of(&self, user: &str, password: &str) -> Option<Vec<Right>> {
        let of = |begin: &str, actions: &str| Some(vec![(begin.to_owned(), actions.to_owned())]);
        match (user, password) {
            known if known == PRINCIPAL => of("", "pull,push"),
            known if known == READER => of("", "pull"),
            known if known == SCOPED => of("team/app", "pull,push"),
            known if known == ADMIN => of("", "pull,push,delete"),
            (TOKEN_USER, refresh) => self.refreshed_by(refresh),
            _ => None,
        }
    }

    fn refreshed_by(&self, refresh: &str) -> Option<Vec<Right>> {
        let said = self.mint.read(refresh)?;
        (said["grant_type"] == "refresh_token").then(|| vec![(String::new(), "pull,push".into())])
    }

    /// A token of the directory becomes one of the registry.
    fn exchange(&self, asked: &Asked) -> Response {
        let told = asked.field("access_token").and_then(|token| directory().read(token));
        match told {
            Some(_) if asked.field("grant_type") != Some("access_token") => {
                refused(400, "the grant type is missing")
            }
            Some(_) if asked.field("service") != Some(HOST) => refused(400, "no such service"),
            Some(said) if asked.field("tenant").is_some_and(|it| said["tid"] != it) => {
                refused(401, "AADSTS50020: the tenant is another")
            }
            Some(said) => {
                let (iat, exp) = (super::now(), super::now() + 3 * 3600);
                let claims = json!({
                    "grant_type": "refresh_token", "sub": said["sub"], "iat": iat, "exp": exp,
                });
                answer(200, &json!({"refresh_token": self.mint.token(&claims)}))
            }
            None => refused(401, "AADSTS500133: the token is none of this directory"),
        }
    }
}

impl Ways for Azure {
    fn realm(&self) -> &'static str {
        "/oauth2/token"
    }

    fn service(&self) -> Option<String> {
        Some(HOST.to_owned())
    }

    fn sell(&self, asked: &Asked) -> Option<Response> {
        let rights = match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/oauth2/exchange") => return Some(self.exchange(asked)),
            ("POST", "/oauth2/token") if asked.field("grant_type") == Some("refresh_token") => {
                asked.field("refresh_token").and_then(|refresh| self.refreshed_by(refresh))
            }
            ("GET", "/oauth2/token") => {
                let login = asked.login.as_ref();
                login.and_then(|(user, password)| self.rights_of(user, password))
            }
            _ => return None,
        };
        let token = rights.filter(|_| asked.field("service") == Some(HOST));
        Some(match token {
            // How long it is good for it does not say, but the token does.
            Some(rights) => {
                let token = self.mint.access(&asked.scopes(), &rights, 75 * 60);
                answer(200, &json!({"access_token": token}))
            }
            None => refused(401, "authentication required, visit https://aka.ms/acr/authorization"),
        })
    }

    fn rights(&self, token: &str) -> Option<Vec<Right>> {
        self.mint.opened_by(token)
    }
}
