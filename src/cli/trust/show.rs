//! `edgepost trust show`: who may publish what, in words.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    PinArgs,
    change::object,
    file::read_draft,
    keys::KeyNames,
    walk_trust,
    words::{changes_in_words, days_left, signatures_in_words, whole},
};
use crate::cli::{Context, error::CliError};

/// Say who may publish what, who changes that, and the pin that nodes register with
///
/// What is in force:      edgepost trust show
/// What a draft says:     edgepost trust show trust-acme-2.draft.json --trust-sha256 PIN
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct ShowArgs {
    /// A draft, which is shown with what it changes and who has signed it; no exchange is asked
    file: Option<PathBuf>,
    #[command(flatten)]
    pin: PinArgs,
}

impl ShowArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match &self.file {
            Some(file) => self.draft(file, context),
            None => self.in_force(context).await,
        }
    }

    async fn in_force(&self, context: &Context) -> Result<(), CliError> {
        let trust = walk_trust(&context.client()?, self.pin.root()).await?;
        let (document, pin) = (trust.document(), trust.pin());
        let now = context.clock.now();
        let days = days_left(document.expires, now);
        let object = json!({"pin": pin.to_string(), "trust": document, "expiresInDays": days});
        context.output.result(&object, || whole(document, &pin, &KeyNames::read(context), now));
        Ok(())
    }

    fn draft(&self, file: &Path, context: &Context) -> Result<(), CliError> {
        let draft = read_draft(file, self.pin.root())?;
        let (document, pin, now) = (draft.after(), draft.pin(), context.clock.now());
        let days = days_left(document.expires, now);
        let object = json!({
            "pin": pin.to_string(), "trust": document, "expiresInDays": days, "draft": object(&draft),
        });
        context.output.result(&object, || {
            let names = KeyNames::read(context);
            let changes = draft.before().map(|before| {
                let told = changes_in_words(&draft.changes(), &names);
                format!("\nWhat it changes of version {}\n{told}", before.version)
            });
            let signatures = signatures_in_words(&draft, &names);
            let changes = changes.unwrap_or_default();
            whole(document, &pin, &names, now) + &changes + "\nSignatures\n" + &signatures
        });
        if draft.before().is_some() && !self.pin.is_given() {
            context.output.note(format!(
                "note: nothing says that the version before is your organization's; is {pin} the pin that its nodes have?"
            ));
        }
        Ok(())
    }
}
