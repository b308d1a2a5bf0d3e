//! Claims about the store that no single request shows.

use std::time::Duration;

use jiff::Timestamp;

use super::{Audience, Since, Store, StoreError};
use crate::{
    exchange::api::{OrgLimits, OrgRequest},
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

#[tokio::test]
async fn writers_take_turns_and_changes_are_numbered_in_the_order_they_become_visible() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("e.db")).await.unwrap();
    let id = "A".parse::<OrgId>().unwrap();
    store.create_org(&id, &org("0"), now()).await.unwrap();
    let count = |held: OrgRequest| Ok::<_, StoreError>(org(&format!("{}+", held.label)));
    let writers = (0..50).map(|_| {
        let (store, id) = (store.clone(), id.clone());
        tokio::spawn(async move { store.change_org(&id, count, now()).await })
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
    let (a, b) = (org("a"), org("b"));
    let (first, second) =
        tokio::join!(store.create_org(&id, &a, now()), store.create_org(&id, &b, now()),);
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
    store.create_org(&id, &org("a"), now()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), newest.changed()).await.unwrap().unwrap();
    assert_eq!(*newest.borrow(), 1);
}

#[tokio::test]
async fn a_store_opened_again_knows_what_it_knew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("e.db");
    let id = "A".parse::<OrgId>().unwrap();
    let store = Store::open(&file).await.unwrap();
    store.create_org(&id, &org("a"), now()).await.unwrap();
    store.close().await;
    let store = Store::open(&file).await.unwrap();
    assert_eq!(store.org(&id).await.unwrap().unwrap().value, org("a"));
    assert_eq!(*store.watch().borrow(), 1);
    assert_eq!(store.prune_changes("2026-01-22T10:00:00Z".parse().unwrap()).await.unwrap(), 1);
    assert_eq!(store.newest_change().await.unwrap(), 1);
}
