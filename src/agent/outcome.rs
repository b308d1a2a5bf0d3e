//! How a pass ended, so that its caller can tell success from each kind of failure.

use jiff::Timestamp;

use crate::{
    agent::{
        containers::ContainersError, credentials::LoginsError, fetch::FetchError,
        folder::FolderError, identity::IdentityError, imports::ImportError, marks::MarksError,
        pull::PullError, runtime::RuntimeError, sandbox::RefusedAccess, settle::told,
        status::Status, verify::Refused,
    },
    claim::ClaimError,
    exchange::{
        api::{HOST_ACCESS, RefusalReport, ServiceReport, ServiceState},
        client::ExchangeError,
    },
    registry::server::{ShareError, storage::StorageError},
    types::{NodeRef, OrgId, PinnedImage, Registry, ServiceId},
};

/// What a pass led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The worst that happened in it.
    pub end: End,
    /// The node after it.
    pub status: Status,
}

/// How a pass ended; the later in this list, the graver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// Everything that should run runs.
    Settled,
    /// There is nothing that fits this node.
    NothingFits,
    /// Something could not be started, or did not stay up.
    Failed,
    /// A registry has no image that is signed, or does not show it.
    ImageMissing,
    /// A registry could not be reached; what ran goes on.
    RegistryAway,
    /// The exchange could not be reached; what ran goes on.
    Away,
    /// The certificate of the exchange or of a registry is not trusted here; what ran goes on.
    Untrusted,
    /// A registry did not accept the pull credentials.
    RegistryRefused,
    /// The exchange did not accept the node's credentials.
    Unauthorized,
    /// Something was not what was signed, or not signed by whom it should be; what ran goes on.
    Refused,
}

/// Why an agent could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The node has no usable identity.
    #[error("the node cannot be opened")]
    Identity(#[from] IdentityError),
    /// Its folder is not to be had.
    #[error("the node's folder cannot be used")]
    Claim(#[from] ClaimError),
    /// A file of its folder cannot be used.
    #[error("the node's folder cannot be used")]
    Folder(#[from] FolderError),
    /// Its marks cannot be used.
    #[error("the node's marks cannot be used")]
    Marks(#[from] MarksError),
    /// What it had accepted does not hold any more.
    #[error("what the node had accepted does not hold")]
    Refused(#[from] Refused),
    /// It was registered, but its trust is missing: it must be registered again.
    #[error("the node has no trust; register it again")]
    NoTrust,
    /// Its content store cannot be used.
    #[error("the node's content store cannot be used")]
    Store(#[from] StorageError),
    /// The engine that its operator chose does not answer.
    #[error("the engine cannot be used")]
    Runtime(#[from] RuntimeError),
    /// The engine in which its containers were does not answer.
    #[error("{engine}, which ran the containers of this node, does not answer")]
    EngineGone {
        /// The engine.
        engine: String,
    },
    /// The exchange cannot be spoken to as configured.
    #[error("the exchange cannot be used")]
    Exchange(#[from] ExchangeError),
}

/// Why a service could not be provided with its images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum ProvideError {
    #[error(transparent)]
    Pull(#[from] PullError),
    #[error("the login of {username} for {registry} ended on {ended}")]
    LoginEnded { username: String, registry: Registry, ended: Timestamp, source: PullError },
    #[error(
        "the exchange gives {node} no credentials for it; if there are some, an administrator has to approve the node"
    )]
    NoCredentials { node: NodeRef, source: PullError },
    #[error(transparent)]
    Logins(#[from] LoginsError),
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    #[error("failed to serve the image to the engine")]
    HandOff(#[from] ShareError),
    #[error("failed to name image {0} for the engine")]
    Unnameable(String),
}

/// What is noticed during a pass.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    pub(super) now: Timestamp,
    pub(super) end: End,
    pub(super) stale: bool,
    pub(super) services: Vec<ServiceReport>,
    pub(super) refusals: Vec<RefusalReport>,
    pub(super) problems: Vec<String>,
}

impl Notes {
    pub(super) fn at(now: Timestamp) -> Self {
        Self {
            now,
            end: End::Settled,
            stale: false,
            services: Vec::new(),
            refusals: Vec::new(),
            problems: Vec::new(),
        }
    }

    fn ended(&mut self, end: End) {
        self.end = self.end.max(end);
    }

    /// Something went wrong that is about no service.
    pub(super) fn problem(&mut self, end: End, error: &dyn std::error::Error) {
        tracing::warn!(event = "reconcile.failed", error = %told(error), "a reconcile pass failed in part");
        self.ended(end);
        self.problems.push(told(error));
    }

    /// Something went wrong that there is no error for any more.
    pub(super) fn problem_text(&mut self, end: End, text: String) {
        self.ended(end);
        self.problems.push(text);
    }

    fn refusal(&mut self, document: String, attack: &str, detail: String) {
        tracing::debug!(document, attack, detail, "refused");
        let attack = attack.to_owned();
        self.refusals.push(RefusalReport { document, attack, detail, at: self.now });
        self.ended(End::Refused);
    }

    /// A service needs more of the host than its owner allows. What runs goes on.
    pub(super) fn host_access(&mut self, refused: &RefusedAccess) {
        let (service, detail) = (&refused.service, refused.describe());
        tracing::warn!(event = "sandbox.refused", %service, detail, "the service is not started");
        self.refusals.push(RefusalReport {
            document: format!("service/{}", service.exchange_id()),
            attack: HOST_ACCESS.to_owned(),
            detail,
            at: self.now,
        });
    }

    /// Nothing newer was accepted.
    pub(super) fn not_newer(&mut self, error: &FetchError) {
        self.stale = true;
        match error {
            FetchError::Exchange(source) => match source.attack() {
                Some(attack) => self.refusal("exchange".to_owned(), attack, told(source)),
                None => self.problem(end_of(source), error),
            },
            FetchError::Refused(refused) => {
                let (document, attack) = (refused.document.clone(), refused.refusal.attack());
                self.refusal(document, attack, told(&refused.refusal));
            }
            FetchError::Bundle(_) | FetchError::Endless { .. } => self.problem(End::Failed, error),
        }
    }

    /// Nothing newer was accepted, since the disk does not keep it.
    pub(super) fn not_kept(&mut self, error: &MarksError) {
        tracing::error!(
            event = "rollback_state.write_failed",
            error = %told(error),
            "nothing newer is accepted until the rollback state can be written"
        );
        self.stale = true;
        self.ended(End::Failed);
        self.problems.push(told(error));
    }

    /// Nothing newer was accepted of another organization.
    pub(super) fn nothing_of(&mut self, org: &OrgId, error: &ImportError) {
        let end = match error {
            ImportError::Fetch(FetchError::Refused(refused)) => {
                let document = format!("{} of {org}", refused.document);
                let (attack, detail) = (refused.refusal.attack(), told(&refused.refusal));
                return self.refusal(document, attack, detail);
            }
            ImportError::Fetch(FetchError::Exchange(source)) => match source.attack() {
                Some(attack) => {
                    return self.refusal(format!("exchange of {org}"), attack, told(source));
                }
                None => end_of(source),
            },
            _ => End::Failed,
        };
        self.problem_text(end, format!("{org}: {}", told(error)));
    }

    /// A service is in this state.
    pub(super) fn service(
        &mut self,
        service: &ServiceId,
        images: &[PinnedImage],
        state: ServiceState,
        detail: Option<String>,
    ) {
        if matches!(
            state,
            ServiceState::Failed | ServiceState::RolledBack | ServiceState::Unhealthy
        ) {
            self.ended(End::Failed);
        }
        self.services.retain(|it| it.service != *service);
        self.services.push(ServiceReport {
            service: service.clone(),
            state,
            images: images.to_vec(),
            since: self.now,
            detail,
        });
    }

    /// A service's document cannot be made into containers.
    pub(super) fn not_made(&mut self, service: &ServiceId, error: &ContainersError) {
        self.service(service, &[], ServiceState::Failed, Some(told(error)));
    }

    /// A service's images are not here.
    pub(super) fn not_provided(
        &mut self,
        service: &ServiceId,
        images: &[PinnedImage],
        error: &ProvideError,
    ) {
        let detail = told(error);
        let end = match error {
            ProvideError::Pull(pull) => match pull.attack() {
                Some(attack) => {
                    self.refusal(
                        format!("service/{}", service.exchange_id()),
                        attack,
                        detail.clone(),
                    );
                    End::Refused
                }
                None if pull.is_unauthorized() => End::RegistryRefused,
                None if pull.is_untrusted() => End::Untrusted,
                None if pull.is_hidden() => End::ImageMissing,
                None if pull.is_network() => End::RegistryAway,
                None => End::Failed,
            },
            ProvideError::LoginEnded { .. } | ProvideError::NoCredentials { .. } => {
                End::RegistryRefused
            }
            ProvideError::Logins(LoginsError::Exchange { source, .. }) => end_of(source),
            _ => End::Failed,
        };
        self.service(service, images, ServiceState::Failed, Some(detail));
        self.ended(end);
    }
}

fn end_of(error: &ExchangeError) -> End {
    match error {
        ExchangeError::Unauthorized { .. } | ExchangeError::Denied { .. } => End::Unauthorized,
        error if error.is_tls_failure() => End::Untrusted,
        error if error.is_passing() => End::Away,
        _ => End::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::client::{Place, RegistryError, TlsProblem};

    fn image() -> PinnedImage {
        format!("a.b/c@sha256:{}", "1".repeat(64)).parse().unwrap()
    }

    /// How a pass ends in which a registry answers so.
    fn end(source: RegistryError) -> End {
        let mut notes = Notes::at(Timestamp::UNIX_EPOCH);
        let service = ServiceId {
            org: "acme".parse().unwrap(),
            url: "web".parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            arch: "amd64".parse().unwrap(),
        };
        let error = PullError::Registry { image: image(), source: Box::new(source) };
        notes.not_provided(&service, &[image()], &error.into());
        notes.end
    }

    #[test]
    fn end_of_a_pass_says_what_a_registry_did() {
        let registry: Registry = "a.b".parse().unwrap();
        let place = Place::from(&image().repository);
        let tls = RegistryError::Tls {
            registry: registry.clone(),
            problem: TlsProblem::UnknownIssuer,
            source: "unknown issuer".into(),
        };
        assert_eq!(end(tls), End::Untrusted);
        let refused = RegistryError::Unauthorized {
            registry: registry.clone(),
            user: None,
            others: Vec::new(),
        };
        assert_eq!(end(refused), End::RegistryRefused);
        let denied = RegistryError::Denied { place: place.clone(), message: String::new() };
        assert_eq!(end(denied), End::RegistryRefused);
        let (what, message) = ("manifest".to_owned(), String::new());
        assert_eq!(end(RegistryError::NotFound { place, what, message }), End::ImageMissing);
        let away = RegistryError::Unreachable { registry, source: "refused".into() };
        assert_eq!(end(away), End::RegistryAway);
    }
}
