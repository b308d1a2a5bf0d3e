//! What `service`, `pattern` and `policy` have in common: verifying and removing a signed document.

use clap::Args;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::{
    cli::{
        Context, code,
        error::CliError,
        key::{DEFAULT_KEY, read_key},
        trust::walk_trust,
    },
    exchange::client::ExchangeClient,
    publish::Publisher,
    trust::{Catalog, Marks, Trust, TrustPin, TrustRoot, Verified},
    types::DocumentKey,
};

/// Which document to show
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Its name, as `list` shows it
    pub name: String,
}

/// Which document to verify, and against which trust
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Its name, as `list` shows it
    pub name: String,
    /// The pin of the organization's trust; without it the exchange's word is taken for the first trust document
    #[arg(long, value_name = "HEX")]
    pub trust_sha256: Option<TrustPin>,
}

/// Which document to remove
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Its name, as `list` shows it
    pub name: String,
    /// The key that signs the withdrawal: its name or file
    #[arg(short, long, default_value = DEFAULT_KEY, env = "EDGEPOST_KEY")]
    pub key: String,
    /// Really remove it
    #[arg(short, long)]
    pub force: bool,
}

/// Shows a document as the exchange has it.
pub(super) fn show<T: Serialize>(
    noun: &str,
    name: &str,
    document: Option<&T>,
    context: &Context,
) -> Result<(), CliError> {
    let document = document.ok_or_else(|| {
        CliError::new(code::NOT_FOUND, format!("there is no {noun} {name}"))
            .help(format!("`edgepost {noun} list` shows what there is"))
    })?;
    context.output.document(document);
    Ok(())
}

/// Verifies a document as a node would: trust chain, stamp, catalog, signatures.
pub(super) async fn verify<T: DeserializeOwned>(
    key: &DocumentKey,
    args: &VerifyArgs,
    context: &Context,
) -> Result<Verified<T>, CliError> {
    let client = context.client()?;
    let (trust, catalog) = read_trust(&client, args.trust_sha256.as_ref(), context).await?;
    let entry = catalog.entries.get(key).ok_or_else(|| {
        CliError::new(code::NOT_FOUND, format!("{key} is not in the organization's catalog"))
            .help("was it published by hzn? Then it has Horizon's signature alone")
    })?;
    let verified: Verified<T> =
        catalog.open(&trust, &client.document(&entry.sha256).await?, key)?;
    verified.check_active()?;
    Ok(verified)
}

/// The organization's newest trust, and the catalog that its fresh stamp pins.
pub(super) async fn read_trust(
    client: &ExchangeClient,
    pin: Option<&TrustPin>,
    context: &Context,
) -> Result<(Trust, Catalog), CliError> {
    let root = pin.map_or(TrustRoot::FirstSeen, |pin| TrustRoot::Pinned(*pin));
    let trust = walk_trust(client, root).await?;
    if root == TrustRoot::FirstSeen {
        let pin = trust.pin();
        context
            .output
            .note(format!("note: taking the exchange's word for the trust; its pin is {pin}"));
    }
    let now = context.clock.now();
    let stamp = trust.open_stamp(&client.stamp().await?, now)?;
    let bytes = client.catalog(stamp.catalog.version).await?;
    // Marks that have seen nothing: whoever asks here remembers nothing, and judges what is shown now.
    let (_, catalog) = Marks::default().admit(&trust, &stamp, &bytes, now)?;
    Ok((trust, catalog))
}

/// Withdraws a document: a signed tombstone takes its place.
pub(super) async fn remove(
    key: &DocumentKey,
    args: &RemoveArgs,
    context: &Context,
) -> Result<(), CliError> {
    context.confirm(args.force, &key.to_string())?;
    let signing = read_key(&context.environment.keys(), &args.key)?;
    let client = context.client()?;
    let publisher =
        Publisher::new(client.org().clone(), client, vec![signing], context.clock.clone());
    if !publisher.withdraw(key).await? {
        return Err(CliError::new(code::NOT_FOUND, format!("{key} is not published")));
    }
    context.output.result(&json!({"ok": true, "withdrawn": key}), || key.to_string());
    Ok(())
}
