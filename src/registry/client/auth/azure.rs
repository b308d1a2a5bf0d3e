//! A token of Azure's directory becomes a refresh token of an Azure Container Registry.
//!
//! The exchange is Azure's own (azure.github.io/acr, "AAD-OAuth"): `POST /oauth2/exchange` of the
//! registry itself. What comes back is the password of [`AZURE_TOKEN_USER`], and an identity token.

use reqwest::{Method, StatusCode};
use serde::Deserialize;

use super::Scheme;
use crate::{
    registry::{
        client::{
            Cloud, Place, RegistryClient, RegistryError,
            http::{Call, bounded_body, challenges, in_time},
        },
        protocol::path,
    },
    types::{Registry, Secret},
};

/// The user whose password is a refresh token of an Azure Container Registry.
pub const AZURE_TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Answer {
    refresh_token: String,
}

impl RegistryClient {
    /// The refresh token of an Azure registry for an access token of Azure's directory. `tenant` is the
    /// directory's; without it the registry takes it from the token.
    ///
    /// The token opens more than registries, so no other registry gets it.
    pub async fn azure_refresh_token(
        &self,
        registry: &Registry,
        tenant: Option<&str>,
        access_token: &Secret,
    ) -> Result<Secret, RegistryError> {
        let endpoint = self.connections.endpoint(registry)?;
        let place = Place::from(registry);
        if Cloud::of(registry) != Some(Cloud::Azure) && !registry.is_loopback() {
            let why = "is no registry of Azure, so it gets no token of Azure's directory";
            return Err(endpoint.unsafe_target(&endpoint.base, why));
        }
        let call = Call::new(place.clone(), &endpoint, Method::GET, path::BASE)?;
        let response = self.send_once(&endpoint, &call, &call.url, None).await?;
        let service = match self.auth.scheme_of(&endpoint, &challenges(&response))? {
            Scheme::Bearer { service, .. } => service,
            Scheme::Basic => None,
        };
        let service = service.unwrap_or_else(|| registry.as_str().to_owned());
        let mut form = vec![
            ("grant_type", "access_token"),
            ("service", &service),
            ("access_token", access_token.expose()),
        ];
        form.extend(tenant.map(|tenant| ("tenant", tenant)));
        let url = endpoint
            .base
            .join("/oauth2/exchange")
            .map_err(|error| RegistryError::protocol(&place, error.to_string()))?;
        let request = self.connections.client(&url, &endpoint)?.post(url).form(&form);
        let mut response = in_time(self.stall.silence, &endpoint, request.send()).await?;
        match response.status() {
            StatusCode::OK => (),
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let user = Some("a token of Azure's directory".to_owned());
                return Err(RegistryError::Unauthorized {
                    registry: registry.clone(),
                    user,
                    others: Vec::new(),
                });
            }
            _ => return Err(self.refusal(&place, "exchange of Azure's tokens", response).await),
        }
        let body = bounded_body(&mut response, MAX_ANSWER, self.stall, &place).await?;
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| RegistryError::protocol(&place, "its answer holds no refresh token"))?;
        Ok(Secret::new(answer.refresh_token))
    }
}
