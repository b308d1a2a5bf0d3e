//! The change feed that waits.

use std::time::{Duration, Instant};

use super::*;
use crate::exchange::api::{ChangesResponse, Resource};

fn resources(told: &ChangesResponse) -> Vec<Resource> {
    told.changes.iter().map(|change| change.resource.clone()).collect()
}

#[tokio::test]
async fn a_publish_wakes_a_waiting_node_at_once() {
    let lab = Lab::start().await;
    let (node, _) = lab.node("n1", "").await;
    let from = lab.ada.newest_change().await.unwrap() + 1;
    let waiting = tokio::spawn(async move {
        let told = node.changes(from, Duration::from_secs(30)).await.unwrap();
        (told, Instant::now())
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());

    lab.publish(lab.hello(1, "Hello")).await.unwrap();
    let published = Instant::now();
    let (told, woken) = waiting.await.unwrap();
    assert!(resources(&told).contains(&Resource::Service), "{told:?}");
    let late = woken.saturating_duration_since(published);
    assert!(late < Duration::from_millis(200), "{late:?}");

    // A pattern, a policy and a new trust wake it too; Horizon's feed would not tell a node.
    let from = told.most_recent_change_id + 1;
    let pattern = Subject::Pattern("p".parse().unwrap());
    let pattern = lab.sealed(pattern, 1, State::Active, &pattern_body(&["hello"]));
    lab.publish(pattern).await.unwrap();
    let (node, _) = lab.node("n2", "").await;
    let told = node.changes(from, Duration::from_secs(30)).await.unwrap();
    assert!(resources(&told).contains(&Resource::Pattern), "{told:?}");
}

#[tokio::test]
async fn nobody_who_waits_holds_up_the_end_of_the_server() {
    let lab = Lab::start().await;
    let (ada, from) = (lab.ada.clone(), lab.ada.newest_change().await.unwrap() + 1);
    let waiting = tokio::spawn(async move { ada.changes(from, Duration::from_secs(30)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begun = Instant::now();
    lab.server.shutdown().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(waiting.await.unwrap().unwrap().changes.is_empty());
}

#[tokio::test]
async fn a_wait_for_nothing_ends_in_time() {
    let lab = Lab::start().await;
    let from = lab.ada.newest_change().await.unwrap() + 1;
    let begun = Instant::now();
    let told = lab.ada.changes(from, Duration::from_secs(1)).await.unwrap();
    assert!(told.changes.is_empty());
    assert_eq!(told.most_recent_change_id + 1, from);
    assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(3));
    let told = lab.ada.changes_now(1, 1000).await.unwrap();
    assert!(resources(&told).contains(&Resource::Trust), "{told:?}");
}
