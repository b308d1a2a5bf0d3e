//! Every error of the library, in the words of the command line: which code, where, and what to do next.

use std::path::Path;

use std::error::Error;

use crate::{
    agent::{AgentError, FolderError, IdentityError, RegisterError},
    claim::ClaimError,
    cli::{
        code::{self, Code},
        error::CliError,
    },
    exchange::{
        client::{ExchangeError, WalkError},
        server::ExchangeServerError,
    },
    hub::{AccountsError, HubError},
    listener::ListenError,
    publish::PublishError,
    registry::{client::RegistryError, server::StartRegistryError},
    trust::Refusal,
};

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
        E::Unusable { .. } => {
            (code::SETTINGS, "check --exchange and --ca-file; plain http is for this machine alone")
        }
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
        | E::Malformed { what, .. } => Some(what),
        _ => None,
    }
}

impl From<RegistryError> for CliError {
    fn from(error: RegistryError) -> Self {
        of_registry("the registry did not do it", &error)
    }
}

/// A registry's failure, that stopped `what`.
fn of_registry(what: impl Into<String>, error: &RegistryError) -> CliError {
    let (code, help) = registry_advice(error);
    CliError::new(code, what).at_known(error.place()).because(error).help(help)
}

/// Which code a registry's failure has, and what helps.
fn registry_advice(error: &RegistryError) -> (Code, &'static str) {
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
        E::Unreachable { .. } => (
            code::REGISTRY_AWAY,
            "is the registry up? One on this machine is spoken to in plain HTTP, unless its CA lies in certs.d/HOST:PORT/ca.crt. \
                 The same command goes on where it stopped",
        ),
        E::Tls { .. } => (
            code::TLS,
            "put its CA into certs.d/HOST:PORT/ca.crt, or give --registry-ca HOST:PORT=FILE; a certificate needs the name in its SAN",
        ),
        E::WrongContent { .. } | E::WrongSize { .. } => {
            (code::CONTENT, "the registry, or something before it, changes what it serves")
        }
        E::Timeout { .. } => (code::TIMEOUT, "the same command goes on where it stopped"),
        E::Login { .. } => {
            (code::FILES, "check the Docker login file, and the credential helper that it names")
        }
        E::Source(_) => (code::SOURCE, "the text says what is wrong with the image"),
        error if error.may_pass() => {
            (code::REGISTRY_AWAY, "repeat the command: it goes on where it stopped")
        }
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
            E::Registry { source, .. } => of_registry(what, &source),
            E::NotFound { searched, .. } => with(code::SOURCE, "build it, or say where it is: --source oci:FOLDER, docker-archive:FILE or docker:SOCKET")
                .details(searched.into_iter().map(|place| format!("searched: {place}"))),
            E::Source { source, .. } => with(code::SOURCE, "the text says what is wrong with the image").because(&source),
            E::Manifest { source, .. } => with(code::SOURCE, "is it an OCI or Docker image?").because(&source),
            E::NestedIndex { .. } => with(code::SOURCE, "name one of its indexes by digest"),
            E::WrongPlatform { has, .. } => {
                let why = has.map_or_else(|| "its index has no such image".to_owned(), |it| format!("it is for {it}"));
                with(code::SOURCE, "build it for the service's arch, or set ARCH").why(why)
            }
            E::NotPullable { source: Some(source), .. } if !is_refusal(&source) => of_registry(what, &source),
            E::NotPullable { image, source } => {
                let error = with(code::REGISTRY_DENIED, "check the login given by -r: nodes pull with it")
                    .at(&image.repository);
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
            E::NoOperator => with(code::FAILED, "this is a fault of the program"),
            E::MissingRequirement { exists, .. } => with(code::NOT_FOUND, "publish it first, or ask for a version that there is").details(there_is(&exists)),
            E::ClusterOnly { .. } => with(code::DEFINITION, "require a service with a `deployment`"),
            E::Circle(_) => with(code::DEFINITION, "one of them must do without the next"),
            E::Unpublished(_, missing) => with(code::NOT_FOUND, "publish them first, or offer a version that there is")
                .details(missing.iter().flat_map(|it| std::iter::once(format!("missing: {}", it.wanted)).chain(there_is(&it.exists)))),
            E::NoTrust(_) => with(code::REFUSED, "`edgepost trust init` makes it"),
            E::NoRule(_) => with(code::REFUSED, "whoever keeps its root key can add one: edgepost trust add KIND --trust-sha256 PIN"),
            E::SeqUsedUp(_) => with(code::REFUSED, "publish it under another name or version; or whoever keeps the root key raises the epoch of its rule, where numbers begin anew")
                .why("an exchange that is honest never shows so high a number: who has changed what stands there?"),
            E::Absent(_) => with(code::NOT_FOUND, "publish it first: edgepost publish"),
            E::NotOurs(_) => with(code::REFUSED, "give a key by -k that signed it before, or publish the service again"),
            E::NoKey(_) => with(code::REFUSED, "give a key by -k that `edgepost trust show` names for it"),
            E::Contradiction { .. } => with(code::DEFINITION, "let the file and the command say the same organization and name, or leave them out of the file"),
            E::Different(_) => with(code::CONFLICT, "raise the version, or say --overwrite"),
            E::Published { source, .. } => with(code::ANSWER, "`edgepost service verify` says more").because(&source),
            E::HorizonKey(source) => with(code::KEY, "it must be an RSA key of 2048 bits or more").because(&source),
            E::NeedsHorizonKey => with(code::KEY, "give one by --horizon-key"),
            E::Encode(source) => with(code::FAILED, "this is a fault of the program").because(&source),
        }
    }
}

/// The versions that there are, a line each.
fn there_is(exists: &[String]) -> Vec<String> {
    match exists {
        [] => vec!["there is no version of it at all".to_owned()],
        exists => exists.iter().map(|it| format!("there is {it}")).collect(),
    }
}

/// Whether the registry answered that these credentials do not get it.
fn is_refusal(error: &RegistryError) -> bool {
    use RegistryError as E;
    matches!(error, E::Unauthorized { .. } | E::Denied { .. } | E::NotFound { .. })
}

impl From<Refusal> for CliError {
    fn from(error: Refusal) -> Self {
        let help = match &error {
            Refusal::Withdrawn { .. } => "its publisher took it back; is there a newer version?",
            Refusal::NoAuthority { .. } => {
                "whoever keeps the root key can add a rule: edgepost trust add KIND --trust-sha256 PIN"
            }
            Refusal::UnknownKind { .. } => "a newer edgepost knows it",
            Refusal::Retired { .. } => {
                "publish it again with a key that `edgepost trust show` names for it"
            }
            Refusal::WrongRoot { .. } => {
                "ask somebody you trust what `edgepost trust show` says there: another pin may mean another exchange, or a hostile one"
            }
            Refusal::Freeze { .. } => {
                "is the clock here right? Otherwise the exchange hides what is new"
            }
            _ => "do not work around it: find out who changed what",
        };
        Self::new(code::REFUSED, format!("refused by trust: {}", error.attack()))
            .because(&error)
            .help(help)
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
        match error {
            HubError::Exchange(error) => error.into(),
            HubError::Accounts(error) => error.into(),
            HubError::Listen(error) => deaf("the hub could not start", &error),
            HubError::Claim(error) => unclaimed(code::SERVE, "the hub could not start", &error),
            HubError::Registry(_) => unstarted("the hub could not start", &error),
        }
    }
}

impl From<ExchangeServerError> for CliError {
    fn from(error: ExchangeServerError) -> Self {
        let what = "the exchange could not start";
        match &error {
            ExchangeServerError::Listen(error) => deaf(what, error),
            ExchangeServerError::Folder(error) => unclaimed(code::SERVE, what, error),
            _ => unstarted(what, &error),
        }
    }
}

impl From<StartRegistryError> for CliError {
    fn from(error: StartRegistryError) -> Self {
        let what = "the registry could not start";
        match &error {
            StartRegistryError::Listen(error) => deaf(what, error),
            StartRegistryError::Claim(error) => unclaimed(code::SERVE, what, error),
            StartRegistryError::Folder(_) => unstarted(what, &error),
        }
    }
}

/// A folder that is not to be had.
fn unclaimed(unusable: Code, what: &str, error: &ClaimError) -> CliError {
    match error {
        ClaimError::Taken { folder } => CliError::new(code::IN_USE, what)
            .at(folder.display())
            .because(error)
            .help("stop the process that works there, or choose another --data"),
        ClaimError::Unusable { .. } => of_folder(unusable, what, error),
    }
}

/// A server whose files are of no use.
fn unstarted(what: &str, error: &(dyn Error + 'static)) -> CliError {
    of_folder(code::SERVE, what, error)
}

/// A data folder that is of no use.
fn of_folder(code: Code, what: &str, error: &(dyn Error + 'static)) -> CliError {
    CliError::new(code, what).because(error).help(
        "check the --data folder: does it belong to this user, and is there room on the disk?",
    )
}

/// A server that cannot listen.
fn deaf(what: &str, error: &ListenError) -> CliError {
    let told = CliError::new(code::SERVE, what).because(error);
    match error {
        ListenError::Bind { address, .. } => {
            told.at(address).help("does something else listen there? Choose another --listen")
        }
        ListenError::Pem { file, .. } => told.at(file.display()).help("is it a PEM file?"),
        ListenError::Tls { tls, .. } => {
            told.at(tls.cert_file.display()).help("do --tls-cert and --tls-key belong together?")
        }
    }
}

impl From<AccountsError> for CliError {
    fn from(error: AccountsError) -> Self {
        let file = match &error {
            AccountsError::File { file, .. } | AccountsError::Content { file, .. } => Some(file),
            _ => None,
        };
        Self::new(code::SERVE, "the registry's accounts could not be opened")
            .at_known(file.map(|it| it.display()))
            .because(&error)
            .help("check the file; without it, the next start makes new accounts")
    }
}

impl From<AgentError> for CliError {
    fn from(error: AgentError) -> Self {
        use AgentError as E;
        let (code, help) = match error {
            E::Exchange(ExchangeError::Unusable { .. }) => {
                (code::SETTINGS, "register the node again with the right URL")
            }
            E::Exchange(error) => return error.into(),
            E::Claim(error) => return unclaimed(code::NODE, "the agent could not start", &error),
            E::Runtime(_) | E::EngineGone { .. } => (
                code::ENGINE,
                "is the engine running, and may you use its socket? --engine none pulls and verifies only",
            ),
            E::Refused(_) => {
                (code::REFUSED, "the node's folder was changed; register the node again")
            }
            _ => (code::NODE, "`edgepost agent register` makes the node's folder; check --data"),
        };
        Self::new(code, "the agent did not do it")
            .at_known(agent_file(&error).map(Path::display))
            .because(&error)
            .help(help)
    }
}

fn agent_file(error: &AgentError) -> Option<&Path> {
    match error {
        AgentError::Identity(error) => Some(identity_file(error)),
        AgentError::Folder(error) => Some(error.path()),
        _ => None,
    }
}

fn identity_file(error: &IdentityError) -> &Path {
    match error {
        IdentityError::Folder(error) => error.path(),
        IdentityError::NotRegistered { path } | IdentityError::Damaged { path, .. } => path,
    }
}

impl From<RegisterError> for CliError {
    fn from(error: RegisterError) -> Self {
        use RegisterError as E;
        let (code, help) = match error {
            E::Exchange(error) => return error.into(),
            E::Refused(refused) => return refused.refusal.into(),
            E::Claim(error) => {
                return unclaimed(code::NODE, "the node could not be registered", &error);
            }
            E::NoTrust(_) => (code::REFUSED, "`edgepost trust init` makes it"),
            E::OtherNode(_) => (code::CONFLICT, "choose another --data folder"),
            E::Taken(_) => (
                code::CONFLICT,
                "choose another name, or give this one up there: edgepost node remove NODE --force",
            ),
            E::Policy(_) => (code::DEFINITION, "check the file given by --policy"),
            _ => (code::NODE, "check the --data folder"),
        };
        let file = match &error {
            E::Identity(error) => Some(identity_file(error)),
            E::Folder(error) => Some(error.path()),
            _ => None,
        };
        Self::new(code, "the node could not be registered")
            .at_known(file.map(Path::display))
            .because(&error)
            .help(help)
    }
}

impl From<FolderError> for CliError {
    fn from(error: FolderError) -> Self {
        Self::new(code::NODE, "the node's folder cannot be read")
            .at(error.path().display())
            .because(&error)
            .help("check --data, or EDGEPOST_NODE_DATA")
    }
}
