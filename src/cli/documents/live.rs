//! What is live under a name: the signed document, which nodes go by, or else the row of Horizon's API.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::noun::{Noun, absent};
use crate::{
    cli::{Context, code, error::CliError},
    exchange::client::ExchangeClient,
    trust::{Catalog, Stamp, State, Statement},
    types::DocumentKind,
};

/// What is live under a name. No signature is verified here.
pub(super) enum Live {
    /// The body of an active signed document, with its sequence number.
    Signed(Value, u64),
    /// A row that Horizon's API made, which no document signs.
    Row(Value),
}

impl Live {
    /// What is live under the name of `noun`, if anything is.
    pub(super) async fn find<N: Noun>(
        noun: &N,
        client: &ExchangeClient,
    ) -> Result<Option<Self>, CliError> {
        if client.is_edgepost().await?
            && let Some(envelope) = client.newest_document(&noun.key()).await?
        {
            let statement: Statement<Value> = serde_json::from_slice(envelope.payload())
                .map_err(|error| unreadable(noun).because(&error))?;
            if statement.header.state == State::Active {
                return Ok(Some(Self::Signed(statement.body, statement.header.seq)));
            }
            // What is withdrawn has no row, unless another takes its place: a node's first policy.
        }
        Ok(noun.row(client).await?.map(Self::Row))
    }
}

fn unreadable<N: Noun>(noun: &N) -> CliError {
    CliError::new(code::ANSWER, format!("the published {} cannot be read", noun.key()))
}

/// What `show` prints: what is live, in Horizon's form, and whether a document signs it. An exchange of Horizon's
/// own has no place for signed documents, and nothing is said about them there.
pub(super) async fn shown<N: Noun>(noun: &N, context: &Context) -> Result<Value, CliError> {
    let client = context.client()?;
    let is_edgepost = client.is_edgepost().await?;
    let live = Live::find(noun, &client).await?.ok_or_else(|| absent(noun))?;
    let (mut shown, signed) = match live {
        Live::Row(row) => (row, Value::Bool(false)),
        Live::Signed(body, seq) => (over_row(noun, body, &client).await?, json!({"seq": seq})),
    };
    if is_edgepost && let Some(members) = shown.as_object_mut() {
        members.insert(SIGNED.to_owned(), signed);
    }
    Ok(shown)
}

/// The member of a row that says whether a document signs it.
pub(super) const SIGNED: &str = "signed";

/// What a document says, over the members that the exchange adds to its row.
async fn over_row<N: Noun>(
    noun: &N,
    body: Value,
    client: &ExchangeClient,
) -> Result<Value, CliError> {
    let said = N::signed(body).filter(|it| !it.is_null()).ok_or_else(|| absent(noun))?;
    let row = noun.row(client).await?;
    if let (DocumentKind::NodePolicy, Some(row)) = (noun.key().kind(), &row) {
        // The exchange puts what the node measures beside what is signed.
        return Ok(row.clone());
    }
    let said: N::Written =
        serde_json::from_value(said).map_err(|error| unreadable(noun).because(&error))?;
    let mut shown = row.unwrap_or_else(|| json!({}));
    // The exchange describes a service by its label where the document has no description.
    let filled_in = shown.get("description").filter(|it| shown.get("label") == Some(it)).cloned();
    if let (Some(shown), Value::Object(said)) = (shown.as_object_mut(), N::to_horizon(&said)) {
        let is_described = said.get("description").is_some_and(|it| it != "");
        shown.extend(said);
        if let (false, Some(description)) = (is_described, filled_in) {
            shown.insert("description".to_owned(), description);
        }
    }
    Ok(shown)
}

/// The documents of an organization that are signed and active, by their keys; `None` of an exchange of Horizon's
/// own. No signature is verified here.
pub(super) async fn signed_documents(
    kind: DocumentKind,
    client: &ExchangeClient,
) -> Result<Option<BTreeSet<String>>, CliError> {
    if !client.is_edgepost().await? {
        return Ok(None);
    }
    let stamp = match client.stamp().await {
        Ok(stamp) => stamp,
        // The organization has no trust yet, so that nothing is signed.
        Err(error) if error.is_not_found() => return Ok(Some(BTreeSet::new())),
        Err(error) => return Err(error.into()),
    };
    let malformed = || CliError::new(code::ANSWER, "the exchange's timestamp cannot be read");
    let stamp: Stamp =
        serde_json::from_slice(stamp.payload()).map_err(|error| malformed().because(&error))?;
    let catalog = Catalog::from_bytes(&client.catalog(stamp.catalog.version).await?)?;
    let active = catalog
        .entries
        .into_iter()
        .filter(|(key, entry)| key.kind() == kind && entry.state == State::Active);
    Ok(Some(active.map(|(key, _)| key.id().to_owned()).collect()))
}
