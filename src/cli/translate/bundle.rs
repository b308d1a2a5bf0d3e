//! Bundles that cannot be made or read.

use crate::{
    agent::InventoryError,
    bundle::{BundleError, ExportError},
    cli::{code, error::CliError},
};

impl From<BundleError> for CliError {
    fn from(error: BundleError) -> Self {
        let help = match &error {
            BundleError::Form { .. } => "a newer edgepost reads it",
            _ => "give a file that `edgepost bundle export` has written, as it is",
        };
        Self::new(code::BUNDLE, "the bundle cannot be read").because(&error).help(help)
    }
}

impl From<ExportError> for CliError {
    fn from(error: ExportError) -> Self {
        use ExportError as E;
        let (code, help) = match error {
            E::Exchange(error) => return error.into(),
            E::Refused(refusal) => return refusal.into(),
            E::NoTrust => (code::REFUSED, "`edgepost trust init` makes it"),
            E::NoService(_) => (code::NOT_FOUND, "`edgepost service list` names what there is"),
            E::Required { .. } => (code::NOT_FOUND, "publish what it requires first"),
            E::Image { .. } => (
                code::SOURCE,
                "the text says what the registry said; `edgepost registry login` proves a login",
            ),
            E::Write { .. } | E::Staging(_) => {
                (code::FILES, "is there room, and may you write there?")
            }
        };
        Self::new(code, "the bundle was not made").because(&error).help(help)
    }
}

impl From<InventoryError> for CliError {
    fn from(error: InventoryError) -> Self {
        Self::new(code::NODE, "it cannot be said what this node has")
            .because(&error)
            .help("`edgepost agent register` makes the node's folder; check --data")
    }
}
