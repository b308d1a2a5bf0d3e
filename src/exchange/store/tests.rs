//! Claims about the store that no single request shows.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    AccountProof, AccountState, Audience, CallerAccount, HorizonName, Ownership, Permit, Since,
    Store, StoreError, UserRecord,
};
use crate::{
    exchange::api::{OrgLimits, OrgRequest, PatternRequest},
    types::OrgId,
};

fn now() -> Timestamp {
    "2026-01-21T10:00:00Z".parse().unwrap()
}

fn org(label: &str) -> OrgRequest {
    OrgRequest {
        org_type: String::new(),
        label: label.to_owned(),
        description: String::new(),
        tags: None,
        limits: OrgLimits::default(),
        heartbeat_intervals: crate::exchange::api::HeartbeatIntervals::default(),
    }
}

async fn create(store: &Store, id: &OrgId, label: &str) -> Result<(), StoreError> {
    store.create_org(id, Permit::of_server(|_| Ok(org(label))), now()).await
}

#[tokio::test]
async fn writers_take_turns_and_changes_are_numbered_in_the_order_they_become_visible() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("e.db")).await.unwrap();
    let id = "A".parse::<OrgId>().unwrap();
    create(&store, &id, "0").await.unwrap();
    let count =
        |held: Option<OrgRequest>| Ok::<_, StoreError>(org(&format!("{}+", held.unwrap().label)));
    let writers = (0..50).map(|_| {
        let (store, id) = (store.clone(), id.clone());
        tokio::spawn(async move { store.change_org(&id, Permit::of_server(count), now()).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    let held = store.org(&id).await.unwrap().unwrap();
    assert_eq!(held.value.label.len(), 51);
    let told = store.changes(&id, &Audience::User, Since::Change(1), 1000).await.unwrap();
    let ids = told.changes[0].resource_changes.iter().map(|it| it.change_id).collect::<Vec<_>>();
    assert_eq!(ids, (1..=51).collect::<Vec<_>>());
    assert_eq!(told.most_recent_change_id, 51);
}

#[tokio::test]
async fn one_of_two_creations_wins() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("e.db")).await.unwrap();
    let id = "A".parse::<OrgId>().unwrap();
    let (first, second) = tokio::join!(create(&store, &id, "a"), create(&store, &id, "b"));
    assert!(first.is_ok() != second.is_ok());
    assert_eq!(store.newest_change().await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_not_committed_is_not_there_and_tells_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("e.db")).await.unwrap();
    let (id, mut newest) = ("A".parse::<OrgId>().unwrap(), store.watch());
    let mut write = store.write(now()).await.unwrap();
    write.create_org(&id, &org("a")).await.unwrap();
    drop(write);
    assert!(store.org(&id).await.unwrap().is_none());
    assert!(!newest.has_changed().unwrap());
    create(&store, &id, "a").await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), newest.changed()).await.unwrap().unwrap();
    assert_eq!(*newest.borrow(), 1);
}

#[tokio::test]
async fn a_store_opened_again_knows_what_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("e.db");
    let id = "A".parse::<OrgId>().unwrap();
    let store = Store::open(&file).await.unwrap();
    create(&store, &id, "a").await.unwrap();
    store.close().await;
    let store = Store::open(&file).await.unwrap();
    assert_eq!(store.org(&id).await.unwrap().unwrap().value, org("a"));
    assert_eq!(*store.watch().borrow(), 1);
    assert_eq!(store.prune_changes("2026-01-22T10:00:00Z".parse().unwrap()).await.unwrap(), 1);
    assert_eq!(store.newest_change().await.unwrap(), 1);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("e.db");
    let store = Store::open(&file).await.unwrap();
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9998, 'a', TRUE, x'00', 0), (9999, 'b', TRUE, x'00', 0)";
    sqlx::query(newer).execute(&store.writer).await.unwrap();
    store.close().await;
    let error = Store::open(&file).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 9999, .. }), "{error:?}");
    assert!(error.to_string().contains("written by a newer version"), "{error}");
}

/// A store with the organization `A` and its plain users `ann` and `mal`, whose password hash is `h`.
struct People {
    store: Store,
    org: OrgId,
    _folder: tempfile::TempDir,
}

impl People {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("e.db")).await.unwrap();
        let org = "A".parse().unwrap();
        create(&store, &org, "A").await.unwrap();
        let people = Self { store, org, _folder: folder };
        for name in ["ann", "mal"] {
            people.put_user(name, "h", false).await;
        }
        people
    }

    async fn put_user(&self, name: &str, hash: &str, admin: bool) {
        let user = record(hash, admin);
        let permit = Permit::of_server(|_| Ok::<_, StoreError>(user));
        self.store
            .write_user(&self.org, &name.parse().unwrap(), "A/x", permit, now())
            .await
            .unwrap();
    }

    async fn owner(&self) -> Option<String> {
        let held = self.store.ownership::<PatternRequest>(&self.org, "p").await.unwrap();
        held.map(|it| it.owner)
    }
}

fn record(hash: &str, admin: bool) -> UserRecord {
    UserRecord { password_hash: hash.to_owned(), admin, hub_admin: false, email: String::new() }
}

fn pattern(label: &str) -> PatternRequest {
    serde_json::from_value(serde_json::json!({"label": label, "services": []})).unwrap()
}

fn proof(name: &str, hash: &str) -> AccountProof {
    AccountProof::Password { user: name.parse().unwrap(), hash: hash.to_owned() }
}

/// A plain user may change what it owns, and what does not exist.
fn owner_only(held: Option<&Ownership>, name: &str) -> Result<(), StoreError> {
    match held {
        Some(held) if held.owner != name => Err(StoreError::Unfit { msg: held.owner.clone() }),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn decision_sees_the_row_that_was_created_while_the_write_waited() {
    let people = People::start().await;
    let mut creation = people.store.write(now()).await.unwrap();
    // The removal waits for the only writer; whatever its caller read before is of no effect.
    let (store, org) = (people.store.clone(), people.org.clone());
    let removal = tokio::spawn(async move {
        let proof = proof("mal", "h");
        let account = CallerAccount { org: &org, proof: &proof };
        let permit = Permit::of(account, |_, name: Option<HorizonName<Ownership>>| {
            owner_only(name.and_then(|it| it.row).as_ref(), "A/mal")
        });
        store.remove::<PatternRequest, _>(&org, "p", permit, now()).await
    });
    tokio::task::yield_now().await;
    creation.create(&people.org, "p", "A/ann", &pattern("ann")).await.unwrap();
    creation.commit().await.unwrap();
    let refused = removal.await.unwrap().unwrap_err();
    assert!(matches!(&refused, StoreError::Unfit { msg } if msg == "A/ann"), "{refused:?}");
    assert_eq!(people.owner().await.as_deref(), Some("A/ann"));
}

#[tokio::test]
async fn account_that_is_gone_or_has_another_password_writes_nothing() {
    let people = People::start().await;
    for (name, hash) in [("mal", "old"), ("gone", "h")] {
        let proof = proof(name, hash);
        let account = CallerAccount { org: &people.org, proof: &proof };
        let permit = Permit::of(account, |_, _| Ok(pattern("mal")));
        let refused: Result<(), StoreError> =
            people.store.create(&people.org, "p", "A/mal", permit, now()).await;
        assert!(matches!(refused, Err(StoreError::AccountGone)), "{refused:?}");
    }
    assert_eq!(people.owner().await, None);
}

#[tokio::test]
async fn demoted_administrator_is_a_plain_user_in_the_transaction() {
    let people = People::start().await;
    people.put_user("mal", "h", true).await;
    let mut demotion = people.store.write(now()).await.unwrap();
    let (store, org) = (people.store.clone(), people.org.clone());
    let change = tokio::spawn(async move {
        let proof = proof("mal", "h");
        let account = CallerAccount { org: &org, proof: &proof };
        let permit = Permit::of(account, |state, held: Option<OrgRequest>| match state {
            AccountState::User(user) if user.admin => Ok(held.unwrap()),
            _ => Err(StoreError::Unfit { msg: "no administrator".to_owned() }),
        });
        store.change_org(&org, permit, now()).await
    });
    tokio::task::yield_now().await;
    let mal = "mal".parse().unwrap();
    demotion.put_user(&people.org, &mal, &record("h", false), "A/x").await.unwrap();
    demotion.commit().await.unwrap();
    assert!(matches!(change.await.unwrap(), Err(StoreError::Unfit { .. })));
}

#[test]
fn only_maintenance_writes_without_a_permit() {
    // The permit itself, and what runs for no caller: pruning, heartbeats, stamps, and the change of the vault's key,
    // which rewrites rows without changing them.
    let unguarded = ["catalogs.rs", "changes.rs", "heartbeats.rs", "permit.rs", "rekey.rs"];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/exchange/store");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name == "tests.rs" || path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let begins = text.contains("self.write(") || text.contains("self.write_essential(");
        assert_eq!(begins, unguarded.contains(&name.as_str()), "{name}");
    }
}

/// SQLite ends a transaction by itself when it finds no space; sqlx does not notice. With the connection kept in use,
/// every later commit would be one of a savepoint, or fail.
#[tokio::test]
async fn a_transaction_that_found_no_space_does_not_stop_later_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("e.db");
    let store = Store::open(&file).await.unwrap();
    let newest = store.watch();
    let long = "x".repeat(500_000);
    for attempt in 0..3 {
        // For this connection the disk is full.
        let sql = "PRAGMA max_page_count = 1";
        sqlx::query(sql).execute(&store.writer).await.unwrap();
        let failed = create(&store, &"A".parse().unwrap(), &long).await.unwrap_err();
        assert!(failed.is_disk_full(), "attempt {attempt}: {failed:?}");
        assert_eq!(*newest.borrow(), attempt);
        let id = format!("B{attempt}").parse::<OrgId>().unwrap();
        create(&store, &id, "b").await.unwrap();
        assert_eq!(*newest.borrow(), attempt + 1);
        assert_eq!(store.condition(), super::Condition::Normal);
    }
    store.close().await;
    let store = Store::open(&file).await.unwrap();
    for attempt in 0..3 {
        let id = format!("B{attempt}").parse::<OrgId>().unwrap();
        assert!(store.org(&id).await.unwrap().is_some(), "what was committed is stored");
    }
    assert_eq!(store.newest_change().await.unwrap(), 3);
}

#[tokio::test]
async fn deleted_rows_give_their_space_back_and_older_databases_learn_to() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("e.db");
    let store = Store::open(&file).await.unwrap();
    // As earlier versions made it.
    let older = "PRAGMA auto_vacuum = NONE; VACUUM";
    sqlx::raw_sql(older).execute(&store.writer).await.unwrap();
    store.close().await;

    let store = Store::open(&file).await.unwrap();
    let mode: i64 =
        sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&store.writer).await.unwrap();
    assert_eq!(mode, 2);
    let long = "x".repeat(1 << 20);
    let ids: Vec<OrgId> = (0..12).map(|it| format!("A{it}").parse().unwrap()).collect();
    for id in &ids {
        create(&store, id, &long).await.unwrap();
    }
    for id in &ids {
        let permit = Permit::of_server(|_| Ok::<_, StoreError>(()));
        store.delete_org(id, permit, now()).await.unwrap();
    }
    for _ in 0..32 {
        store.maintain().await.unwrap();
    }
    let length = std::fs::metadata(&file).unwrap().len();
    assert!(length < 3 << 20, "{length} bytes are left of 12 MiB");
    assert_eq!(store.newest_change().await.unwrap(), 24);
}

#[tokio::test]
async fn heartbeats_that_cannot_be_written_are_written_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("e.db")).await.unwrap();
    let (org, node) = ("A".parse().unwrap(), "n".parse().unwrap());
    store.note_heartbeat(&org, &node, now());
    sqlx::raw_sql("ALTER TABLE nodes RENAME TO gone").execute(&store.writer).await.unwrap();
    assert!(store.write_heartbeats(now()).await.is_err());
    sqlx::raw_sql("ALTER TABLE gone RENAME TO nodes").execute(&store.writer).await.unwrap();
    assert_eq!(store.heartbeats.len(), 1);
    store.write_heartbeats(now()).await.unwrap();
    assert_eq!(store.heartbeats.len(), 0);
}

#[tokio::test]
async fn whatever_decides_about_credentials_raises_the_number_of_the_organization() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("e.db")).await.unwrap();
    let id = "A".parse::<OrgId>().unwrap();
    let version = async || store.snapshot().await.unwrap().entitlement_version(&id).await.unwrap();
    let run = async |sql: &'static str| {
        let before = version().await;
        let mut write = store.write(now()).await.unwrap();
        sqlx::query(sql).execute(write.sql()).await.unwrap();
        write.commit().await.unwrap();
        version().await - before
    };
    assert_eq!(version().await, 0);
    create(&store, &id, "a").await.unwrap();
    for raises in [
        "INSERT INTO users (org, id, name, password_hash, admin, hub_admin, email, updated_by, last_updated) \
         VALUES ('A', 'u', 'A/u', '', 0, 0, '', '', 0)",
        "UPDATE users SET admin = 1",
        "INSERT INTO services (org, id, owner, url, version, arch, public, document, created, last_updated) \
         VALUES ('A', 's', 'A/u', 's', '1', 'amd64', 0, '{}', 0, 0)",
        "UPDATE services SET document = '{ }'",
        "INSERT INTO service_policies VALUES ('A', 's', '{}', 0)",
        "UPDATE service_policies SET document = '{ }'",
        "DELETE FROM service_policies",
        "INSERT INTO patterns (org, id, owner, public, document, created, last_updated) \
         VALUES ('A', 'p', 'A/u', 0, '{}', 0, 0)",
        "UPDATE patterns SET document = '{ }'",
        "DELETE FROM patterns",
        "INSERT INTO policies (org, id, owner, public, document, created, last_updated) \
         VALUES ('A', 'p', 'A/u', 0, '{}', 0, 0)",
        "UPDATE policies SET document = '{ }'",
        "INSERT INTO signed_documents VALUES ('A', '00', 'policy/p', 1, 1, 'A/u', x'', 0)",
        "UPDATE signed_documents SET envelope = x'00'",
        "DELETE FROM signed_documents",
        "UPDATE orgs SET unsigned_documents = 'counted'",
        "UPDATE orgs SET node_credentials = 'members'",
        // What the user owns goes with the user.
        "DELETE FROM users",
        "DELETE FROM orgs",
    ] {
        assert!(run(raises).await > 0, "{raises}");
    }
    create(&store, &id, "a").await.unwrap();
    for leaves in ["UPDATE users SET password_hash = 'x'", "UPDATE orgs SET last_updated = 1"] {
        assert_eq!(run(leaves).await, 0, "{leaves}");
    }
}
