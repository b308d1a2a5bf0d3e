//! Why a registry did not do what it was asked for.

use std::{fmt, time::Duration};

use crate::{
    authority::TlsProblem,
    image::{ImageError, ManifestError},
    registry::protocol::ErrorCode,
    types::{Digest, Registry, Repository},
};

/// Whatever a request was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The registry as a whole.
    Registry(Registry),
    /// One of its repositories.
    Repository(Repository),
}

impl Place {
    /// The registry, either way.
    pub fn registry(&self) -> &Registry {
        match self {
            Self::Registry(registry) => registry,
            Self::Repository(repository) => repository.registry(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(registry) => registry.fmt(f),
            Self::Repository(repository) => repository.fmt(f),
        }
    }
}

impl From<&Registry> for Place {
    fn from(registry: &Registry) -> Self {
        Self::Registry(registry.clone())
    }
}

impl From<&Repository> for Place {
    fn from(repository: &Repository) -> Self {
        Self::Repository(repository.clone())
    }
}

/// Why a registry did not do what it was asked for.
///
/// No variant holds a credential, nor an address with a query, which may hold one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// It wants a login and got none, or does not accept the one it got.
    #[error("the registry {registry} {}", login_problem(.user.as_ref(), .others))]
    Unauthorized {
        /// The registry.
        registry: Registry,
        /// Whose login was refused; none if there was none to send.
        user: Option<String>,
        /// Registries that there are logins for, where there is none for this one.
        others: Vec<String>,
    },
    /// The login is good, and does not allow this.
    #[error("access to {place} is denied{}", detail(.message))]
    Denied {
        /// What was asked for.
        place: Place,
        /// The registry's own words.
        message: String,
    },
    /// There is no such repository, manifest or blob.
    #[error("{place} has no {what}{}", detail(.message))]
    NotFound {
        /// Where it was looked for.
        place: Place,
        /// What was asked for: `manifest 1.0`.
        what: String,
        /// The words of whatever answered, where they may say more: a registry's usual ones are left out.
        message: String,
    },
    /// No connection, or it broke.
    #[error("the registry {registry} cannot be reached")]
    Unreachable {
        /// The registry.
        registry: Registry,
        /// What the connection says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was silent for too long.
    #[error("the registry {registry} was silent for {} s", .waited.as_secs_f32())]
    Timeout {
        /// The registry.
        registry: Registry,
        /// For how long.
        waited: Duration,
    },
    /// It sent too little for too long, while it was waited for.
    #[error("the registry {registry} sent only {bytes} bytes in {} s", .waited.as_secs_f32())]
    Slow {
        /// The registry.
        registry: Registry,
        /// How much came, in bytes.
        bytes: u64,
        /// In what time.
        waited: Duration,
    },
    /// It does not prove to be the registry.
    #[error("the registry {registry} is not trusted: {problem}")]
    Tls {
        /// The registry.
        registry: Registry,
        /// What is wrong.
        problem: TlsProblem,
        /// What the TLS library says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It sends us, or our credentials, somewhere we do not go.
    #[error("the registry {registry} points to {target}, which {why}")]
    UnsafeTarget {
        /// The registry.
        registry: Registry,
        /// Scheme, host and port it points to.
        target: String,
        /// Why we do not go there.
        why: &'static str,
    },
    /// The host that it points to, such as the storage of its blobs or its token server, failed.
    #[error("the registry {registry} points to {target}, which failed")]
    Target {
        /// The registry.
        registry: Registry,
        /// The host it points to.
        target: Registry,
        /// What that host did.
        source: Box<RegistryError>,
    },
    /// The content is not what its digest says, on one side or the other.
    #[error("{place}: expected {expected}, received {received}")]
    WrongContent {
        /// Where it was to be had.
        place: Place,
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what came.
        received: Digest,
    },
    /// The content is shorter or longer than its descriptor says.
    #[error("{place}: {digest} should have {expected} bytes, and has {received}")]
    WrongSize {
        /// Where it was to be had.
        place: Place,
        /// The content.
        digest: Digest,
        /// The length that was named, in bytes.
        expected: u64,
        /// The length that was found, in bytes.
        received: u64,
    },
    /// The answer is longer than we read.
    #[error("{place} answers with more than {limit} bytes")]
    TooLarge {
        /// What was asked.
        place: Place,
        /// The most that is read, in bytes.
        limit: u64,
    },
    /// It lacks layers that only their maker may serve, and does not take an image without them.
    #[error(
        "{place} refuses an image without its foreign layers, which only their maker may serve"
    )]
    ForeignLayers {
        /// Where the image was to go.
        place: Place,
    },
    /// It deletes nothing.
    #[error("{place} does not delete")]
    NoDeletion {
        /// Where something was to be deleted.
        place: Place,
    },
    /// It deletes manifests, and no tag by itself.
    #[error("{place} does not delete a tag by itself")]
    NoTagDeletion {
        /// Where the tag is.
        place: Place,
    },
    /// Any other refusal.
    #[error(
        "{place} answered {status}{}{}{}",
        code_text(.code.as_ref()), detail(.message), asked_for(.retry_after.as_ref())
    )]
    Refused {
        /// What was asked.
        place: Place,
        /// The HTTP status.
        status: u16,
        /// The registry's word for it.
        code: Option<ErrorCode>,
        /// The registry's own words.
        message: String,
        /// When to come back, if the registry says so.
        retry_after: Option<Duration>,
    },
    /// It breaks the protocol.
    #[error("{place} does not speak the registry protocol: {why}")]
    Protocol {
        /// What was asked.
        place: Place,
        /// What is wrong.
        why: String,
    },
    /// A manifest cannot be read.
    #[error("{place} has a manifest that cannot be used")]
    Manifest {
        /// Where it is.
        place: Place,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The login file or a credential helper failed.
    #[error("no login for {registry} could be read")]
    Login {
        /// The registry.
        registry: Registry,
        /// What went wrong.
        source: crate::registry::client::LoginError,
    },
    /// What was to be pushed could not be had from its source.
    #[error("the image could not be read")]
    Source(#[from] ImageError),
}

impl RegistryError {
    /// Whether more came of a blob than its `size`: then it is another.
    pub fn is_longer_than(&self, size: u64) -> bool {
        matches!(self, Self::WrongSize { received, .. } if *received > size)
    }

    /// Whether the same request may well succeed in a moment.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Slow { .. } => true,
            Self::Target { source, .. } => source.may_pass(),
            Self::Refused { status, .. } => matches!(status, 408 | 429 | 500 | 502..=504),
            _ => false,
        }
    }

    /// The registry or repository it is about; `None` if it is about the source of what was pushed.
    pub fn place(&self) -> Option<Place> {
        match self {
            Self::Unauthorized { registry, .. }
            | Self::Unreachable { registry, .. }
            | Self::Timeout { registry, .. }
            | Self::Slow { registry, .. }
            | Self::Tls { registry, .. }
            | Self::UnsafeTarget { registry, .. }
            | Self::Login { registry, .. } => Some(Place::from(registry)),
            Self::Target { target, .. } => Some(Place::from(target)),
            Self::Denied { place, .. }
            | Self::NotFound { place, .. }
            | Self::WrongContent { place, .. }
            | Self::WrongSize { place, .. }
            | Self::TooLarge { place, .. }
            | Self::ForeignLayers { place }
            | Self::NoDeletion { place }
            | Self::NoTagDeletion { place }
            | Self::Refused { place, .. }
            | Self::Protocol { place, .. }
            | Self::Manifest { place, .. } => Some(place.clone()),
            Self::Source(_) => None,
        }
    }

    /// When the registry wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Target { source, .. } => source.retry_after(),
            _ => None,
        }
    }

    /// The same failure of a connection, as one with `target`, which the registry points to.
    pub(super) fn at_target(mut self, target: Registry) -> Self {
        let registry = match &mut self {
            Self::Unreachable { registry, .. }
            | Self::Timeout { registry, .. }
            | Self::Tls { registry, .. } => std::mem::replace(registry, target.clone()),
            _ => return self,
        };
        Self::Target { registry, target, source: Box::new(self) }
    }

    pub(super) fn protocol(place: &Place, why: impl Into<String>) -> Self {
        Self::Protocol { place: place.clone(), why: why.into() }
    }
}

fn login_problem(user: Option<&String>, others: &[String]) -> String {
    match user {
        Some(user) => format!("does not accept the login of `{user}`"),
        None if others.is_empty() => "wants a login, and there is none for it".to_owned(),
        None => format!("wants a login, and there is none for it, only for {}", others.join(", ")),
    }
}

/// What an error says, with its causes.
pub(super) fn error_chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn detail(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

fn asked_for(wait: Option<&Duration>) -> String {
    wait.map(|wait| format!("; it asks to come back in {} s", wait.as_secs())).unwrap_or_default()
}

fn code_text(code: Option<&ErrorCode>) -> String {
    code.map(|code| format!(" {code}")).unwrap_or_default()
}
