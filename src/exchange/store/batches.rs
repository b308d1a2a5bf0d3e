//! Lists, read a batch at a time in the order of organization and id.
//!
//! A batch is bounded by bytes: first the lengths of the next rows are read, then as many rows as fit. No
//! statement stays open between two batches.

use std::fmt;

use sqlx::{QueryBuilder, Row as _, sqlite::SqliteRow};

use super::{Db, Store, StoreError};

/// The most bytes of documents in a batch, unless one document alone is longer.
const BATCH: i64 = 128 << 10;
/// The most rows in a batch.
const MOST_ROWS: u32 = 256;

/// The place of a row in its table: organization and id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowKey {
    /// The organization.
    pub org: String,
    /// The name there.
    pub id: String,
}

impl RowKey {
    /// Reads `org/id`.
    pub fn parse(text: &str) -> Option<Self> {
        let (org, id) = text.split_once('/')?;
        Some(Self { org: org.to_owned(), id: id.to_owned() })
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.org, self.id)
    }
}

/// Rows of a list in their order.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) rows: Vec<SqliteRow>,
    /// The last row that was looked at, unless the list ends with it.
    pub(super) next: Option<RowKey>,
}

impl Store {
    /// The next rows after `after` of a table with the columns `org`, `id` and `document`, of those that
    /// `narrow` leaves.
    pub(super) async fn batch(
        &self,
        table: &'static str,
        narrow: impl Fn(&mut QueryBuilder<Db>),
        after: Option<&RowKey>,
    ) -> Result<Batch, StoreError> {
        let rows_after = |columns: &str| {
            let mut query = QueryBuilder::<Db>::new("SELECT ");
            query.push(columns).push(" FROM ").push(table).push(" WHERE ");
            narrow(&mut query);
            if let Some(RowKey { org, id }) = after {
                query.push(" AND (org, id) > (").push_bind(org.clone());
                query.push(", ").push_bind(id.clone()).push(")");
            }
            query
        };
        let mut lengths = rows_after("org, id, octet_length(document) AS length");
        lengths.push(" ORDER BY org, id LIMIT ").push_bind(i64::from(MOST_ROWS));
        let lengths = lengths.build().fetch_all(self.read()).await?;
        let Some((last, is_end)) = last_of_batch(&lengths)? else {
            return Ok(Batch { rows: Vec::new(), next: None });
        };
        let mut rows = rows_after("*");
        rows.push(" AND (org, id) <= (").push_bind(last.org.clone());
        rows.push(", ").push_bind(last.id.clone()).push(") ORDER BY org, id");
        let rows = rows.build().fetch_all(self.read()).await?;
        Ok(Batch { rows, next: (!is_end).then_some(last) })
    }
}

/// The last row of the batch, and whether it is the last of the list.
fn last_of_batch(lengths: &[SqliteRow]) -> Result<Option<(RowKey, bool)>, StoreError> {
    let mut bytes = 0;
    let mut taken = None;
    for (place, row) in lengths.iter().enumerate() {
        bytes += row.try_get::<i64, _>("length")?;
        if taken.is_some() && bytes > BATCH {
            break;
        }
        taken = Some((place, row));
    }
    let Some((place, row)) = taken else { return Ok(None) };
    let key = RowKey { org: row.try_get("org")?, id: row.try_get("id")? };
    let is_end = place + 1 == lengths.len() && lengths.len() < MOST_ROWS as usize;
    Ok(Some((key, is_end)))
}
