//! Every error of the library, in the words of the command line: which code, and what to do next.

use crate::{
    agent::{AgentError, FolderError, RegisterError},
    cli::{code, error::CliError},
    exchange::{
        client::{ExchangeError, WalkError},
        server::ExchangeServerError,
    },
    hub::{AccountsError, HubError},
    publish::PublishError,
    registry::{client::RegistryError, server::StartRegistryError},
    trust::Refusal,
};

impl From<ExchangeError> for CliError {
    fn from(error: ExchangeError) -> Self {
        use ExchangeError as E;
        let (code, help) = match &error {
            E::Unusable { .. } => {
                (code::SETTINGS, "check --exchange; plain http is for this machine alone")
            }
            E::Unreachable { .. } => (
                code::EXCHANGE_AWAY,
                "is the exchange running, and is the URL right? The same command can simply be repeated",
            ),
            E::Unauthorized { .. } => {
                (code::EXCHANGE_LOGIN, "check EDGEPOST_USER_AUTH (org/user:password)")
            }
            E::Denied { .. } => (code::EXCHANGE_DENIED, "ask an administrator of the organization"),
            E::NotFound { .. } => (code::NOT_FOUND, "`list` shows what there is"),
            E::Conflict { .. } => (code::CONFLICT, "raise the version, or say --overwrite"),
            E::Invalid { .. } => (code::FAILED, "the text says what the exchange did not like"),
            E::SignatureRefused { .. } => {
                (code::REFUSED, "sign with a key that `edgepost trust show` names for it")
            }
            E::Server { .. } => {
                (code::EXCHANGE_AWAY, "repeat the command; the exchange's log says more")
            }
            _ => (code::ANSWER, "is there an exchange at this URL? It ends in /v1"),
        };
        Self::new(code, "the exchange did not do it").because(&error).help(help)
    }
}

impl From<RegistryError> for CliError {
    fn from(error: RegistryError) -> Self {
        let (code, help) = registry_advice(&error);
        Self::new(code, "the registry did not do it").because(&error).help(help)
    }
}

/// Which code a registry's failure has, and what helps.
fn registry_advice(error: &RegistryError) -> (code::Code, &'static str) {
    use RegistryError as E;
    match error {
        E::Unauthorized { .. } => {
            (code::REGISTRY_AUTH, "docker login REGISTRY, with an account that may push")
        }
        E::Denied { .. } => (
            code::REGISTRY_DENIED,
            "a token that may only pull cannot push; a new grant may take ten minutes",
        ),
        E::NotFound { .. } => (
            code::IMAGE_NOT_FOUND,
            "check the repository's name; some registries need it made first",
        ),
        E::Unreachable { .. } => {
            (code::REGISTRY_AWAY, "is the registry up? The same command goes on where it stopped")
        }
        E::Tls { .. } => (
            code::TLS,
            "put its CA into certs.d/HOST:PORT/ca.crt, or give --registry-ca HOST:PORT=FILE; a certificate needs the name in its SAN",
        ),
        E::WrongContent { .. } => {
            (code::CONTENT, "the registry, or something before it, changes what it serves")
        }
        E::Timeout { .. } => (code::TIMEOUT, "the same command goes on where it stopped"),
        _ => (code::ANSWER, "the text says what the registry did not like"),
    }
}

impl From<PublishError> for CliError {
    fn from(error: PublishError) -> Self {
        use PublishError as E;
        let what = error.to_string();
        let with = |code, help: &str| Self::new(code, what.clone()).help(help);
        match error {
            E::Exchange(error) => error.into(),
            E::Trust(error) => error.into(),
            E::Registry { source, .. } => {
                let (code, help) = registry_advice(&source);
                with(code, help).because(&source)
            }
            E::NotFound { searched, .. } => with(code::SOURCE, "build it, or say where it is: --source oci:FOLDER, docker-archive:FILE or docker:SOCKET")
                .details(searched.into_iter().map(|place| format!("searched: {place}"))),
            E::Source { source, .. } => with(code::SOURCE, "the text says what is wrong with the image").because(&source),
            E::Manifest { source, .. } => with(code::SOURCE, "is it an OCI or Docker image?").because(&source),
            E::NestedIndex { .. } => with(code::SOURCE, "name one of its indexes by digest"),
            E::WrongPlatform { has, .. } => {
                let why = has.map_or_else(|| "its index has no such image".to_owned(), |it| format!("it is for {it}"));
                with(code::SOURCE, "build it for the service's arch, or set ARCH").why(why)
            }
            E::NotPullable { source, .. } => {
                let error = with(code::REGISTRY_DENIED, "check the login given by -r: nodes pull with it");
                match source {
                    Some(source) => error.because(&source),
                    None => error.why("the registry does not show the image to it, even after some seconds"),
                }
            }
            E::Presigned(source) => with(code::DEFINITION, "let the deployment be an object, so that it is pinned and signed here").because(&source),
            E::Body(source) => with(code::FAILED, "this is a fault of the program").because(&source),
            E::Seal(source) => with(code::DEFINITION, "make the definition smaller").because(&source),
            E::Login(source) => with(code::REGISTRY_LOGIN, "check the value of -r").because(&source),
            E::Pin(source) => with(code::DEFINITION, "each image needs a repository of its own registry").because(&source),
            E::NoTrust(_) => with(code::REFUSED, "`edgepost trust init` makes it"),
            E::NoKey(_) => with(code::REFUSED, "give a key by -k that `edgepost trust show` names for it"),
            E::Different(_) => with(code::CONFLICT, "raise the version, or say --overwrite"),
            E::Published { source, .. } => with(code::ANSWER, "`edgepost service verify` says more").because(&source),
            E::HorizonKey(source) => with(code::KEY, "it must be an RSA key of 2048 bits or more").because(&source),
            E::NeedsHorizonKey => with(code::KEY, "give one by --horizon-key"),
            E::Encode(source) => with(code::FAILED, "this is a fault of the program").because(&source),
        }
    }
}

impl From<Refusal> for CliError {
    fn from(error: Refusal) -> Self {
        Self::new(code::REFUSED, format!("refused by trust: {}", error.attack()))
            .because(&error)
            .help("do not work around it: find out who changed what")
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

impl From<HubError> for CliError {
    fn from(error: HubError) -> Self {
        Self::new(code::SERVE, "the hub could not start")
            .because(&error)
            .help("check --data and --listen")
    }
}

impl From<ExchangeServerError> for CliError {
    fn from(error: ExchangeServerError) -> Self {
        Self::new(code::SERVE, "the exchange could not start")
            .because(&error)
            .help("check --data and --listen")
    }
}

impl From<StartRegistryError> for CliError {
    fn from(error: StartRegistryError) -> Self {
        Self::new(code::SERVE, "the registry could not start")
            .because(&error)
            .help("check --data and --listen")
    }
}

impl From<AccountsError> for CliError {
    fn from(error: AccountsError) -> Self {
        Self::new(code::SERVE, "the registry's accounts could not be opened")
            .because(&error)
            .help("check the data folder")
    }
}

impl From<AgentError> for CliError {
    fn from(error: AgentError) -> Self {
        use AgentError as E;
        let (code, help) = match &error {
            E::Runtime(_) => (
                code::ENGINE,
                "is the engine running, and may you use its socket? --engine none pulls and verifies only",
            ),
            E::Refused(_) => {
                (code::REFUSED, "the node's folder was changed; register the node again")
            }
            E::Exchange(_) => (code::SETTINGS, "register the node again with the right URL"),
            _ => (code::NODE, "`edgepost agent register` makes the node's folder"),
        };
        Self::new(code, "the agent could not start").because(&error).help(help)
    }
}

impl From<RegisterError> for CliError {
    fn from(error: RegisterError) -> Self {
        use RegisterError as E;
        let what = "the node could not be registered";
        match error {
            E::Exchange(error) => error.into(),
            E::Refused(refused) => refused.refusal.into(),
            E::NoTrust(_) => {
                Self::new(code::REFUSED, what).because(&error).help("edgepost trust init")
            }
            E::OtherNode(_) => {
                Self::new(code::CONFLICT, what).because(&error).help("choose another --data folder")
            }
            _ => Self::new(code::NODE, what).because(&error).help("check the --data folder"),
        }
    }
}

impl From<FolderError> for CliError {
    fn from(error: FolderError) -> Self {
        Self::new(code::NODE, "the node's folder cannot be read")
            .because(&error)
            .help("check --data, or EDGEPOST_NODE_DATA")
    }
}
