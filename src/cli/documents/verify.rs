//! Verifying a document as a node would: trust chain, stamp, catalog, signatures.

use clap::Args;
use serde_json::{Value, json};

use super::{
    live::Live,
    noun::{Noun, absent},
};
use crate::{
    cli::{
        Context, code,
        error::CliError,
        trust::{PinArgs, walk_trust},
    },
    exchange::client::ExchangeClient,
    trust::{Catalog, Marks, Trust, Verified, VerifiedStamp},
};

/// Against which trust to verify.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    pin: PinArgs,
}

/// The newest state of the organization, verified as a node would.
pub(in crate::cli) struct Newest {
    pub(in crate::cli) trust: Trust,
    pub(in crate::cli) stamp: VerifiedStamp,
    pub(in crate::cli) catalog: Catalog,
}

impl Newest {
    /// Asks the exchange for it.
    pub(in crate::cli) async fn ask(
        client: &ExchangeClient,
        pin: &PinArgs,
        context: &Context,
    ) -> Result<Self, CliError> {
        let trust = walk_trust(client, pin.root()).await?;
        if !pin.is_given() {
            let pin = trust.pin();
            let note = format!("note: taking the exchange's word for the trust; its pin is {pin}");
            context.output.note(note);
        }
        let now = context.clock.now();
        let stamp = trust.open_stamp(&client.stamp().await?, now)?;
        let bytes = client.catalog(stamp.catalog.version).await?;
        // Marks that have seen nothing: whoever asks here remembers nothing, and judges what is shown now.
        let (_, catalog) = Marks::default().admit(&trust, &stamp, &bytes, now)?;
        Ok(Self { trust, stamp, catalog })
    }
}

/// Verifies a document as a node would.
pub(in crate::cli) async fn verify<N: Noun>(
    noun: &N,
    args: &VerifyArgs,
    context: &Context,
) -> Result<Verified<N::Signed>, CliError> {
    let client = context.client()?;
    if !client.is_edgepost().await? {
        return Err(unsigned(noun, &client).await?);
    }
    let newest = Newest::ask(&client, &args.pin, context).await?;
    let key = noun.key();
    let Some(entry) = newest.catalog.entries.get(&key) else {
        return Err(unsigned(noun, &client).await?);
    };
    let envelope = client.document(&entry.sha256).await?;
    // What is withdrawn need not say anything else.
    newest.catalog.open::<Value>(&newest.trust, &envelope, &key)?.check_active()?;
    let verified = newest.catalog.open(&newest.trust, &envelope, &key)?;
    if N::is_in(verified.body()) { Ok(verified) } else { Err(absent(noun)) }
}

/// The row of a name that has no active signed document: what Horizon's calls have put there.
///
/// # Errors
/// That there is nothing of this name.
pub(in crate::cli) async fn unsigned_row<N: Noun>(
    noun: &N,
    context: &Context,
) -> Result<Option<Value>, CliError> {
    match Live::find(noun, &context.client()?).await? {
        Some(Live::Row(row)) => Ok(Some(row)),
        Some(Live::Signed(..)) => Ok(None),
        None => Err(absent(noun)),
    }
}

/// Nothing of ours signs it: it is not there, or was put there by Horizon's own calls.
async fn unsigned<N: Noun>(noun: &N, client: &ExchangeClient) -> Result<CliError, CliError> {
    let Some(row) = noun.row(client).await? else { return Ok(absent(noun)) };
    let has = |member| row[member].as_str().is_some_and(|it: &str| !it.is_empty());
    let what = format!("{} {} has no signature of its publisher", N::WORD, noun.name());
    let error = CliError::new(code::REFUSED, what);
    Ok(if has("deploymentSignature") || has("clusterDeploymentSignature") {
        error
            .why("only Horizon's signature over its deployment is there; nothing vouches for the rest")
            .help(format!("edgepost service verify {} --horizon-key FILE, with the public half of the key that signed it", noun.name()))
    } else {
        error
            .why("it was put there by Horizon's calls, and Horizon signs nothing but deployments")
            .help("publish it with edgepost, to an exchange that keeps signed documents")
    })
}

/// Says that a document's signatures hold.
pub(in crate::cli) fn tell_verified<T>(verified: &Verified<T>, context: &Context) {
    let (key, seq) = (verified.header().key(), verified.header().seq);
    context
        .output
        .result(&json!({"ok": true, "key": key, "seq": seq}), || describe_verified(verified));
}

/// A line for each text over which Horizon's signature verifies.
pub(in crate::cli) fn horizon_lines(names: &[String]) -> String {
    let lines: Vec<_> =
        names.iter().map(|it| format!("\nHorizon's signature over the {it} holds")).collect();
    lines.concat()
}

/// That a document's signatures hold, for people.
pub(in crate::cli) fn describe_verified<T>(verified: &Verified<T>) -> String {
    let (key, seq) = (verified.header().key(), verified.header().seq);
    format!("{key}: signed by keys that this organization trusts, seq {seq}")
}
