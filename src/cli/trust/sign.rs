//! `edgepost trust sign`: one person's signature, on a machine that may be offline.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::{
    PinArgs,
    change::tell_draft,
    file::{Existing, read_draft, write_draft},
    keys::{KeyNames, sign_here},
    words::whole,
};
use crate::cli::{Context, code, error::CliError, key::DEFAULT_KEY};

/// Sign a draft, and say what it changes and who is missing; no exchange is asked
///
/// Look first:      edgepost trust show trust-acme-2.draft.json --trust-sha256 PIN
/// Then sign:       edgepost trust sign trust-acme-2.draft.json --key ann --trust-sha256 PIN
///
/// The pin is what your nodes were registered with. Without it nothing says that the versions which the draft
/// carries, and against which its changes are told, are those of your organization.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct SignArgs {
    /// The draft
    file: PathBuf,
    /// The root key that signs: its name or file; repeatable
    #[arg(short, long, value_name = "KEY", env = "EDGEPOST_KEY", default_value = DEFAULT_KEY)]
    key: Vec<String>,
    /// Write the signed draft here; without it, in the place of FILE
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    pin: PinArgs,
}

impl SignArgs {
    /// Runs the command.
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut draft = read_draft(&self.file, self.pin.root())?;
        sign_here(&mut draft, &self.key, context)?;
        if draft.before().is_none() || !self.pin.is_given() {
            // What it changes says little where the version before is anybody's word.
            let (now, names) = (context.clock.now(), KeyNames::read(context));
            context.output.note(whole(draft.after(), &draft.pin(), &names, now));
        }
        if draft.before().is_some() && !self.pin.is_given() {
            let pin = draft.pin();
            context.output.note(format!(
                "note: nothing says that the version before is your organization's; is {pin} the pin that its nodes have?"
            ));
        }
        let (file, existing) = match &self.output {
            Some(file) => (file, Existing::Keep),
            None => (self.own_file()?, Existing::Replace),
        };
        write_draft(file, &draft, existing)?;
        tell_draft(&draft, file, Value::Null, context);
        Ok(())
    }

    /// The file itself, if it can be replaced: a link or the standard input cannot.
    fn own_file(&self) -> Result<&PathBuf, CliError> {
        if self.file.symlink_metadata().is_ok_and(|it| it.is_file()) {
            return Ok(&self.file);
        }
        Err(CliError::new(code::USAGE, "the signed draft cannot take the place of what was read")
            .at(self.file.display())
            .help("say where it is to go: --output FILE"))
    }
}
