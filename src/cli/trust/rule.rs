//! `edgepost trust add`, `remove` and `new-epoch`: the rules for who may sign which documents.

use clap::Args;
use serde_json::json;

use super::{
    change::ChangeArgs,
    keys::{key_ids, public_keys},
};
use crate::{
    cli::{Context, code, error::CliError, key::DEFAULT_KEY},
    sign::VerifyingKey,
    types::DocumentKind,
};

/// Which rule is meant.
#[derive(Debug, Args)]
struct RuleArgs {
    /// The kind: service, pattern, policy or node-policy
    kind: DocumentKind,
    /// How the names begin that the rule is for; without it, the rule for every name. `hello_` is for service hello alone
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
}

/// Let keys sign documents of a kind, by the next version of the trust document
///
/// A team for its own services:      edgepost trust add service --prefix acme.com/sensors/ --signer team.pem --trust-sha256 PIN
/// Two people together, always:      edgepost trust add pattern --signer ann --signer bob.pem --threshold 2 --trust-sha256 PIN
///
/// Of the rules that cover a name, the one with the longest prefix alone decides: who is to go on signing names
/// that get a rule of their own must be named by it, too. A rule that is there gets the keys beside its own.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct AddArgs {
    #[command(flatten)]
    rule: RuleArgs,
    /// A key that may sign: its name, or its public half as PEM; repeatable. Without it, the key that signs the change
    #[arg(long, value_name = "KEY")]
    signer: Vec<String>,
    /// How many of the rule's keys must sign together; without it, one, or as many as before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    threshold: Option<u32>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Remove a rule, or keys of one, by the next version of the trust document
///
/// A key of a rule:     edgepost trust remove service --prefix acme.com/sensors/ --signer KEY --trust-sha256 PIN
/// The whole rule:      edgepost trust remove service --prefix acme.com/sensors/ --trust-sha256 PIN
///
/// What no rule covers any longer cannot be signed by anybody, and what was signed by it stops on the nodes.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct RemoveArgs {
    #[command(flatten)]
    rule: RuleArgs,
    /// A key that may sign no longer: its name, its public half as PEM, or its id; repeatable. Without it, the whole rule goes
    #[arg(long, value_name = "KEY")]
    signer: Vec<String>,
    /// How many of the keys that stay must sign together
    #[arg(long, value_name = "N", requires = "signer", value_parser = clap::value_parser!(u32).range(1..=16))]
    threshold: Option<u32>,
    #[command(flatten)]
    change: ChangeArgs,
}

/// End an epoch: what was signed by a rule until now no longer counts
///
/// After a theft:     edgepost trust new-epoch service --prefix acme.com/sensors/ --trust-sha256 PIN
///
/// Whatever the rule covers stops on the nodes until its publishers have published it again. It helps where a
/// thief has signed something with so high a number that nothing could ever follow it.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct NewEpochArgs {
    #[command(flatten)]
    rule: RuleArgs,
    #[command(flatten)]
    change: ChangeArgs,
}

impl AddArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let RuleArgs { kind, prefix } = &self.rule;
        if !DocumentKind::KNOWN.contains(kind) {
            let known = DocumentKind::KNOWN.map(|it| it.to_string()).join(", ");
            return Err(CliError::new(code::USAGE, format!("`{kind}` is no kind of document"))
                .help(format!("one of {known}")));
        }
        let signers = if self.signer.is_empty() {
            let own = self.change.key.first().map_or(DEFAULT_KEY, String::as_str);
            public_keys(&[own.to_owned()], context)?
        } else {
            public_keys(&self.signer, context)?
        };
        let first = signers.first().map(VerifyingKey::key_id);
        let told = json!({"kind": kind, "prefix": prefix, "keyId": first});
        let grant = self
            .change
            .carry_out(told, context, |next| next.grant(*kind, prefix, &signers, self.threshold));
        grant.await
    }
}

impl RemoveArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let RuleArgs { kind, prefix } = &self.rule;
        let signers = key_ids(&self.signer, context)?;
        let told = json!({"kind": kind, "prefix": prefix});
        let removal = self.change.carry_out(told, context, |next| {
            if signers.is_empty() {
                next.remove_rule(*kind, prefix)
            } else {
                next.remove_signers(*kind, prefix, &signers, self.threshold)
            }
        });
        removal.await
    }
}

impl NewEpochArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let RuleArgs { kind, prefix } = &self.rule;
        let told = json!({"kind": kind, "prefix": prefix});
        self.change.carry_out(told, context, |next| next.raise_epoch(*kind, prefix)).await
    }
}
