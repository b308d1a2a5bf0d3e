//! `edgepost trust merge`: signatures of several people in one draft.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::{
    PinArgs,
    change::tell_draft,
    file::{Existing, read_draft, write_draft},
};
use crate::cli::{Context, error::CliError};

/// Bring the signatures of several people together, each given on a copy of one draft
///
/// From two sticks:     edgepost trust merge ann/trust.draft.json bob/trust.draft.json --output trust.draft.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct MergeArgs {
    /// The first copy
    first: PathBuf,
    /// The other copies
    #[arg(required = true)]
    others: Vec<PathBuf>,
    /// Write the draft with all signatures here
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    pin: PinArgs,
}

impl MergeArgs {
    /// Runs the command.
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut draft = read_draft(&self.first, self.pin.root())?;
        for file in &self.others {
            let other = read_draft(file, self.pin.root())?;
            draft.merge(&other).map_err(|error| CliError::from(error).at(file.display()))?;
        }
        write_draft(&self.output, &draft, Existing::Keep)?;
        tell_draft(&draft, &self.output, Value::Null, context);
        Ok(())
    }
}
