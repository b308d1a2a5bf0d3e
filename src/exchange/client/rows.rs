//! Rows: what both exchanges keep of a document in Horizon's form, whatever its kind.

use std::{collections::BTreeMap, future::ready};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Map, Value};

use super::{Call, ExchangeClient, ExchangeError, call::Answer, node_profiles::AT_ONCE};
use crate::types::{DocumentKey, DocumentKind};

impl ExchangeClient {
    /// The rows of a kind that the caller may see, by `org/id`.
    ///
    /// # Errors
    /// As of every request.
    pub async fn rows(&self, kind: DocumentKind) -> Result<BTreeMap<String, Value>, ExchangeError> {
        if kind == DocumentKind::NodePolicy {
            return self.node_policy_rows().await;
        }
        let Some(place) = Shelf::of(kind) else { return Ok(BTreeMap::new()) };
        match self.transport.find(Call::get(&self.in_org(place.path))).await? {
            Some(answer) => Ok(shelved(&answer, &place)?.into_iter().collect()),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Each node has its own, and there is no list of them: some are asked for at a time.
    async fn node_policy_rows(&self) -> Result<BTreeMap<String, Value>, ExchangeError> {
        let asked = self.nodes().await?.into_keys().map(|name| async move {
            let id = name.rsplit('/').next().unwrap_or_default();
            let call = Call::get(&self.in_org(&["nodes", id, "policy"]));
            let row = self.transport.find(call).await?.map(|it| it.json()).transpose()?;
            Ok::<_, ExchangeError>(row.map(|row| (name, row)))
        });
        let found = stream::iter(asked).buffered(AT_ONCE);
        found.try_filter_map(|row| ready(Ok(row))).try_collect().await
    }

    /// The row of a document, if there is one.
    ///
    /// # Errors
    /// As of every request.
    pub async fn row(&self, key: &DocumentKey) -> Result<Option<Value>, ExchangeError> {
        let Some(answer) = self.transport.find(Call::get(&self.place(key)?)).await? else {
            return Ok(None);
        };
        match Shelf::of(key.kind()) {
            Some(place) => Ok(shelved(&answer, &place)?.into_iter().next().map(|(_, row)| row)),
            None => answer.json().map(Some),
        }
    }

    /// The row of the policy that hangs on a service, if it has one.
    ///
    /// # Errors
    /// As of every request.
    pub async fn service_policy_row(
        &self,
        service: &DocumentKey,
    ) -> Result<Option<Value>, ExchangeError> {
        let path = [&self.place(service)?[..], &["policy"]].concat();
        match self.transport.find(Call::get(&path)).await? {
            Some(answer) => answer.json().map(Some),
            None => Ok(None),
        }
    }

    /// Makes a row of what a document's `to_horizon` gives.
    ///
    /// # Errors
    /// [`ExchangeError::Conflict`] if there is one of this name.
    pub async fn create_row(&self, key: &DocumentKey, row: &Value) -> Result<(), ExchangeError> {
        let call = match key.kind() {
            // The exchange names a service by what the row says.
            DocumentKind::Service => Call::post(&self.in_org(&["services"])),
            DocumentKind::NodePolicy => Call::put(&self.place(key)?).query("noheartbeat", &true),
            _ => Call::post(&self.place(key)?),
        };
        self.transport.send(call.json(row)?).await.map(drop)
    }

    /// Replaces a row by what a document's `to_horizon` gives.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if there is none of this name.
    pub async fn replace_row(&self, key: &DocumentKey, row: &Value) -> Result<(), ExchangeError> {
        let call = match key.kind() {
            DocumentKind::NodePolicy => Call::put(&self.place(key)?).query("noheartbeat", &true),
            _ => Call::put(&self.place(key)?),
        };
        self.transport.send(call.json(row)?).await.map(drop)
    }

    /// Removes a row and what hangs on it; whether there was one. A signed document of it stays in
    /// the catalog until it is withdrawn.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_row(&self, key: &DocumentKey) -> Result<bool, ExchangeError> {
        Ok(self.transport.find(Call::delete(&self.place(key)?)).await?.is_some())
    }

    /// The path of a row.
    fn place<'a>(&'a self, key: &'a DocumentKey) -> Result<Vec<&'a str>, ExchangeError> {
        match (key.kind(), Shelf::of(key.kind())) {
            (_, Some(place)) => Ok(self.in_org(&[place.path, &[key.id()]].concat())),
            (DocumentKind::NodePolicy, None) => Ok(self.in_org(&["nodes", key.id(), "policy"])),
            (_, None) => Err(ExchangeError::NotFound { what: key.to_string() }),
        }
    }
}

/// Where Horizon's API has the rows of a kind.
struct Shelf {
    /// The path of all of them, below the organization.
    path: &'static [&'static str],
    /// The member of the answer that holds them by `org/id`.
    member: &'static str,
}

impl Shelf {
    /// The shelf of a kind, if its rows stand on one.
    fn of(kind: DocumentKind) -> Option<Self> {
        let (path, member): (&'static [_], _) = match kind {
            DocumentKind::Service => (&["services"], "services"),
            DocumentKind::Pattern => (&["patterns"], "patterns"),
            DocumentKind::Policy => (&["business", "policies"], "businessPolicy"),
            DocumentKind::NodePolicy | DocumentKind::Other(_) => return None,
        };
        Some(Self { path, member })
    }
}

/// The rows of an answer.
fn shelved(answer: &Answer, shelf: &Shelf) -> Result<Map<String, Value>, ExchangeError> {
    let Value::Object(rows) = answer.json::<Value>()?[shelf.member].take() else {
        return Err(answer.malformed(&format!("it has no `{}`", shelf.member)));
    };
    Ok(rows)
}
