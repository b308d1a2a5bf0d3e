//! What the services of an exchange need: every digest that any of their documents speaks of.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::GcArgs;
use crate::{
    cli::{
        Context, code,
        documents::Newest,
        error::CliError,
        output::{Notes, Output},
    },
    exchange::client::ExchangeClient,
    publish::leftovers::mentioned,
    types::{Digest, DocumentKind, OrgId, Tag},
};

/// How many documents are asked for at a time.
const AT_A_TIME: usize = 8;
/// The organization that nobody sees but who sees all.
const ROOT: &str = "root";

/// What was learned of services.
#[derive(Debug, Default)]
pub(super) struct Needed {
    /// The organizations that were asked.
    pub(super) organizations: Vec<OrgId>,
    /// How many services there are now.
    pub(super) services: usize,
    /// Every digest that they, or those before them, speak of.
    pub(super) digests: BTreeSet<Digest>,
    /// What stands in the exchange in clear, where images may be named by tags.
    rows: String,
    /// The documents that have been read, which never change.
    read: BTreeMap<Digest, BTreeSet<Digest>>,
}

impl Needed {
    /// Asks the exchange. Whatever it does not show is an error: nothing is guessed.
    pub(super) async fn ask(args: &GcArgs, context: &Context) -> Result<Self, CliError> {
        let mut needed = Self::default();
        needed.refresh(args, context).await?;
        Ok(needed)
    }

    /// Asks again; what was needed stays needed. Documents that are known are not read again.
    pub(super) async fn refresh(
        &mut self,
        args: &GcArgs,
        context: &Context,
    ) -> Result<(), CliError> {
        // The second time it would only be said again.
        let notes = if self.organizations.is_empty() { context.output.notes } else { Notes::Quiet };
        let context = Context { output: Output { notes, ..context.output }, ..context.clone() };
        let client = context.client()?;
        self.organizations = organizations(args, &client).await?;
        self.services = 0;
        for org in self.organizations.clone() {
            self.of_organization(&client.about(org), args, &context).await?;
        }
        Ok(())
    }

    /// Whether a service names an image by this tag.
    pub(super) fn names(&self, path: &str, tag: &Tag) -> bool {
        self.rows.contains(&format!("{path}:{tag}"))
    }

    async fn of_organization(
        &mut self,
        client: &ExchangeClient,
        args: &GcArgs,
        context: &Context,
    ) -> Result<(), CliError> {
        // What Horizon's calls have put there has no signed document.
        let rows = client.rows(DocumentKind::Service).await?;
        self.services += rows.len();
        for row in rows.values() {
            let row = row.to_string();
            self.digests.extend(mentioned(row.as_bytes()));
            if !self.rows.contains(&row) {
                self.rows.push_str(&row);
                self.rows.push('\n');
            }
        }
        if !client.is_edgepost().await? {
            return if args.count.forget_withdrawn { Ok(()) } else { Err(forgetful(client)) };
        }
        if client.newest_trust().await?.is_none() {
            return Ok(());
        }
        let newest = Newest::ask(client, &args.pin, context).await?;
        let entries = newest.catalog.entries.iter();
        let services = entries.filter(|(key, _)| key.kind() == DocumentKind::Service);
        let mut wanted: BTreeSet<Digest> = services.map(|(_, entry)| entry.sha256).collect();
        if !args.count.forget_withdrawn {
            let history = client.document_history(DocumentKind::Service).await?;
            let history = history.ok_or_else(|| forgetful(client))?;
            wanted.extend(history.into_iter().map(|it| it.sha256));
        }
        self.read(client, wanted).await
    }

    /// Reads documents by their digests: each is what it was asked for as.
    async fn read(
        &mut self,
        client: &ExchangeClient,
        wanted: BTreeSet<Digest>,
    ) -> Result<(), CliError> {
        let unread: Vec<Digest> =
            wanted.iter().filter(|it| !self.read.contains_key(it)).copied().collect();
        let documents: Vec<(Digest, BTreeSet<Digest>)> = stream::iter(unread)
            .map(|sha256| async move {
                let envelope = client.document(&sha256).await?;
                if envelope.digest() != sha256 {
                    return Err(CliError::new(
                        code::CONTENT,
                        "a document is not the one asked for",
                    )
                    .at(client.url())
                    .why(format!("expected {sha256}, received {}", envelope.digest())));
                }
                Ok((sha256, mentioned(envelope.payload())))
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        self.read.extend(documents);
        for sha256 in wanted {
            self.digests.extend(self.read.get(&sha256).into_iter().flatten());
        }
        Ok(())
    }
}

/// Whose services count.
async fn organizations(args: &GcArgs, client: &ExchangeClient) -> Result<Vec<OrgId>, CliError> {
    if args.count.alone {
        return Ok(vec![client.org().clone()]);
    }
    let all = client.orgs().await?;
    if !all.keys().any(|org| org.as_str() == ROOT) {
        return Err(CliError::new(
            code::EXCHANGE_DENIED,
            "not every organization of the exchange is shown to this user",
        )
        .at(client.url())
        .why("another organization's services may need what lies in the same repositories")
        .help("ask as root; or say --alone, if no other organization publishes into them"));
    }
    Ok(all.into_keys().collect())
}

fn forgetful(client: &ExchangeClient) -> CliError {
    CliError::new(
        code::ANSWER,
        format!("what was withdrawn or replaced in {} is not told by this exchange", client.org()),
    )
    .at(client.url())
    .why("a node that has not heard of it yet may still need it")
    .help("say --forget-withdrawn if every node has what is published now")
}
