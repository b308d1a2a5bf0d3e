//! What is on the disk after commits that succeed, and after commits that fail at each point.

use serde_json::json;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use super::*;
use crate::{agent::testing::Publisher, trust::TrustPin};

/// What a node keeps that has accepted everything of `publisher`.
fn everything(publisher: &mut Publisher, before: &Kept) -> Kept {
    let stamp = publisher.stamp();
    let stamp = publisher.trust.open_stamp(&stamp, Publisher::now()).unwrap();
    let bytes = publisher.catalog.to_bytes();
    let (marks, _) =
        before.marks.admit(&publisher.trust, &stamp, &bytes, Publisher::now()).unwrap();
    let documents = publisher.envelopes.clone();
    Kept { marks, trust: vec![publisher.first.clone()], catalog: Some(bytes), documents }
}

/// A file that holds one service, and the state that follows with a second one.
struct Lab {
    folder: tempfile::TempDir,
    file: MarksFile,
    first: Kept,
    second: Kept,
    pin: TrustPin,
}

impl Lab {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::new();
        publisher.service("web", "1.0.0", &json!({}));
        let (mut file, nothing) = MarksFile::open(&folder.path().join("marks.db")).await.unwrap();
        assert_eq!(nothing, Kept::default());
        let first = everything(&mut publisher, &nothing);
        file.commit(&nothing, &first).await.unwrap();
        publisher.service("db", "1.0.0", &json!({}));
        let second = everything(&mut publisher, &first);
        Self { folder, file, first, second, pin: publisher.trust.pin() }
    }

    fn accepted(&self, kept: &Kept) -> Accepted {
        Accepted::restore(kept.clone(), &self.pin).unwrap().unwrap()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("marks.db")
    }

    async fn on_disk(&self) -> Kept {
        MarksFile::read(&self.path()).await.unwrap()
    }

    /// Changes the file by SQL.
    async fn sql(&self, sql: &'static str) {
        let options = SqliteConnectOptions::new().filename(self.path());
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

#[tokio::test]
async fn committed_state_is_read_after_restart() {
    let mut lab = Lab::new().await;
    assert_eq!(lab.on_disk().await, lab.first);
    let mut second = lab.second.clone();
    second.documents.retain(|key, _| key.id().starts_with("db"));
    lab.file.commit(&lab.first, &second).await.unwrap();
    assert_eq!(MarksFile::open(&lab.path()).await.unwrap().1, second);
}

#[tokio::test]
async fn older_catalog_is_refused_after_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("marks.db");
    let mut publisher = Publisher::new();
    publisher.service("web", "1.0.0", &json!({}));
    let old_stamp = publisher.stamp();
    let old_catalog = publisher.catalog.to_bytes();
    publisher.service("web", "2.0.0", &json!({}));
    let new = everything(&mut publisher, &Kept::default());
    let (mut file, nothing) = MarksFile::open(&path).await.unwrap();
    file.commit(&nothing, &new).await.unwrap();

    let kept = MarksFile::read(&path).await.unwrap();
    let stamp = publisher.trust.open_stamp(&old_stamp, Publisher::now()).unwrap();
    let refusal =
        kept.marks.admit(&publisher.trust, &stamp, &old_catalog, Publisher::now()).unwrap_err();
    assert_eq!(refusal.attack(), "rollback");
}

/// What makes a commit fail, and what makes it succeed again: a statement after which SQLite ends the
/// transaction by itself, as it does when the disk is full, and a COMMIT that leaves the transaction open.
const FAULTS: [(&str, &str); 3] = [
    (
        "CREATE TRIGGER fault BEFORE UPDATE ON counters BEGIN SELECT RAISE(ROLLBACK, 'full'); END",
        "DROP TRIGGER fault",
    ),
    (
        "CREATE TRIGGER fault AFTER INSERT ON documents BEGIN SELECT RAISE(ROLLBACK, 'full'); END",
        "DROP TRIGGER fault",
    ),
    (
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
         CREATE TRIGGER fault AFTER INSERT ON marks BEGIN INSERT INTO child VALUES (1); END",
        "DROP TRIGGER fault; DROP TABLE child; DROP TABLE parent",
    ),
];

#[tokio::test]
async fn commit_after_failed_commit_is_durable() {
    for (fault, repair) in FAULTS {
        let mut lab = Lab::new().await;
        let mut held = lab.accepted(&lab.first);
        lab.sql(fault).await;
        for _ in 0..2 {
            let new = lab.accepted(&lab.second);
            lab.file.accept(&mut held, new).await.unwrap_err();
            assert_eq!((&held.kept, &lab.on_disk().await), (&lab.first, &lab.first), "{fault}");
        }
        lab.sql(repair).await;
        let new = lab.accepted(&lab.second);
        lab.file.accept(&mut held, new).await.unwrap();
        assert_eq!((&held.kept, &lab.on_disk().await), (&lab.second, &lab.second), "{fault}");
    }
}

#[tokio::test]
async fn state_on_disk_counts_after_commit_with_unknown_outcome() {
    let mut lab = Lab::new().await;
    let mut held = lab.accepted(&lab.first);
    lab.sql(FAULTS[0].0).await;
    let new = lab.accepted(&lab.second);
    lab.file.commit(&held.kept, &new.kept).await.unwrap_err();
    lab.sql(FAULTS[0].1).await;
    // The commit reached the disk although it was reported as failed.
    let (mut other, first) = MarksFile::open(&lab.path()).await.unwrap();
    other.commit(&first, &lab.second).await.unwrap();
    lab.file.recover(&mut held).await.unwrap();
    assert_eq!(held.kept, lab.second);
}

#[tokio::test]
async fn commit_that_is_not_on_disk_is_not_accepted() {
    let mut lab = Lab::new().await;
    let mut held = lab.accepted(&lab.first);
    lab.sql(
        "CREATE TRIGGER fault AFTER INSERT ON documents BEGIN DELETE FROM marks WHERE document LIKE 'service/db%'; END",
    )
    .await;
    let new = lab.accepted(&lab.second);
    let error = lab.file.accept(&mut held, new).await.unwrap_err();
    assert!(matches!(error, MarksError::NotKept { .. }), "{error:?}");
    assert_eq!(held.kept, lab.on_disk().await);
}

#[tokio::test]
async fn file_of_newer_agent_is_not_touched() {
    let lab = Lab::new().await;
    lab.sql("PRAGMA user_version = 99").await;
    assert!(matches!(MarksFile::open(&lab.path()).await, Err(MarksError::Newer { found: 99, .. })));
    lab.sql("PRAGMA user_version = 1").await;
    assert_eq!(lab.on_disk().await, lab.first);
}

#[tokio::test]
async fn file_with_write_ahead_log_of_earlier_agent_is_read_whole() {
    let lab = Lab::new().await;
    let options = SqliteConnectOptions::new()
        .filename(lab.path())
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    let mut connection = options.connect().await.unwrap();
    sqlx::query("DELETE FROM documents").execute(&mut connection).await.unwrap();
    // A copy of the folder is what a kill leaves: a log that was not applied.
    let copy = lab.folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for name in ["marks.db", "marks.db-wal"] {
        std::fs::copy(lab.folder.path().join(name), copy.join(name)).unwrap();
    }
    let (_, kept) = MarksFile::open(&copy.join("marks.db")).await.unwrap();
    assert_eq!(kept, Kept { documents: BTreeMap::new(), ..lab.first.clone() });
    assert!(!copy.join("marks.db-wal").exists());
}
