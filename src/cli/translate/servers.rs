//! Why a server could not start.

use std::error::Error;

use crate::{
    claim::ClaimError,
    cli::{
        code::{self, Code},
        error::CliError,
    },
    data_parts::DataPartsError,
    exchange::server::ExchangeServerError,
    hub::{AccountsError, HubError},
    listener::ListenError,
    registry::server::StartRegistryError,
};

impl From<HubError> for CliError {
    fn from(error: HubError) -> Self {
        match error {
            HubError::Exchange(error) => error.into(),
            HubError::Accounts(error) => error.into(),
            HubError::Parts(error) => lacking("the hub could not start", &error),
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
            ExchangeServerError::Parts(error) => lacking(what, error),
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

impl From<DataPartsError> for CliError {
    fn from(error: DataPartsError) -> Self {
        lacking("the registry could not start", &error)
    }
}

/// A data folder that lacks parts.
fn lacking(what: &str, error: &DataPartsError) -> CliError {
    let DataPartsError::Missing { missing, .. } = error else {
        return of_folder(code::SERVE, what, error);
    };
    let flags: Vec<_> =
        missing.iter().map(|(part, _)| format!("--create-missing {part}")).collect();
    let details = missing.iter().map(|(part, path)| {
        format!("{part}: {}; if a new one is made, {}", path.display(), part.consequence())
    });
    CliError::new(code::PART_MISSING, what).because(error).details(details).help(format!(
        "restore it from a backup; or start once with {} to make it again",
        flags.join(" ")
    ))
}

/// A folder that is not to be had.
pub(super) fn unclaimed(unusable: Code, what: &str, error: &ClaimError) -> CliError {
    match error {
        ClaimError::Taken { folder } => CliError::new(code::IN_USE, what)
            .at(folder.display())
            .because(error)
            .help("stop the process that works there, or choose another --data"),
        ClaimError::Exposed { folder, is_own, .. } => {
            let folder = folder.display();
            let own =
                if *is_own { String::new() } else { format!("chown \"$(id -un)\" {folder} && ") };
            CliError::new(unusable, what)
                .at(&folder)
                .because(error)
                .why("keys and password hashes are stored there, which are for one user alone")
                .help(format!(
                    "{own}chmod 700 {folder}; or choose a new folder inside it, which is made so"
                ))
        }
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
        ListenError::Key { file, .. } => told
            .at(file.display())
            .help("give it to the user of this process, with mode 0600: chmod 600 FILE"),
        ListenError::Text { file, .. } | ListenError::Pem { file, .. } => told
            .at(file.display())
            .help("--tls-cert takes certificates in PEM, --tls-key a private key in PEM without a passphrase"),
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
            .help("restore the file from a backup, or remove it and start once with --create-missing registry-accounts")
    }
}
