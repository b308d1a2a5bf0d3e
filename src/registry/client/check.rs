//! Questions about a registry, each on its own, for whoever looks for what is wrong.

use std::{io, net::SocketAddr, time::Duration};

use reqwest::{Method, StatusCode, header::LOCATION};

use super::{
    FoundLogin, Place, RegistryClient, RegistryError, RegistryTrust, api_path,
    auth::{Scheme, Scope, Scopes},
    http::{Call, challenges, location},
};
use crate::{
    authority::ShownCertificate,
    image::Descriptor,
    registry::protocol::path,
    types::{Registry, Repository},
};

/// How a registry wants to know who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// It does not ask.
    Open,
    /// By name and password with every request.
    Basic,
    /// By a token of this server.
    Bearer {
        /// The token server's address, without its query.
        realm: String,
        /// What the token server calls the registry.
        service: Option<String>,
    },
}

/// Where a registry's API is, and the way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The host, as it is resolved.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it is spoken to over TLS.
    pub encrypted: bool,
    /// The proxy on the way, without its credentials.
    pub proxy: Option<String>,
}

impl RegistryClient {
    /// The way to `registry`.
    pub fn way_to(&self, registry: &Registry) -> Result<Way, RegistryError> {
        let endpoint = self.connections.endpoint(registry)?;
        let host = endpoint.base.host_str().unwrap_or_default();
        Ok(Way {
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port: endpoint.base.port_or_known_default().unwrap_or_default(),
            encrypted: !endpoint.is_plain(),
            proxy: self.connections.proxy(&endpoint),
        })
    }

    /// The certificates that `registry` shows, its own first, whether they are trusted or not.
    pub async fn certificates_of(
        &self,
        registry: &Registry,
    ) -> Result<Vec<ShownCertificate>, RegistryError> {
        let endpoint = self.connections.endpoint(registry)?;
        self.connections.chain(&endpoint).await.map_err(|source| RegistryError::Unreachable {
            registry: registry.clone(),
            source: source.into(),
        })
    }

    /// By whose word `registry` is trusted.
    pub async fn trust_of(&self, registry: &Registry) -> Result<RegistryTrust, RegistryError> {
        let endpoint = self.connections.endpoint(registry)?;
        self.connections.trust_of(&endpoint, self.stall.silence).await
    }

    /// Fetches the first byte of a blob, as the first request of a download would.
    pub async fn try_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<(), RegistryError> {
        let range = 0..descriptor.size.min(1);
        self.retry
            .run(|| async {
                let mut body = self.open_range(repository, descriptor, range.clone()).await?;
                body.next().await.map(|_| ())
            })
            .await
    }

    /// How `registry` wants to know who one is. No login is sent.
    pub async fn challenge_of(&self, registry: &Registry) -> Result<Challenge, RegistryError> {
        let endpoint = self.connections.endpoint(registry)?;
        let call = Call::new(registry.into(), &endpoint, Method::GET, path::BASE)?
            .asking_for("registry API at /v2/", Scopes::new());
        let response = self.send_once(&endpoint, &call, &call.url, None).await?;
        match response.status() {
            StatusCode::UNAUTHORIZED => {
                Ok(match self.auth.scheme_of(&endpoint, &challenges(&response))? {
                    Scheme::Basic => Challenge::Basic,
                    Scheme::Bearer { mut realm, service } => {
                        realm.set_query(None);
                        Challenge::Bearer { realm: realm.into(), service }
                    }
                })
            }
            status if status.is_success() || status.is_redirection() => Ok(Challenge::Open),
            _ => Err(self.refusal(&call.place, &call.what, response).await),
        }
    }

    /// The login that would be used, and where it comes from. May run a credential helper.
    pub async fn login_for(&self, place: &Place) -> Result<Option<FoundLogin>, RegistryError> {
        self.auth.found(place).await
    }

    /// Whether `repository` shows itself to our login; false if there is none of this name yet, as
    /// before the first push.
    pub async fn may_pull(&self, repository: &Repository) -> Result<bool, RegistryError> {
        let endpoint = self.connections.endpoint(repository.registry())?;
        let path = path::tags(&api_path(repository));
        let call = Call::new(repository.into(), &endpoint, Method::GET, &format!("{path}?n=1"))?
            .asking_for("tags", Scopes::from([Scope::pull(repository)]));
        let response = self.send_following(&endpoint, &call).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_success() => Ok(true),
            _ => Err(self.refusal(&call.place, &call.what, response).await),
        }
    }

    /// Whether our login may push to `repository`: an upload is begun, and given up.
    pub async fn may_push(&self, repository: &Repository) -> Result<(), RegistryError> {
        let endpoint = self.connections.endpoint(repository.registry())?;
        let scopes = Scopes::from([Scope::push(repository)]);
        let call = Call::new(
            repository.into(),
            &endpoint,
            Method::POST,
            &path::uploads(&api_path(repository)),
        )?
        .asking_for("place for uploads", scopes.clone());
        let response = self.send(&endpoint, &call).await?;
        if !response.status().is_success() {
            return Err(self.refusal(&call.place, &call.what, response).await);
        }
        if response.headers().contains_key(LOCATION) {
            let session = location(&response, &call.url, &endpoint, &call.place)?;
            let mut end = Call::new(repository.into(), &endpoint, Method::DELETE, "")?
                .asking_for("upload session", scopes);
            end.url = session;
            // Some registries cannot give up an upload; they forget it after some time.
            let _ = self.send(&endpoint, &end).await;
        }
        Ok(())
    }
}

/// The addresses of `host`.
pub async fn addresses_of(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

/// Whether something listens at one of `addresses`: which, and how long it took.
pub async fn listens_at(
    addresses: &[SocketAddr],
    patience: Duration,
) -> io::Result<(SocketAddr, Duration)> {
    let started = tokio::time::Instant::now();
    match tokio::time::timeout(patience, tokio::net::TcpStream::connect(addresses)).await {
        Ok(stream) => Ok((stream?.peer_addr()?, started.elapsed())),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}
