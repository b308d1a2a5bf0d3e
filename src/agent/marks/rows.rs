//! Rows of the marks' tables, read and written.

use std::collections::BTreeMap;

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use crate::{
    sign::Envelope,
    trust::{Mark, Marks},
    types::{Digest, DocumentKey},
};

pub(super) fn envelope(bytes: &[u8]) -> Result<Envelope, String> {
    Envelope::from_json(bytes).map_err(|error| error.to_string())
}

pub(super) fn read_mark(row: &SqliteRow) -> Result<(DocumentKey, Mark), String> {
    let text = |error: sqlx::Error| error.to_string();
    let number = |column| -> Result<u64, String> {
        let number: i64 = row.try_get(column).map_err(text)?;
        u64::try_from(number).map_err(|error| error.to_string())
    };
    let key: String = row.try_get("document").map_err(text)?;
    let sha256: String = row.try_get("sha256").map_err(text)?;
    let sha256: Digest = sha256.parse().map_err(|_| format!("digest of {key}"))?;
    let listed = row.try_get("listed").map_err(text)?;
    let mark = Mark { epoch: number("epoch")?, seq: number("seq")?, sha256, listed };
    Ok((key.parse().map_err(|_| format!("document {key}"))?, mark))
}

/// SQLite's integers are signed; trust refuses numbers above 2^53 long before this.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) async fn put_counters(
    connection: &mut SqliteConnection,
    marks: &Marks,
    catalog: &[u8],
) -> Result<(), sqlx::Error> {
    // The marks of documents have rows of their own.
    let counters = Marks { documents: BTreeMap::new(), ..marks.clone() };
    let counters = serde_json::to_string(&counters);
    sqlx::query(
        "INSERT INTO counters (id, marks, catalog) VALUES (1, $1, $2)
         ON CONFLICT (id) DO UPDATE SET marks = excluded.marks, catalog = excluded.catalog",
    )
    .bind(counters.map_err(|error| sqlx::Error::Encode(Box::new(error)))?)
    .bind(catalog)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn put_mark(
    connection: &mut SqliteConnection,
    key: &DocumentKey,
    mark: &Mark,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO marks (document, epoch, seq, sha256, listed) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (document) DO UPDATE
         SET epoch = excluded.epoch, seq = excluded.seq, sha256 = excluded.sha256,
             listed = excluded.listed",
    )
    .bind(key.to_string())
    .bind(integer(mark.epoch))
    .bind(integer(mark.seq))
    .bind(mark.sha256.to_string())
    .bind(mark.listed)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds the next versions behind those that are kept.
pub(super) async fn put_trust(
    connection: &mut SqliteConnection,
    trust: &[Envelope],
) -> Result<(), sqlx::Error> {
    for envelope in trust {
        sqlx::query(
            "INSERT INTO trust (version, envelope)
             VALUES ((SELECT COALESCE(MAX(version), 0) + 1 FROM trust), $1)",
        )
        .bind(envelope.to_json())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn put_document(
    connection: &mut SqliteConnection,
    key: &DocumentKey,
    envelope: &Envelope,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO documents (document, envelope) VALUES ($1, $2)
         ON CONFLICT (document) DO UPDATE SET envelope = excluded.envelope",
    )
    .bind(key.to_string())
    .bind(envelope.to_json())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn delete_mark(
    connection: &mut SqliteConnection,
    key: &DocumentKey,
) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("DELETE FROM marks WHERE document = $1").bind(key.to_string());
    delete.execute(connection).await.map(|_| ())
}

pub(super) async fn delete_document(
    connection: &mut SqliteConnection,
    key: &DocumentKey,
) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("DELETE FROM documents WHERE document = $1").bind(key.to_string());
    delete.execute(connection).await.map(|_| ())
}
