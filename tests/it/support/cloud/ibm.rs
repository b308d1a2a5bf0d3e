//! IBM Cloud Container Registry: what kind of credential a password is, its user says.

use std::path::Path;

use axum::response::Response;
use serde_json::json;

use super::{Asked, Cloud, Mint, Right, Ways, answer, refused};

/// The registry's name.
pub const HOST: &str = "us.icr.io";
/// The API key of a service ID.
pub const API_KEY: &str = "XyZ-apikey_0123456789abcdefghij";
/// A refresh token of IAM.
pub const REFRESH: &str = "OPAQUE-refresh.token_9876543210";
/// A trusted profile, which logs in by the API key of a service ID.
pub const PROFILE: &str = "iam-Profile-94497d0d-2ac3-41bf-a993-a49d1b14627c";

/// IAM, which makes access tokens.
pub fn iam() -> Mint {
    Mint::new("iam")
}

/// Starts one that has the namespace `acme`.
pub fn start(folder: &Path) -> Cloud {
    Cloud::start(folder, HOST, Ibm { mint: Mint::new("ibm") })
}

struct Ibm {
    mint: Mint,
}

impl Ways for Ibm {
    fn realm(&self) -> &'static str {
        "/oauth/token"
    }

    fn service(&self) -> Option<String> {
        Some("registry".to_owned())
    }

    fn sell(&self, asked: &Asked) -> Option<Response> {
        if asked.path != self.realm() {
            return None;
        }
        let (user, password) = asked.login.clone().unwrap_or_default();
        let good = match user.as_str() {
            "iamapikey" | PROFILE => password == API_KEY,
            "iambearer" => iam().read(&password).is_some(),
            "iamrefresh" => password == REFRESH,
            _ => false,
        };
        if !good {
            return Some(refused(401, "The login credentials are not valid"));
        }
        let rights = [("acme/".to_owned(), "pull,push,delete".to_owned())];
        let token = self.mint.access(&asked.scopes(), &rights, 300);
        Some(answer(200, &json!({"token": token, "access_token": token, "expires_in": 300})))
    }

    fn rights(&self, token: &str) -> Option<Vec<Right>> {
        self.mint.opened_by(token)
    }
}
