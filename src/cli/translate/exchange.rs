//! An exchange's failures.

use std::error::Error;

use crate::{
    cli::{
        code::{self, Code},
        error::CliError,
    },
    exchange::client::{ClockGap, ExchangeError, WalkError},
};

impl From<ClockGap> for CliError {
    fn from(gap: ClockGap) -> Self {
        Self::new(code::CLOCK, "nothing was signed")
            .because(&gap)
            .help("set the clock that is wrong, here or at the exchange, and repeat the command")
    }
}

impl From<ExchangeError> for CliError {
    fn from(error: ExchangeError) -> Self {
        let (code, help) = exchange_advice(&error);
        Self::new(code, "the exchange did not do it")
            .at_known(exchange_place(&error))
            .because(&error)
            .help(help)
    }
}

/// Which code an exchange's failure has, and what helps.
fn exchange_advice(error: &ExchangeError) -> (Code, &'static str) {
    use ExchangeError as E;
    match error {
        E::Unusable { .. } => (
            code::SETTINGS,
            "check --exchange and --ca-file; plain http beyond this machine needs --insecure-http, or EDGEPOST_INSECURE_HTTP=1",
        ),
        E::Unreachable { source, .. } if speaks_of_tls(source.as_ref()) => (
            code::TLS,
            "a certificate of a private authority needs --ca-file; http:// and https:// must fit the server",
        ),
        E::Unreachable { .. } => (
            code::EXCHANGE_AWAY,
            "is the exchange running, and is the URL right? A certificate of a private authority needs --ca-file. \
             The same command can simply be repeated",
        ),
        E::Unauthorized { .. } => {
            (code::EXCHANGE_LOGIN, "check EDGEPOST_USER_AUTH (org/user:password)")
        }
        E::Denied { .. } => (code::EXCHANGE_DENIED, "ask an administrator of the organization"),
        E::NotFound { .. } => (code::NOT_FOUND, "`list` shows what there is"),
        E::Conflict { .. } => {
            (code::CONFLICT, "choose another name or version; a service is replaced by --overwrite")
        }
        E::Invalid { .. } => (code::FAILED, "the text says what the exchange did not like"),
        E::SignatureRefused { .. } => {
            (code::REFUSED, "sign with a key that `edgepost trust show` names for it")
        }
        E::Server { .. } => {
            (code::EXCHANGE_AWAY, "repeat the command; the exchange's log says more")
        }
        _ => (code::ANSWER, "is there an exchange at this URL? It ends in /v1"),
    }
}

/// Whether a connection failed over TLS: the HTTP client tells it only in words.
fn speaks_of_tls(error: &(dyn Error + 'static)) -> bool {
    let signs = ["certificate", "UnknownIssuer", "corrupt message", "HandshakeFailure"];
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    causes.any(|cause| signs.iter().any(|sign| cause.to_string().contains(sign)))
}

/// The exchange, or what was asked of it.
fn exchange_place(error: &ExchangeError) -> Option<&str> {
    use ExchangeError as E;
    match error {
        E::Unusable { url, .. } | E::Unreachable { url, .. } => Some(url),
        E::NotFound { what }
        | E::Denied { what, .. }
        | E::Conflict { what, .. }
        | E::Invalid { what, .. }
        | E::Server { what, .. }
        | E::Malformed { what, .. }
        | E::TooLong { what, .. } => Some(what),
        _ => None,
    }
}

impl From<WalkError> for CliError {
    fn from(error: WalkError) -> Self {
        match error {
            WalkError::Exchange(error) => error.into(),
            WalkError::Refused(refusal) => refusal.into(),
        }
    }
}
