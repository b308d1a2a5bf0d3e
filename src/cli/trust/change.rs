//! What every change of the trust document has in common: the next version is made from the pinned chain,
//! signed here as far as that goes, and then published, or written down for others to sign.

use std::path::{Path, PathBuf};

use clap::Args;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    file::{Existing, write_draft},
    keys::{KeyNames, sign_here},
    no_trust,
    words::{changes_in_words, signatures_in_words},
};
use crate::{
    cli::{Context, error::CliError},
    exchange::client::ExchangeClient,
    trust::{Draft, EditError, Trust, TrustDocument, TrustPin, TrustRoot},
};

/// Who signs a change, and against which trust it is made.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// A root key that signs it here: its name or file; repeatable. Without it, the key `default` does, if that is a root key
    #[arg(short, long = "key", value_name = "KEY", env = "EDGEPOST_KEY")]
    pub(super) key: Vec<String>,
    /// The pin of the organization's trust: nothing is signed on the exchange's word alone
    #[arg(long, value_name = "HEX")]
    trust_sha256: TrustPin,
    #[command(flatten)]
    next: NextArgs,
}

/// What becomes of the next version.
#[derive(Debug, Args)]
pub(super) struct NextArgs {
    /// Write it into this file for others to sign, even if it is complete; without it that is done only where
    /// signatures are missing, into trust-ORG-VERSION.draft.json
    #[arg(long, value_name = "FILE")]
    draft: Option<PathBuf>,
    /// After how many days it must have been replaced by a next version; without it, 365
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
    expires: Option<u32>,
}

impl ChangeArgs {
    /// Makes the next version by `edit`, and publishes it or writes it down. `told` are more members of the
    /// result's JSON.
    pub(super) async fn carry_out(
        &self,
        told: Value,
        context: &Context,
        edit: impl FnOnce(&mut TrustDocument) -> Result<(), EditError>,
    ) -> Result<(), CliError> {
        let client = context.client()?;
        let chain = client.trust_chain().await?;
        let root = TrustRoot::Pinned(self.trust_sha256);
        let Some(trust) = Trust::walk(&chain, root)? else { return Err(no_trust(&client)) };
        let now = context.clock.now();
        client.check_clock(now)?;
        let mut next = trust.document().next(now);
        edit(&mut next)?;
        self.next.limit(&mut next);
        let mut draft = Draft::begin(chain, root, &next)?;
        sign_here(&mut draft, &self.key, context)?;
        self.next.settle(&draft, &client, told, context).await
    }
}

impl NextArgs {
    /// Lets the document end when that was asked for.
    pub(super) fn limit(&self, next: &mut TrustDocument) {
        if let Some(days) = self.expires {
            let span = SignedDuration::from_hours(i64::from(days) * 24);
            next.expires = next.issued.saturating_add(span).unwrap_or(next.expires);
        }
    }

    /// Publishes a draft that is complete, or writes it down.
    pub(super) async fn settle(
        &self,
        draft: &Draft,
        client: &ExchangeClient,
        told: Value,
        context: &Context,
    ) -> Result<(), CliError> {
        if self.draft.is_none() && draft.finish().is_ok() {
            return put(draft, client, told, context).await;
        }
        let usual = || format!("trust-{}-{}.draft.json", client.org(), draft.after().version);
        let file = self.draft.clone().unwrap_or_else(|| usual().into());
        write_draft(&file, draft, Existing::Keep)?;
        tell_draft(draft, &file, told, context);
        Ok(())
    }
}

/// Makes a complete draft the organization's trust.
pub(super) async fn put(
    draft: &Draft,
    client: &ExchangeClient,
    told: Value,
    context: &Context,
) -> Result<(), CliError> {
    client.put_trust(draft.envelope()).await?;
    let (version, pin) = (draft.after().version, draft.pin());
    let names = KeyNames::read(context);
    let object = joined(json!({"ok": true, "published": true}), joined(object(draft), told));
    context.output.result(&object, || {
        if draft.before().is_none() {
            // For scripts: nodes are registered with it.
            return pin.to_string();
        }
        let changes = changes_in_words(&draft.changes(), &names);
        format!("trust version {version} is in force\n{changes}")
    });
    if draft.before().is_none() {
        context
            .output
            .next(format!("edgepost publish FILE; nodes register with --trust-sha256 {pin}"));
    }
    Ok(())
}

/// Says what a draft in a file changes, who has signed it, and what is to be done with it.
pub(super) fn tell_draft(draft: &Draft, file: &Path, told: Value, context: &Context) {
    let (names, file) = (KeyNames::read(context), file.display().to_string());
    let object = joined(json!({"ok": true, "published": false, "file": file}), object(draft));
    context.output.result(&joined(object, told), || {
        let (org, version) = (&draft.after().org, draft.after().version);
        let changes = match draft.before() {
            Some(_) => changes_in_words(&draft.changes(), &names),
            None => "  it is the first version: `edgepost trust show FILE` says what it allows\n"
                .to_owned(),
        };
        let signatures = signatures_in_words(draft, &names);
        format!("{file}: trust version {version} of {org}\n{changes}{signatures}")
    });
    if draft.finish().is_ok() {
        context.output.next(format!("edgepost trust publish {file}"));
    } else {
        let pin = draft.before().map(|_| format!(" --trust-sha256 {}", draft.pin()));
        let pin = pin.unwrap_or_default();
        context.output.next(format!(
            "give {file} to those who are missing: edgepost trust sign {file} --key KEY{pin}"
        ));
    }
}

/// What a draft is, for machines.
pub(super) fn object(draft: &Draft) -> Value {
    json!({
        "org": draft.after().org,
        "version": draft.after().version,
        "pin": draft.pin().to_string(),
        "changes": draft.changes(),
        "signatures": draft.tallies(),
        "complete": draft.finish().is_ok(),
    })
}

/// An object with the members of another.
fn joined(mut object: Value, more: Value) -> Value {
    if let (Some(members), Value::Object(more)) = (object.as_object_mut(), more) {
        members.extend(more);
    }
    object
}
