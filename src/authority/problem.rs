//! What the failure of a TLS connection means.

use std::{error::Error as StdError, fmt, io};

/// Why no trusted TLS connection was made, as far as it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProblem {
    /// The certificate is signed by nobody we trust: the server's CA certificate is missing.
    UnknownIssuer,
    /// The certificate has no subject alternative name; a common name does not count any more.
    NoAlternativeName,
    /// The certificate is for other names.
    WrongName,
    /// The certificate has expired, or is not valid yet, or the clock here is wrong.
    Expired,
    /// The CA certificate given for this server cannot be read.
    BadAuthority,
    /// It does not speak TLS, but something else, such as plain HTTP.
    NotTls,
    /// The client certificate given for this server cannot be used.
    BadIdentity,
    /// The server wants a client certificate, and got none or takes another.
    WantsIdentity,
    /// It speaks no version of TLS from 1.2 on (RFC 8996 withdraws the older ones).
    OldVersion,
    /// Anything else.
    Other,
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownIssuer => "its certificate is signed by an authority that is not trusted here",
            Self::NoAlternativeName => {
                "its certificate has no subject alternative name, and a common name alone is not valid"
            }
            Self::WrongName => "its certificate is for another name",
            Self::Expired => "its certificate is not valid at this time",
            Self::BadAuthority => "a CA certificate that is configured for it cannot be read",
            Self::NotTls => "what it speaks is not TLS",
            Self::BadIdentity => "the client certificate that is configured for it cannot be used",
            Self::WantsIdentity => "it wants a client certificate, and takes none that it is shown from here",
            Self::OldVersion => {
                "it speaks only TLS 1.0 or 1.1, which are withdrawn: TLS 1.2 or 1.3 has to be switched on there"
            }
            Self::Other => "no TLS connection could be made",
        })
    }
}

/// What the TLS library says among the causes of `error`, if it says anything.
pub fn tls_problem(error: &(dyn StdError + 'static)) -> Option<TlsProblem> {
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
        rustls::Error::PeerIncompatible(reason) if is_about_version(reason) => {
            return TlsProblem::OldVersion;
        }
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

/// Whether a server chose a version of TLS that is not offered to it.
fn is_about_version(reason: &rustls::PeerIncompatible) -> bool {
    use rustls::PeerIncompatible as Reason;

    matches!(
        reason,
        Reason::ServerDoesNotSupportTls12Or13
            | Reason::ServerTlsVersionIsDisabledByOurConfig
            | Reason::Tls12NotOffered
    )
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
        Alert::ProtocolVersion => TlsProblem::OldVersion,
        _ => TlsProblem::Other,
    }
}
