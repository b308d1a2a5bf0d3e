//! What trust refuses.

use crate::{
    cli::{code, error::CliError},
    trust::Refusal,
};

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
