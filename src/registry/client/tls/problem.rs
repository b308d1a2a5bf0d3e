//! What a connection's failure means.

use std::{error::Error as StdError, io};

use crate::{
    registry::client::{RegistryError, TlsProblem},
    types::Registry,
};

/// What a failed request means.
pub(in crate::registry::client) fn connection_error(
    error: reqwest::Error,
    registry: &Registry,
) -> RegistryError {
    let error = error.without_url(); // its query may hold a credential
    let registry = registry.clone();
    match tls_problem(&error) {
        Some(problem) => RegistryError::Tls { registry, problem, source: error.into() },
        None => RegistryError::Unreachable { registry, source: error.into() },
    }
}

/// Looks for what the TLS library says among the causes of `error`.
fn tls_problem(error: &(dyn StdError + 'static)) -> Option<TlsProblem> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let tls = inside
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
            .or_else(|| error.downcast_ref::<rustls::Error>());
        if let Some(tls) = tls {
            return Some(problem_of(tls));
        }
        if let Some(problem) = inside.and_then(|inner| tls_problem(inner)) {
            return Some(problem);
        }
        cause = error.source();
    }
    None
}

fn problem_of(error: &rustls::Error) -> TlsProblem {
    use rustls::CertificateError as Bad;

    let bad = match error {
        rustls::Error::InvalidCertificate(bad) => bad,
        rustls::Error::AlertReceived(alert) => return problem_of_alert(*alert),
        rustls::Error::InvalidMessage(_) => return TlsProblem::NotTls,
        _ => return TlsProblem::Other,
    };
    match bad {
        // A bad signature: an authority of the same name with another key, as after its renewal.
        Bad::UnknownIssuer | Bad::BadSignature => TlsProblem::UnknownIssuer,
        Bad::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            TlsProblem::NoAlternativeName
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => TlsProblem::WrongName,
        Bad::Expired
        | Bad::ExpiredContext { .. }
        | Bad::NotValidYet
        | Bad::NotValidYetContext { .. } => TlsProblem::Expired,
        // A CA certificate used as the server's own: self-signed, and not given as trusted.
        Bad::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            TlsProblem::UnknownIssuer
        }
        _ => TlsProblem::Other,
    }
}

/// What the other end did not like: these alerts are about the client's certificate.
fn problem_of_alert(alert: rustls::AlertDescription) -> TlsProblem {
    use rustls::AlertDescription as Alert;

    match alert {
        Alert::CertificateRequired
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        // An authority of the same name with another key.
        | Alert::DecryptError => TlsProblem::WantsIdentity,
        _ => TlsProblem::Other,
    }
}
