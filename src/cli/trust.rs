//! `edgepost trust`: who may sign what in the organization.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{Context, code, error::CliError, key::DEFAULT_KEY},
    exchange::client::ExchangeClient,
    trust::{Rule, Trust, TrustDocument, TrustPin, TrustRoot},
    types::DocumentKind,
};

/// Who may sign what in the organization
#[derive(Debug, Subcommand)]
pub(super) enum TrustCommand {
    /// Make the first trust document: one key for everything
    Init(InitArgs),
    /// Let a key sign one more kind of document, by the next version of the trust document
    Add(AddArgs),
    /// Show the newest trust document, and the pin that nodes register with
    Show,
}

/// Against which trust to verify
#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// The pin of the organization's trust; without it the exchange's word is taken for the first trust document
    #[arg(long, value_name = "HEX")]
    trust_sha256: Option<TrustPin>,
}

impl PinArgs {
    /// Where the walk begins.
    pub(super) fn root(&self) -> TrustRoot {
        self.trust_sha256.map_or(TrustRoot::FirstSeen, TrustRoot::Pinned)
    }

    /// Whether the exchange's word is not needed.
    pub(super) fn is_given(&self) -> bool {
        self.trust_sha256.is_some()
    }
}

/// Make the first trust document: one key for everything
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The key that signs it, and may sign everything in it: its name or file
    #[arg(short, long, default_value = DEFAULT_KEY, env = "EDGEPOST_KEY")]
    key: String,
}

/// Let a key sign one more kind of document, by the next version of the trust document
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    /// The kind: service, pattern, policy or node-policy
    kind: DocumentKind,
    /// The root key, which may sign the new kind from now on: its name or file
    #[arg(short, long, default_value = DEFAULT_KEY, env = "EDGEPOST_KEY")]
    key: String,
    /// The pin of the organization's trust: nothing is signed on the exchange's word alone
    #[arg(long, value_name = "HEX")]
    trust_sha256: TrustPin,
}

impl TrustCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Init(args) => init(args, context).await,
            Self::Add(args) => add(args, context).await,
            Self::Show => show(context).await,
        }
    }
}

async fn init(args: &InitArgs, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let key = context.keys().read(&args.key)?;
    if client.newest_trust().await?.is_some() {
        return Err(CliError::new(
            code::CONFLICT,
            format!("organization {} has a trust document", client.org()),
        )
        .help("`edgepost trust show` shows it; nodes trust no other"));
    }
    let stamp_key = client.stamp_key().await?;
    let document = TrustDocument::single_key(
        client.org().clone(),
        &key.verifying_key(),
        &stamp_key,
        context.clock.now(),
    );
    let envelope = document.seal(&[&key]).map_err(|error| {
        CliError::new(code::REFUSED, "the trust document would not be taken").because(&error)
    })?;
    client.put_trust(&envelope).await?;
    let pin = TrustPin(envelope.digest());
    context.output.note("keep the key safe: what it signs, your nodes run");
    context.output.result(
        &json!({"ok": true, "org": client.org(), "version": 1, "pin": pin.to_string(), "keyId": key.key_id()}),
        || pin.to_string(),
    );
    context.output.next(format!("edgepost publish FILE; nodes register with --trust-sha256 {pin}"));
    Ok(())
}

async fn add(args: &AddArgs, context: &Context) -> Result<(), CliError> {
    let kind = args.kind;
    if !DocumentKind::KNOWN.contains(&kind) {
        let known = DocumentKind::KNOWN.map(|it| it.to_string()).join(", ");
        return Err(CliError::new(code::USAGE, format!("`{kind}` is no kind of document"))
            .help(format!("one of {known}")));
    }
    let client = context.client()?;
    let key = context.keys().read(&args.key)?;
    let trust = walk_trust(&client, TrustRoot::Pinned(args.trust_sha256)).await?;
    let mut next = trust.document().next(context.clock.now());
    if next.rules.iter().any(|rule| rule.kind == kind && rule.prefix.is_empty()) {
        return Err(CliError::new(code::CONFLICT, format!("a rule lets every {kind} be signed"))
            .help("`edgepost trust show` shows by whom"));
    }
    let (keyids, prefix) = (BTreeSet::from([key.key_id()]), String::new());
    // Documents of an epoch that was ended once do not come back by a rule that is new.
    let epoch = next.rules.iter().map(|rule| rule.epoch).max().unwrap_or_default();
    next.keys.insert(key.key_id(), key.verifying_key());
    next.rules.push(Rule { kind, prefix, keyids, threshold: 1, epoch });
    let envelope = next.seal(&[&key]).map_err(|error| {
        CliError::new(code::REFUSED, "the trust document would not be taken").because(&error)
    })?;
    client.put_trust(&envelope).await?;
    let version = next.version;
    context.output.result(
        &json!({"ok": true, "org": client.org(), "version": version, "kind": kind, "keyId": key.key_id()}),
        || format!("trust version {version}: {} may sign every {kind}", key.key_id()),
    );
    Ok(())
}

/// The organization's newest trust, walked from its first version.
pub(super) async fn walk_trust(
    client: &ExchangeClient,
    root: TrustRoot,
) -> Result<Trust, CliError> {
    client.walk_trust(root).await?.ok_or_else(|| {
        let what = format!("organization {} has no trust document", client.org());
        CliError::new(code::NOT_FOUND, what).help("`edgepost trust init` makes one")
    })
}

async fn show(context: &Context) -> Result<(), CliError> {
    let trust = walk_trust(&context.client()?, TrustRoot::FirstSeen).await?;
    let (document, pin) = (trust.document(), trust.pin());
    context.output.result(&json!({"pin": pin.to_string(), "trust": document}), || {
        let rules = document.rules.iter().map(|rule| {
            let name = if rule.prefix.is_empty() {
                "any name".to_owned()
            } else {
                format!("names in {}", rule.prefix)
            };
            let keys = rule.keyids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
            format!("{} of {name}: {} of {keys}\n", rule.kind, rule.threshold)
        });
        format!(
            "pin {pin}\norganization {} version {} expires {}\n",
            document.org, document.version, document.expires
        ) + &rules.collect::<String>()
    });
    Ok(())
}
