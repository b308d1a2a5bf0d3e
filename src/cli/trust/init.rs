//! `edgepost trust init`: the first trust document.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    change::NextArgs,
    keys::{public_keys, sign_here},
};
use crate::{
    cli::{Context, code, error::CliError, key::DEFAULT_KEY},
    exchange::client::ExchangeClient,
    sign::VerifyingKey,
    trust::{Draft, Rotation, TrustDocument, TrustRoot},
    types::{DocumentKind, OrgId},
};

/// Make the first trust document: by one key for everything, or by root keys of several people
///
/// One person:       edgepost trust init
/// Several people:   edgepost trust init --root ann.pem --root bob.pem --root eve.pem --threshold 2 --signer release
///
/// A key is named by the name that `edgepost key list` shows, or by a PEM file with its public half, which its
/// owner prints by `edgepost key show`. Where the keys of this machine are too few, a draft is written for the
/// others to sign; `edgepost trust publish` sends it then.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(in crate::cli) struct InitArgs {
    /// The key that signs it here: its name or file; repeatable with --root. Without --root it may sign everything
    #[arg(short, long, value_name = "KEY", env = "EDGEPOST_KEY")]
    key: Vec<String>,
    /// A root key, which takes part in every later change: its name, or its public half as PEM; repeatable
    #[arg(long, value_name = "KEY", requires = "signer")]
    root: Vec<String>,
    /// How many of the root keys must sign each change
    #[arg(long, value_name = "N", requires = "root", value_parser = clap::value_parser!(u32).range(1..=8))]
    threshold: Option<u32>,
    /// A key that may sign every document, beside or instead of the root keys: its name or PEM; repeatable
    #[arg(long, value_name = "KEY", requires = "root")]
    signer: Vec<String>,
    #[command(flatten)]
    next: NextArgs,
}

impl InitArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let client = context.client()?;
        let now = context.clock.now();
        if self.root.is_empty() {
            self.by_one_key(&client, now, context).await
        } else {
            self.by_several(&client, now, context).await
        }
    }

    async fn by_one_key(
        &self,
        client: &ExchangeClient,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), CliError> {
        let name = match self.key.as_slice() {
            [] => DEFAULT_KEY,
            [name] => name,
            _ => {
                return Err(CliError::new(code::USAGE, "one key makes it, or root keys do")
                    .help("name the root keys: --root KEY --root KEY --threshold N --signer KEY"));
            }
        };
        let key = context.keys().read(name)?;
        refuse_second(client).await?;
        let stamp = client.stamp_key().await?;
        client.check_clock(now)?;
        let org = client.org().clone();
        let first = TrustDocument::single_key(org, &key.verifying_key(), &stamp, now);
        let draft = self.draft(first, &[name.to_owned()], context)?;
        context.output.note("keep the key safe: what it signs, your nodes run");
        self.next.settle(&draft, client, json!({"keyId": key.key_id()}), context).await
    }

    async fn by_several(
        &self,
        client: &ExchangeClient,
        now: Timestamp,
        context: &Context,
    ) -> Result<(), CliError> {
        let (roots, signers) =
            (public_keys(&self.root, context)?, public_keys(&self.signer, context)?);
        let threshold = match (self.threshold, roots.len()) {
            (Some(threshold), _) => threshold,
            (None, 1) => 1,
            (None, count) => {
                let what = format!("how many of the {count} root keys must sign is not said");
                return Err(CliError::new(code::USAGE, what).help("add --threshold N"));
            }
        };
        refuse_second(client).await?;
        let stamp = client.stamp_key().await?;
        client.check_clock(now)?;
        let first = first_of(client.org(), (&roots, threshold), &signers, &stamp, now)?;
        let draft = self.draft(first, &self.key, context)?;
        context
            .output
            .note("keep the root keys apart, and offline: enough of them change everything");
        self.next.settle(&draft, client, Value::Null, context).await
    }

    fn draft(
        &self,
        mut first: TrustDocument,
        keys: &[String],
        context: &Context,
    ) -> Result<Draft, CliError> {
        self.next.limit(&mut first);
        let mut draft = Draft::begin(Vec::new(), TrustRoot::FirstSeen, &first)?;
        sign_here(&mut draft, keys, context)?;
        Ok(draft)
    }
}

/// The first version with these root keys, and these keys for every document.
fn first_of(
    org: &OrgId,
    (roots, threshold): (&[VerifyingKey], u32),
    signers: &[VerifyingKey],
    stamp: &VerifyingKey,
    now: Timestamp,
) -> Result<TrustDocument, CliError> {
    let [owner, ..] = roots else {
        return Err(CliError::new(code::USAGE, "there is no root key").help("add --root KEY"));
    };
    let mut first = TrustDocument::single_key(org.clone(), owner, stamp, now);
    first.rules.clear();
    for kind in DocumentKind::KNOWN {
        first.grant(kind, "", signers, None)?;
    }
    // The owner is a root key already: with one root key of threshold 1 nothing is left to change.
    if roots.len() > 1 || threshold > 1 {
        let add = roots.to_vec();
        first.rotate(&Rotation { add, remove: Vec::new(), threshold: Some(threshold) })?;
    }
    Ok(first)
}

/// An organization has one chain of trust.
async fn refuse_second(client: &ExchangeClient) -> Result<(), CliError> {
    if client.newest_trust().await?.is_none() {
        return Ok(());
    }
    let what = format!("organization {} has a trust document", client.org());
    Err(CliError::new(code::CONFLICT, what)
        .help("`edgepost trust show` shows it; nodes trust no other"))
}
