//! An exchange's failures.

use std::error::Error;

use crate::{
    authority::{TlsProblem, tls_problem},
    cli::{
        code::{self, Code},
        error::CliError,
    },
    exchange::client::{ClientCertificateWanted, ClockGap, ExchangeError, WalkError},
    proxies::ProxyFailure,
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
        let told = Self::new(code, error.to_string()).at_known(exchange_place(&error));
        match &error {
            ExchangeError::Unreachable { url, source } if code == code::TLS => {
                let problem = problem_of(source.as_ref()).unwrap_or(TlsProblem::Other);
                told.why(format!("no trusted connection: {problem}"))
                    .help(tls_help(problem).replace("HOST:PORT", host_of(url)))
            }
            // The exchange was not even asked.
            ExchangeError::Unreachable { url, source } if source.is::<ProxyFailure>() => {
                told.because(source.as_ref()).help(help.replace("HOST[:PORT]", host_of(url)))
            }
            _ => told.because(&error).help(help),
        }
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
        E::Unreachable { source, .. } if problem_of(source.as_ref()).is_some() => (code::TLS, ""),
        E::Unreachable { source, .. } if source.is::<ProxyFailure>() => (
            code::EXCHANGE_AWAY,
            "start the proxy, correct HTTPS_PROXY or HTTP_PROXY, or leave it out for the exchange: NO_PROXY=HOST[:PORT]",
        ),
        E::Unreachable { .. } => (
            code::EXCHANGE_AWAY,
            "is the exchange running, and is the URL right? A certificate of a private authority needs --ca-file. \
             The same command can simply be repeated",
        ),
        E::Unauthorized { .. } => {
            (code::EXCHANGE_LOGIN, "check EDGEPOST_USER_AUTH (org/user:password)")
        }
        // The exchange names the command that does it by a signed document.
        E::Denied { msg, .. } if msg.contains("signed document") => {
            (code::EXCHANGE_DENIED, "use the command that the exchange names")
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

/// Why no trusted connection was made, if TLS is the cause.
fn problem_of(error: &(dyn Error + Send + Sync + 'static)) -> Option<TlsProblem> {
    if error.is::<ClientCertificateWanted>() {
        return Some(TlsProblem::WantsIdentity);
    }
    tls_problem(error)
}

/// `host[:port]` of a URL.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// What helps after a failure of TLS with the exchange.
fn tls_help(problem: TlsProblem) -> &'static str {
    match problem {
        TlsProblem::UnknownIssuer => {
            "give the certificate of its authority: --ca-file FILE. Behind a proxy that reads TLS, that is the proxy's authority"
        }
        TlsProblem::NotTls => {
            "the exchange is spoken to by https://, and answers in plain: check the URL"
        }
        TlsProblem::WrongName | TlsProblem::NoAlternativeName => {
            "call the exchange by a name in its certificate's subject alternative names, or have it made anew with this one"
        }
        TlsProblem::Expired => "check the clock here, and have the exchange's certificate renewed",
        TlsProblem::OldVersion => {
            "switch TLS 1.2 on at the exchange, or at the proxy before it (nginx: ssl_protocols TLSv1.2 TLSv1.3)"
        }
        TlsProblem::WantsIdentity => {
            "exchanges are not shown any client certificate: let the server, or the proxy before it, ask for none"
        }
        _ => "`openssl s_client -connect HOST:PORT` shows what the exchange's side of TLS says",
    }
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
