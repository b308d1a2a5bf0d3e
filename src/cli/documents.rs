//! What `service`, `pattern` and `policy` have in common: publishing, showing, verifying and removing a
//! signed document.

use clap::Args;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    cli::{
        Context, code,
        error::{CliError, missing},
        key::KeyArgs,
        removal::ForceArgs,
        trust::{PinArgs, walk_trust},
    },
    exchange::client::ExchangeClient,
    publish::{DocumentPlan, Published, TrustGrade},
    trust::{Catalog, Marks, Trust, Verified, VerifiedStamp},
    types::{DocumentBody, DocumentKey},
};

/// How patterns and policies are published.
#[derive(Debug, Args)]
pub(super) struct PublishingArgs {
    #[command(flatten)]
    pub(super) keys: KeyArgs,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Which document to show
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Its name, as `list` shows it
    pub(super) name: String,
}

/// Which document to verify, and against which trust
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Its name, as `list` shows it
    pub(super) name: String,
    #[command(flatten)]
    pin: PinArgs,
}

/// Which document to remove
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Its name, as `list` shows it
    pub(super) name: String,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    force: ForceArgs,
}

/// The name alone: `list` shows names with their organization, which is the command's anyway.
pub(super) fn without_org(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, name)| name)
}

/// The newest state of the organization, verified as a node would.
pub(super) struct Newest {
    pub(super) trust: Trust,
    pub(super) stamp: VerifiedStamp,
    pub(super) catalog: Catalog,
}

impl Newest {
    /// Asks the exchange for it.
    pub(super) async fn ask(
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

/// Shows a document as the exchange has it.
pub(super) fn show<T: Serialize>(
    noun: &str,
    name: &str,
    document: Option<&T>,
    context: &Context,
) -> Result<(), CliError> {
    context.output.document(document.ok_or_else(|| missing(noun, &name))?);
    Ok(())
}

/// Verifies a document as a node would: trust chain, stamp, catalog, signatures.
pub(super) async fn verify<T: DeserializeOwned + DocumentBody>(
    key: &DocumentKey,
    args: &VerifyArgs,
    context: &Context,
) -> Result<Verified<T>, CliError> {
    let client = context.client()?;
    let newest = Newest::ask(&client, &args.pin, context).await?;
    let entry = newest.catalog.entries.get(key).ok_or_else(|| {
        CliError::new(code::NOT_FOUND, format!("{key} is not in the organization's catalog"))
            .help("was it published by hzn? Then it has Horizon's signature alone")
    })?;
    let envelope = client.document(&entry.sha256).await?;
    // What is withdrawn need not say anything else.
    newest.catalog.open::<Value>(&newest.trust, &envelope, key)?.check_active()?;
    Ok(newest.catalog.open(&newest.trust, &envelope, key)?)
}

/// Says that a document's signatures hold.
pub(super) fn tell_verified<T>(verified: &Verified<T>, context: &Context) {
    let (key, seq) = (verified.header().key(), verified.header().seq);
    context
        .output
        .result(&json!({"ok": true, "key": key, "seq": seq}), || describe_verified(verified));
}

/// That a document's signatures hold, for people.
pub(super) fn describe_verified<T>(verified: &Verified<T>) -> String {
    let (key, seq) = (verified.header().key(), verified.header().seq);
    format!("{key}: signed by keys that this organization trusts, seq {seq}")
}

/// Says what publishing a document would do.
pub(super) fn tell_plan(key: &DocumentKey, plan: DocumentPlan, context: &Context) {
    context.output.result(&json!({"key": key, "document": plan}), || match plan {
        DocumentPlan::New => format!("{key} would be published for the first time"),
        DocumentPlan::Unchanged => format!("{key} is published already, unchanged"),
        DocumentPlan::Different => format!("{key} would be published over other content"),
    });
}

/// Says what publishing a document did.
pub(super) fn tell_published(published: &Published, context: &Context) {
    context.output.result(published, || describe_published(published));
}

fn describe_published(published: &Published) -> String {
    let images = published.images.iter().map(|it| format!("{}\n", it.image));
    let how = match (published.unchanged, published.trust) {
        (true, _) => "unchanged".to_owned(),
        (false, TrustGrade::Full) => format!("published, seq {}", published.seq),
        (false, TrustGrade::Horizon) => {
            "published with Horizon-grade trust: only a service's deployment is signed".to_owned()
        }
    };
    images.collect::<String>() + &format!("{} {how}", published.key)
}

/// Withdraws a document: a signed tombstone takes its place.
pub(super) async fn remove(
    key: &DocumentKey,
    args: &RemoveArgs,
    context: &Context,
) -> Result<(), CliError> {
    args.force.confirm(key)?;
    if !args.keys.publisher(context)?.withdraw(key).await? {
        return Err(missing(&key.kind().to_string(), &args.name));
    }
    context.output.result(&json!({"ok": true, "withdrawn": key}), || key.to_string());
    Ok(())
}
