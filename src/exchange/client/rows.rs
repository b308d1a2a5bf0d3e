//! Rows: what both exchanges keep of a document in Horizon's form, whatever its kind.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Call, ExchangeClient, ExchangeError, call::Answer};
use crate::types::{DocumentKey, DocumentKind};

impl ExchangeClient {
    /// The rows of a kind that the caller may see, by `org/id`.
    ///
    /// # Errors
    /// As of every request.
    pub async fn rows(&self, kind: DocumentKind) -> Result<BTreeMap<String, Value>, ExchangeError> {
        let shelf = shelf_of(kind);
        match self.transport.find(Call::get(&self.in_org(shelf.path))).await? {
            Some(answer) => Ok(shelved(&answer, &shelf)?.into_iter().collect()),
            None => Ok(BTreeMap::new()),
        }
    }

    /// The row of a document, if there is one.
    ///
    /// # Errors
    /// As of every request.
    pub async fn row(&self, key: &DocumentKey) -> Result<Option<Value>, ExchangeError> {
        let shelf = shelf_of(key.kind());
        match self.transport.find(Call::get(&self.place(&shelf, key))).await? {
            Some(answer) => Ok(shelved(&answer, &shelf)?.into_iter().next().map(|(_, row)| row)),
            None => Ok(None),
        }
    }

    /// Makes a row of what a document's `to_horizon` gives.
    ///
    /// # Errors
    /// [`ExchangeError::Conflict`] if there is one of this name.
    pub async fn create_row(&self, key: &DocumentKey, row: &Value) -> Result<(), ExchangeError> {
        let shelf = shelf_of(key.kind());
        let path = match key.kind() {
            // The exchange names a service by what the row says.
            DocumentKind::Service => self.in_org(shelf.path),
            _ => self.place(&shelf, key),
        };
        self.transport.send(Call::post(&path).json(row)?).await.map(drop)
    }

    /// Replaces a row by what a document's `to_horizon` gives.
    ///
    /// # Errors
    /// [`ExchangeError::NotFound`] if there is none of this name.
    pub async fn replace_row(&self, key: &DocumentKey, row: &Value) -> Result<(), ExchangeError> {
        let path = self.place(&shelf_of(key.kind()), key);
        self.transport.send(Call::put(&path).json(row)?).await.map(drop)
    }

    /// Removes a row and what hangs on it; whether there was one. A signed document of it stays in
    /// the catalog until it is withdrawn.
    ///
    /// # Errors
    /// As of every request.
    pub async fn remove_row(&self, key: &DocumentKey) -> Result<bool, ExchangeError> {
        let path = self.place(&shelf_of(key.kind()), key);
        Ok(self.transport.find(Call::delete(&path)).await?.is_some())
    }

    fn place<'a>(&'a self, shelf: &Shelf, key: &'a DocumentKey) -> Vec<&'a str> {
        self.in_org(&[shelf.path, &[key.id()]].concat())
    }
}

/// Where Horizon's API has the rows of a kind.
struct Shelf {
    /// The path of all of them, below the organization.
    path: &'static [&'static str],
    /// The member of the answer that holds them by `org/id`.
    member: &'static str,
}

fn shelf_of(kind: DocumentKind) -> Shelf {
    match kind {
        DocumentKind::Service => Shelf { path: &["services"], member: "services" },
        DocumentKind::Pattern => Shelf { path: &["patterns"], member: "patterns" },
        DocumentKind::Policy => Shelf { path: &["business", "policies"], member: "businessPolicy" },
    }
}

/// The rows of an answer.
fn shelved(answer: &Answer, shelf: &Shelf) -> Result<Map<String, Value>, ExchangeError> {
    let Value::Object(rows) = answer.json::<Value>()?[shelf.member].take() else {
        return Err(answer.malformed(&format!("it has no `{}`", shelf.member)));
    };
    Ok(rows)
}
