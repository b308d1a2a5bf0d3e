//! `edgepost trust publish`: a draft that enough people have signed comes into force.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::{PinArgs, change::put, file::read_draft, keys::KeyNames, words::signatures_in_words};
use crate::{
    cli::{Context, code, error::CliError},
    trust::{Draft, TrustDocument, freshness::SIGNING_TOLERANCE},
    types::OrgId,
};

/// Send a draft that enough people have signed to the exchange
///
/// When all have signed:     edgepost trust publish trust-acme-2.draft.json
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct PublishArgs {
    /// The draft
    file: PathBuf,
    #[command(flatten)]
    pin: PinArgs,
}

impl PublishArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let draft = read_draft(&self.file, self.pin.root())?;
        let client = context.client()?;
        check_org(draft.after(), client.org())?;
        check_signed(&draft, context)?;
        let now = context.clock.now();
        check_times(draft.after(), now)?;
        client.newest_trust().await?;
        client.check_clock(now)?;
        put(&draft, &client, Value::Null, context).await
    }
}

fn check_org(document: &TrustDocument, org: &OrgId) -> Result<(), CliError> {
    if document.org == *org {
        return Ok(());
    }
    let what = format!("the draft is for organization {}, not for {org}", document.org);
    Err(CliError::new(code::REFUSED, what).help("name the organization: --org, or EDGEPOST_ORG"))
}

/// Refuses a draft that nodes would refuse.
fn check_signed(draft: &Draft, context: &Context) -> Result<(), CliError> {
    let Err(refusal) = draft.finish() else { return Ok(()) };
    if draft.tallies().iter().all(|tally| tally.missing() == 0) {
        return Err(refusal.into());
    }
    let words = signatures_in_words(draft, &KeyNames::read(context));
    let what = format!("trust version {} is not signed by enough", draft.after().version);
    Err(CliError::new(code::UNSIGNED, what)
        .because(&refusal)
        .details(words.lines().map(str::to_owned))
        .help("give the file to those who are missing: edgepost trust sign FILE --key KEY"))
}

/// Refuses a document whose times would harm nodes: for them it cannot be earlier than what is signed says.
fn check_times(document: &TrustDocument, now: Timestamp) -> Result<(), CliError> {
    let latest = now.saturating_add(SIGNING_TOLERANCE).unwrap_or(Timestamp::MAX);
    let refused = |what: &str, why: &str| {
        let what = format!("trust version {} {what}", document.version);
        let help = "is the clock here right? Otherwise make the draft anew";
        CliError::new(code::REFUSED, what).why(why).help(help)
    };
    if document.issued > latest {
        let why = "nodes would take its time for the present, and everything else for expired";
        return Err(refused(&format!("is issued at {}, in the future", document.issued), why));
    }
    if document.expires <= now {
        let why = "nodes take nothing new by a list that has expired";
        return Err(refused(&format!("has expired at {}", document.expires), why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SigningKey;

    #[test]
    fn a_time_that_would_harm_nodes_is_not_published() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (owner, stamp) = (SigningKey::generate(), SigningKey::generate());
        let document = TrustDocument::single_key(
            "acme".parse().unwrap(),
            &owner.verifying_key(),
            &stamp.verifying_key(),
            at("2026-11-21T10:00:00Z"),
        );
        for (now, is_good) in [
            ("2026-11-21T10:00:00Z", true),
            ("2026-11-21T09:30:00Z", true),
            ("2026-11-21T08:00:00Z", false),
            ("2027-11-20T10:00:00Z", true),
            ("2027-11-22T10:00:00Z", false),
        ] {
            assert_eq!(check_times(&document, at(now)).is_ok(), is_good, "{now}");
        }
    }
}
