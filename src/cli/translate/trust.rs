//! What trust refuses.

use crate::{
    cli::{code, error::CliError},
    trust::{DraftError, EditError, MergeError, Refusal, SignError, TrustProblem},
};

impl From<Refusal> for CliError {
    fn from(error: Refusal) -> Self {
        let help = match &error {
            Refusal::Withdrawn { .. } => "its publisher took it back; is there a newer version?",
            Refusal::NoAuthority { .. } => {
                "whoever keeps the root key can add a rule: edgepost trust add KIND --trust-sha256 PIN"
            }
            Refusal::UnknownKind { .. } => "a newer edgepost knows it",
            Refusal::EpochEnded { .. } | Refusal::Retired { .. } => {
                "publish it again with a key that `edgepost trust show` names for it"
            }
            Refusal::WrongRoot { .. } => {
                "ask somebody you trust what `edgepost trust show` says there: another pin may mean another exchange, or a hostile one"
            }
            Refusal::AheadOfClock { .. } => {
                "set the clock that is wrong: the one here, that of the exchange, or that of who signed it"
            }
            Refusal::Freeze { .. } => {
                "is the clock here right? Otherwise the exchange hides what is new"
            }
            _ => "do not work around it: find out who changed what",
        };
        let what = match &error {
            // The owner itself has ended the epoch.
            Refusal::EpochEnded { document, .. } => format!("{document} counts no more"),
            _ => format!("refused by trust: {}", error.attack()),
        };
        Self::new(code::REFUSED, what).because(&error).help(help)
    }
}

impl From<TrustProblem> for CliError {
    fn from(error: TrustProblem) -> Self {
        Self::new(code::REFUSED, "the trust document would not be taken").because(&error).help(
            "`edgepost trust show` shows the one in force; --threshold says how many must sign",
        )
    }
}

impl From<DraftError> for CliError {
    fn from(error: DraftError) -> Self {
        match error {
            DraftError::Refused(refusal) => refusal.into(),
            DraftError::Contradiction(problem) => problem.into(),
            DraftError::Syntax(_) => Self::new(code::DRAFT, "the draft cannot be read")
                .because(&error)
                .help("give a file that `edgepost trust` has written, as it is"),
        }
    }
}

impl From<EditError> for CliError {
    fn from(error: EditError) -> Self {
        use EditError as E;
        let (code, help) = match &error {
            E::Unchanged(_) => (code::CONFLICT, "`edgepost trust show` shows it"),
            E::NoRule { .. } | E::NotNamed { .. } | E::NoKey(_) | E::NotImported(_) => {
                (code::NOT_FOUND, "`edgepost trust show` shows the rules and their keys")
            }
            E::Revoked(_) => (code::REFUSED, "make another key: edgepost key create NAME"),
            E::EpochLost { .. } => {
                (code::CONFLICT, "revoke its keys instead: the rule then keeps its names closed")
            }
        };
        Self::new(code, "the trust document cannot be changed so").because(&error).help(help)
    }
}

impl From<SignError> for CliError {
    fn from(error: SignError) -> Self {
        let (code, help) = match &error {
            SignError::Twice(_) => (code::SIGNED, "`edgepost trust show FILE` says who is missing"),
            SignError::NotRoot(_) | SignError::Revoked(_) => {
                (code::SIGNER, "`edgepost trust show FILE` names the root keys")
            }
            SignError::Full => (code::REFUSED, "begin a new draft; nobody needs so many"),
        };
        Self::new(code, "the draft is not signed").because(&error).help(help)
    }
}

impl From<MergeError> for CliError {
    fn from(error: MergeError) -> Self {
        let code = match error {
            MergeError::Different { .. } => code::DRAFTS_DIFFER,
            MergeError::Full => code::REFUSED,
        };
        Self::new(code, "the drafts are not merged")
            .because(&error)
            .help("`edgepost trust show FILE` shows what each says")
    }
}
