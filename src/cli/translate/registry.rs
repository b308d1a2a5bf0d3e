//! A registry's failures.

use crate::{
    cli::{
        code::{self, Code},
        error::CliError,
    },
    image::ImageError,
    registry::client::{
        DownloadError, RegistryError, TlsProblem, explain,
        explain::{Advice, HubProblem},
    },
};

impl From<RegistryError> for CliError {
    fn from(error: RegistryError) -> Self {
        of_registry(error.to_string(), &error)
    }
}

impl From<DownloadError> for CliError {
    fn from(error: DownloadError) -> Self {
        use DownloadError as E;
        let what = error.to_string();
        match error {
            E::Origin { source, .. } => of_registry(what, &source),
            E::BrokenOff { source, .. } => of_registry(what, &source)
                .help("the same command goes on where it stopped: what came is kept"),
            E::WrongContent { .. } => {
                Self::new(code::CONTENT, "a blob is not what its digest names")
                    .why(what)
                    .help("the registry, or something before it, changes what it serves")
            }
            E::TooLong { .. } => Self::new(code::CONTENT, what)
                .help("the image's manifest is damaged, or made to harm"),
            E::DiskFull { source, .. } => Self::new(code::FILES, what)
                .because(&source)
                .help("make room; the same command goes on where it stopped"),
            E::Disk { source, .. } => Self::new(code::FILES, what).because(&source),
        }
    }
}

/// A registry's failure, that stopped `what`.
pub(super) fn of_registry(what: impl Into<String>, error: &RegistryError) -> CliError {
    let (code, help) = if let Some(advice) = explain::advice(error) {
        (explained(&advice), advice.to_string().replace("HOST:PORT", "HOST"))
    } else {
        let (code, help) = usual_advice(error);
        (code, help.to_owned())
    };
    let help = match error.place() {
        Some(place) => help.replace("HOST", &place.registry().to_string()),
        None => help,
    };
    CliError::new(code, what).at_known(error.place()).because(error).help(help)
}

/// Which code an answer of a registry has that we know.
fn explained(advice: &Advice) -> Code {
    use Advice as A;
    match advice {
        A::ForeignLayers => code::FOREIGN_LAYERS,
        A::LogIn(_) | A::LogInTo(_) | A::OtherLogin { .. } => code::REGISTRY_AUTH,
        A::HubIsMeant(problem) => match problem {
            HubProblem::Login => code::REGISTRY_AUTH,
            HubProblem::Denied => code::REGISTRY_DENIED,
            HubProblem::Absent => code::IMAGE_NOT_FOUND,
        },
        A::NewGrant | A::PullOnly | A::NoProject | A::NoNamespace => code::REGISTRY_DENIED,
        A::BodyTooLong { .. } => code::REGISTRY_LIMIT,
        A::NoRoute | A::NotARegistry { .. } => code::NOT_A_REGISTRY,
        A::Quota => code::REGISTRY_FULL,
        A::TooManyRequests => code::REGISTRY_BUSY,
        A::LostBlobs | A::LostUpload | A::Proxy => code::REGISTRY_AWAY,
        A::PlainHttp | A::SpeaksTls | A::StorageAuthority(_) => code::TLS,
        A::NameTokenServer { .. } => code::ANSWER,
        A::Schema1 => code::SOURCE,
        A::NoDeletion(_) | A::NoTagDeletion => code::REGISTRY_KEEPS,
    }
}

/// Which code a registry's failure has otherwise, and what helps.
fn usual_advice(error: &RegistryError) -> (Code, &'static str) {
    use RegistryError as E;
    match error {
        E::Target { source, .. } => usual_advice(source),
        E::Unauthorized { .. } => {
            (code::REGISTRY_AUTH, "edgepost registry login HOST, with an account that may do this")
        }
        E::Denied { .. } => (
            code::REGISTRY_DENIED,
            "a token that may only pull cannot push; a new grant may take ten minutes",
        ),
        E::NotFound { .. } => (
            code::IMAGE_NOT_FOUND,
            "check the repository's name; some registries need it made first",
        ),
        E::Unreachable { .. } => (
            code::REGISTRY_AWAY,
            "is the registry up? One on this machine is spoken to in plain HTTP, unless its CA is in certs.d/HOST/ca.crt. \
                 The same command goes on where it stopped",
        ),
        E::Tls { problem: TlsProblem::WantsIdentity | TlsProblem::BadIdentity, .. } => (
            code::TLS,
            "put the certificate that it knows us by into certs.d/HOST/client.cert, and its key beside it into client.key, chmod 600",
        ),
        E::Tls { problem: TlsProblem::OldVersion, .. } => (
            code::TLS,
            "switch TLS 1.2 on at the registry, or at the proxy before it (nginx: ssl_protocols TLSv1.2 TLSv1.3)",
        ),
        E::Tls { .. } => (
            code::TLS,
            "put its CA into certs.d/HOST/ca.crt, or give --registry-ca HOST=FILE; a certificate needs the name in its SAN",
        ),
        E::WrongContent { .. } | E::WrongSize { .. } => {
            (code::CONTENT, "the registry, or something before it, changes what it serves")
        }
        E::Timeout { .. } | E::Slow { .. } => {
            (code::TIMEOUT, "the same command goes on where it stopped")
        }
        E::Login { .. } => {
            (code::FILES, "check the Docker login file, and the credential helper that it names")
        }
        E::Source(ImageError::TooLong { .. }) => {
            (code::CONTENT, "the image's manifest is damaged, or made to harm")
        }
        E::Source(_) => (code::SOURCE, "the text says what is wrong with the image"),
        error if error.may_pass() => {
            (code::REGISTRY_AWAY, "repeat the command: it goes on where it stopped")
        }
        _ => (code::ANSWER, "the text says what the registry did not like"),
    }
}
