//! Somebody with the publisher's key, or with the exchange's database and its online key.

use std::{fs, path::Path};

use edgepost::{
    sign::{Envelope, SigningKey},
    trust::{Catalog, CatalogEntry, Stamp, StampedCatalog, State, Statement},
    types::{Digest, DocumentKey},
};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::hub::Hub;

/// What stands under `key`, changed by `change`, with a higher number, honestly signed by the publisher.
pub fn signed_again(hub: &Hub, key: &str, change: impl FnOnce(&mut Value)) -> Envelope {
    let envelope = newest(hub, key);
    let mut statement: Statement<Value> =
        serde_json::from_slice(envelope.payload()).expect("it is a statement");
    statement.header.seq += 1;
    change(&mut statement.body);
    let pem = fs::read_to_string(hub.folder().join("home/keys/default.key.pem"));
    let signing = SigningKey::from_pem(&pem.expect("the publisher has a key")).expect("of ours");
    statement.seal(&[&signing]).expect("it can be sealed")
}

/// The newest envelope of `key`, as the exchange gives it.
pub fn newest(hub: &Hub, key: &str) -> Envelope {
    let (status, body) = hub.get(&format!("/v1/orgs/acme/edgepost/documents?key={key}"));
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    Envelope::from_json(&body).expect("it is an envelope")
}

/// The newest stamp.
pub fn stamp(hub: &Hub) -> Stamp {
    let (status, body) = hub.get("/v1/orgs/acme/edgepost/stamp");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let envelope = Envelope::from_json(&body).expect("it is an envelope");
    serde_json::from_slice(envelope.payload()).expect("it is a stamp")
}

/// Lists `envelope` in the database of the exchange, in a catalog and stamp that its own key vouches for.
pub fn list(data: &Path, envelope: &Envelope) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime.block_on(list_in(data, envelope)).expect("the theft goes well");
}

/// Puts `envelope` into the database of the exchange as version `version` of the trust document.
pub fn follow(data: &Path, version: i64, envelope: &Envelope) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let options = SqliteConnectOptions::new().filename(data.join("exchange.db"));
    let insert = async {
        let mut database = SqliteConnection::connect_with(&options).await?;
        let sql = "INSERT INTO trusts (org, version, sha256, envelope, last_updated) \
                   VALUES ('acme', $1, $2, $3, 0)";
        let row = sqlx::query(sql).bind(version).bind(envelope.digest().hex());
        row.bind(envelope.to_json()).execute(&mut database).await
    };
    let inserted: Result<_, sqlx::Error> = runtime.block_on(insert);
    inserted.expect("the theft goes well");
}

/// Lets the exchange show `envelope` to whoever asks for `key`.
pub fn show(data: &Path, key: &str, envelope: &Envelope) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let options = SqliteConnectOptions::new().filename(data.join("exchange.db"));
    let replace = async {
        let mut database = SqliteConnection::connect_with(&options).await?;
        let sql = "UPDATE signed_documents SET envelope = $1 WHERE document_key = $2 \
                   AND seq = (SELECT MAX(seq) FROM signed_documents WHERE document_key = $2)";
        let changed = sqlx::query(sql).bind(envelope.to_json()).bind(key);
        changed.execute(&mut database).await.map(|it| it.rows_affected())
    };
    let changed: Result<u64, sqlx::Error> = runtime.block_on(replace);
    assert_eq!(changed.expect("the theft goes well"), 1, "{key} was published");
}

/// Lets the exchange tell something else than what changed in its catalogs.
pub fn misreport_changes(data: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let options = SqliteConnectOptions::new().filename(data.join("exchange.db"));
    let change = async {
        let mut database = SqliteConnection::connect_with(&options).await?;
        let changed = sqlx::query("UPDATE catalog_changes SET seq = seq + 1");
        changed.execute(&mut database).await.map(|it| it.rows_affected())
    };
    let changed: Result<u64, sqlx::Error> = runtime.block_on(change);
    assert_ne!(changed.expect("the theft goes well"), 0, "something was published");
}

async fn list_in(data: &Path, envelope: &Envelope) -> Result<(), Box<dyn std::error::Error>> {
    let options = SqliteConnectOptions::new().filename(data.join("exchange.db"));
    let mut database = SqliteConnection::connect_with(&options).await?;
    let header = serde_json::from_slice::<Statement<Value>>(envelope.payload())?.header;
    let (document, sha256): (DocumentKey, Digest) = (header.key(), envelope.digest());
    sqlx::query(
        "INSERT INTO signed_documents \
         (org, sha256, document_key, epoch, seq, owner, envelope, last_updated) \
         VALUES ('acme', $1, $2, $3, $4, 'thief', $5, 0)",
    )
    .bind(sha256.hex())
    .bind(document.to_string())
    .bind(i64::try_from(header.epoch)?)
    .bind(i64::try_from(header.seq)?)
    .bind(envelope.to_json())
    .execute(&mut database)
    .await?;
    let (epoch, seq, state) = (header.epoch, header.seq, header.state);
    let entry = CatalogEntry { epoch, seq, sha256, state };
    list_all(data, &mut database, [(document, entry)]).await
}

/// Lists as many services that nobody has ever seen.
pub fn fill(data: &Path, count: usize) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let options = SqliteConnectOptions::new().filename(data.join("exchange.db"));
    let entry = |number: usize| {
        let key = format!("service/sensor-{number}_1.0.0_amd64");
        let sha256 = Digest::of(key.as_bytes());
        let entry = CatalogEntry { epoch: 0, seq: 1, sha256, state: State::Active };
        (key.parse().expect("it is a key"), entry)
    };
    let listed = async {
        let mut database = SqliteConnection::connect_with(&options).await?;
        list_all(data, &mut database, (0..count).map(entry)).await
    };
    runtime.block_on(listed).expect("the exchange takes them");
}

/// Lists these in a new catalog, and vouches for it.
async fn list_all(
    data: &Path,
    database: &mut SqliteConnection,
    entries: impl IntoIterator<Item = (DocumentKey, CatalogEntry)>,
) -> Result<(), Box<dyn std::error::Error>> {
    let key = SigningKey::from_pem(&fs::read_to_string(data.join("stamp-key.pem"))?)?;
    let sql = "SELECT content FROM catalogs WHERE org = 'acme' ORDER BY version DESC LIMIT 1";
    let bytes: Vec<u8> = sqlx::query_scalar(sql).fetch_one(&mut *database).await?;
    let mut catalog = Catalog::from_bytes(&bytes)?;
    catalog.version += 1;
    catalog.entries.extend(entries);
    let (bytes, version) = (catalog.to_bytes(), i64::try_from(catalog.version)?);
    sqlx::query("INSERT INTO catalogs (org, version, content) VALUES ('acme', $1, $2)")
        .bind(version)
        .bind(&bytes)
        .execute(&mut *database)
        .await?;
    let sql = "SELECT envelope FROM stamps WHERE org = 'acme'";
    let honest: Vec<u8> = sqlx::query_scalar(sql).fetch_one(&mut *database).await?;
    let honest: Stamp = serde_json::from_slice(Envelope::from_json(&honest)?.payload())?;
    let length = bytes.len() as u64;
    let catalog = StampedCatalog { version: catalog.version, sha256: Digest::of(&bytes), length };
    let stamp = Stamp { seq: honest.seq + 1, catalog, ..honest };
    sqlx::query(
        "UPDATE stamps SET seq = $1, catalog_version = $2, envelope = $3 WHERE org = 'acme'",
    )
    .bind(i64::try_from(stamp.seq)?)
    .bind(version)
    .bind(stamp.seal(&key).to_json())
    .execute(&mut *database)
    .await?;
    Ok(())
}
