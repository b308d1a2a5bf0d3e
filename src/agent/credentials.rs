//! The logins that a service's images are pulled with: fetched sealed, opened, and kept in memory
//! alone.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    agent::identity::Identity,
    exchange::{
        api::{Credential, CredentialError},
        client::{ExchangeClient, ExchangeError},
    },
    registry::client::{
        ClientConfig, Login, Logins, Mirror, Pace, RegistryClient, RetryPolicy, Warnings,
    },
    types::{Registry, ServiceId, jwt},
};

/// The longest wait before a blob is asked for again, in first waits.
const LONGEST_WAIT: u32 = 30;

/// What the operator of the node says about registries.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Registries {
    /// Login files of Docker or Podman, used where the exchange gives no login.
    pub login_files: Vec<PathBuf>,
    /// Folders like `/etc/docker/certs.d`.
    pub certs_dirs: Vec<PathBuf>,
    /// CA certificates in PEM that count for every registry.
    pub ca_for_all: Vec<String>,
    /// Registries that are spoken to without TLS.
    pub plain_http: BTreeSet<Registry>,
    /// Who else has what a registry has, and is asked before it.
    pub mirrors: BTreeMap<Registry, Vec<Mirror>>,
    /// How fast images may be pulled, all together.
    pub pace: Pace,
    /// The registries' warnings that were logged.
    pub warnings: Warnings,
}

/// Why there are no logins for a service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginsError {
    /// The exchange did not give them.
    #[error("failed to fetch the credentials of {service}")]
    Exchange {
        /// The service.
        service: ServiceId,
        /// What the exchange said.
        source: ExchangeError,
    },
    /// What it gave does not open with this node's key.
    #[error("failed to open the credentials of {service}")]
    Sealed {
        /// The service.
        service: ServiceId,
        /// Why.
        source: CredentialError,
    },
}

/// The logins of services, as long as the agent runs.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    known: HashMap<ServiceId, Vec<Credential>>,
}

impl Credentials {
    /// Forgets what a registry did not accept, so that the next call asks anew.
    pub(super) fn forget(&mut self, service: &ServiceId) {
        self.known.remove(service);
    }

    /// Forgets them all: the exchange has told that logins have changed.
    pub(super) fn forget_all(&mut self) {
        self.known.clear();
    }

    /// Whether the exchange was asked, and gave this node no credentials for the service.
    pub(super) fn has_none(&self, service: &ServiceId) -> bool {
        self.known.get(service).is_some_and(Vec::is_empty)
    }

    /// The login for `registry` that has ended by `now`, by its token's own word: whose, and when.
    pub(super) fn ended(
        &self,
        service: &ServiceId,
        registry: &Registry,
        now: Timestamp,
    ) -> Option<(String, Timestamp)> {
        let known = self.known.get(service)?;
        let login = known.iter().rfind(|it| it.registry == *registry)?;
        let ended = jwt::expiry(login.token.expose()).filter(|ends| *ends <= now)?;
        Some((login.username.clone(), ended))
    }

    /// A client for the registries of a service: with its pull credentials, each for its registry alone, and
    /// with the authorities that came signed with it, each for its registry alone.
    ///
    /// Where the exchange gives no credentials, the client has the operator's login files and pulls the rest
    /// anonymously. The error is part of the answer, and explains a registry that then refuses.
    pub(super) async fn client_for(
        &mut self,
        service: &ServiceId,
        authorities: BTreeMap<Registry, String>,
        node: &Identity,
        exchange: &ExchangeClient,
        operator: &Registries,
        first_wait: Duration,
    ) -> (RegistryClient, Option<LoginsError>) {
        let mut failure = None;
        if !self.known.contains_key(service) {
            match fetch(service, node, exchange).await {
                Ok(fetched) => {
                    self.known.insert(service.clone(), fetched);
                }
                Err(error) => failure = Some(error),
            }
        }
        let mut logins = Logins::none();
        for it in self.known.get(service).into_iter().flatten() {
            let login = Login::new(it.username.clone(), it.token.clone());
            logins = logins.with(it.registry.clone(), login);
        }
        for path in &operator.login_files {
            logins = logins.and_file(path);
        }
        // A proxy that reads TLS stands before registries as it does before the exchange.
        let ca_for_all = operator.ca_for_all.iter().chain(&node.ca).cloned().collect();
        let ca = authorities.into_iter().map(|(registry, pem)| (registry, vec![pem])).collect();
        let client = RegistryClient::new(ClientConfig {
            logins,
            ca,
            ca_for_all,
            certs_dirs: operator.certs_dirs.clone(),
            plain_http: operator.plain_http.clone(),
            // Requests are repeated by the next pass; blobs at once, as long as they make progress.
            retry: RetryPolicy {
                first_delay: first_wait,
                longest_delay: first_wait * LONGEST_WAIT,
                // A pass waits no longer; the next one asks again.
                longest_asked: first_wait * LONGEST_WAIT,
                tries: 1,
                ..RetryPolicy::default()
            },
            mirrors: operator.mirrors.clone(),
            pace: operator.pace.clone(),
            warnings: operator.warnings.clone(),
            ..ClientConfig::default()
        });
        (client, failure)
    }
}

async fn fetch(
    service: &ServiceId,
    node: &Identity,
    exchange: &ExchangeClient,
) -> Result<Vec<Credential>, LoginsError> {
    let sealed = match exchange.sealed_credentials(service).await {
        Ok(sealed) => sealed,
        // None are kept for it, or not for us: the registry may be open, or in the login file.
        Err(ExchangeError::NotFound { .. }) => Vec::new(),
        Err(source) => return Err(LoginsError::Exchange { service: service.clone(), source }),
    };
    sealed
        .iter()
        .map(|it| it.open(service, &node.node, &node.key))
        .collect::<Result<_, _>>()
        .map_err(|source| LoginsError::Sealed { service: service.clone(), source })
}
