//! The key by which logins are encrypted is changed while everybody goes on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::exchange::api::SealedCredential;

/// Services of the load, each with logins for as many registries as below.
const SERVICES: usize = 30;
const REGISTRIES: usize = 60;

fn url(number: usize) -> String {
    format!("s{number}")
}

/// The logins of service `number`, in their `round`th edition.
fn logins(number: usize, round: u64) -> Vec<Credential> {
    let login = |registry: usize| {
        let token = Secret::new(format!("canary-{number}-{registry}-{round}"));
        let name = format!("r{registry}.example").parse().unwrap();
        Credential::new(name, Some("puller".to_owned()), token).unwrap()
    };
    (0..REGISTRIES).map(login).collect()
}

/// An exchange with a node that is to run all the services, each of which has its logins.
async fn loaded() -> (Lab, ExchangeClient, NodeKey) {
    let lab = Lab::start().await;
    let urls: Vec<_> = (0..SERVICES).map(url).collect();
    for (number, url) in urls.iter().enumerate() {
        let id = service(url);
        let body = service_body(&id, "Load", &json!([]));
        let envelope = lab.sealed((&id).into(), 1, State::Active, &body);
        let credentials = logins(number, 0);
        lab.ada.publish(&Publication { envelope, credentials }).await.unwrap();
    }
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let pattern = Subject::Pattern("p".parse().unwrap());
    let pattern = lab.sealed(pattern, 1, State::Active, &pattern_body(&urls));
    lab.publish(pattern).await.unwrap();
    let (node, key) = lab.node("n1", "acme/p").await;
    (lab, node, key)
}

/// Opens all logins of a service, and gives the edition that each is of.
async fn editions(node: &ExchangeClient, key: &NodeKey, number: usize) -> Vec<u64> {
    let id = service(&url(number));
    let sealed = node.sealed_credentials(&id).await.unwrap();
    assert_eq!(sealed.len(), REGISTRIES);
    let edition = |it: &SealedCredential| {
        let opened = it.open(&id, &self::node("n1"), key).unwrap();
        let token = opened.token.expose().to_owned();
        let (rest, round) = token.rsplit_once('-').unwrap();
        assert!(rest.starts_with(&format!("canary-{number}-")), "{token}");
        round.parse().unwrap()
    };
    sealed.iter().map(edition).collect()
}

fn root(lab: &Lab) -> ExchangeClient {
    client(&lab.server, "root", "root", "pw")
}

/// How often each row names each key: what is on the disk, not what the exchange says.
async fn rows_by_key(lab: &Lab) -> Vec<(i64, i64)> {
    let url = format!("sqlite://{}?mode=ro", lab.folder.path().join("exchange.db").display());
    let database = sqlx::sqlite::SqlitePool::connect(&url).await.unwrap();
    let sql = "SELECT key_version, COUNT(*) FROM dockauths GROUP BY key_version ORDER BY 1";
    sqlx::query_as(sql).fetch_all(&database).await.unwrap()
}

fn key_file(lab: &Lab) -> Vec<u8> {
    std::fs::read(lab.folder.path().join("vault.key")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_that_the_key_changes() {
    let (lab, node, key) = loaded().await;
    let rows = i64::try_from(SERVICES * REGISTRIES).unwrap();
    assert_eq!(rows_by_key(&lab).await, [(1, rows)]);
    let (ended, reads, writes) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let goes_on = || !ended.load(Ordering::Relaxed);

    let read = async |first: usize| {
        let mut number = first;
        while goes_on() {
            editions(&node, &key, number % SERVICES).await;
            reads.fetch_add(1, Ordering::Relaxed);
            number += 7;
        }
    };
    // Each has a service of its own, and reads what it wrote.
    let write = async |number: usize| {
        let mut round = 0;
        while goes_on() {
            round += 1;
            let id = service(&url(number)).exchange_id();
            let held = lab.ada.set_credentials(&id, logins(number, round)).await.unwrap();
            assert!(held.changed && held.credentials.len() == REGISTRIES);
            writes.fetch_add(1, Ordering::Relaxed);
            assert_eq!(editions(&node, &key, number).await, vec![round; REGISTRIES]);
        }
    };
    let change = async {
        let (root, mut rewritten, mut changes) = (root(&lab), 0, 0);
        while changes < 3 {
            let (mut toward, mut left) = (None, 1);
            while left > 0 {
                let step = root.rekey(toward).await.unwrap();
                assert_eq!(step.unreadable, [""; 0]);
                (toward, left) = (Some(step.key_version), step.left);
                rewritten += step.rewritten;
            }
            changes += 1;
            assert_eq!(toward, Some(changes + 1));
        }
        ended.store(true, Ordering::Relaxed);
        (changes, rewritten)
    };
    let begun = std::time::Instant::now();
    let ((changes, rewritten), ..) =
        tokio::join!(change, read(0), read(1), read(2), read(3), write(0), write(1), write(2));

    let (reads, writes) = (reads.into_inner(), writes.into_inner());
    println!(
        "{changes} changes of the key, {rewritten} rows rewritten in {:?} beside {reads} reads and {writes} writes \
         of {REGISTRIES} logins each: 0 failed",
        begun.elapsed()
    );
    assert_eq!(rows_by_key(&lab).await, [(changes + 1, rows)]);
    // One key with its number: the others are gone from the disk as well.
    assert_eq!(key_file(&lab).len(), 40);
    for number in 3..SERVICES {
        assert_eq!(editions(&node, &key, number).await, vec![0; REGISTRIES]);
    }
    assert!(reads > 10 && writes > 3 && !lab.keeps_on_disk("canary-"));
}

#[tokio::test]
async fn a_change_that_was_broken_off_is_finished_and_not_begun_anew() {
    let (lab, node, key) = loaded().await;
    let rows = i64::try_from(SERVICES * REGISTRIES).unwrap();
    let first = root(&lab).rekey(None).await.unwrap();
    assert!(first.left > 0 && first.rewritten > 0, "{first:?}");
    assert_eq!(rows_by_key(&lab).await.len(), 2);
    assert_eq!(key_file(&lab).len(), 80);

    // Another process takes over what is on the disk.
    let Lab { server, folder, clock, .. } = lab;
    server.shutdown().await;
    let config = server::ExchangeConfig::new(folder.path(), "127.0.0.1:0".parse().unwrap())
        .clock(Arc::new(clock.clone()) as Arc<dyn Clock>);
    let server = ExchangeServer::bind(config).await.unwrap();
    let auth = Auth::Node { org: acme(), id: "n1".parse().unwrap(), token: Secret::new("tok") };
    drop(node);
    let node = speak(&server, auth);
    let ada = client(&server, "acme", "ada", "pw");
    let lab = Lab { server, folder, clock, ada, publisher: SigningKey::generate() };
    for number in 0..SERVICES {
        assert_eq!(editions(&node, &key, number).await, vec![0; REGISTRIES]);
    }

    let second = root(&lab).rekey(None).await.unwrap();
    assert_eq!((second.key_version, second.left), (first.key_version, 0));
    assert_eq!(rows_by_key(&lab).await, [(2, rows)]);
    // Whoever asks once more for the same has nothing begun.
    assert_eq!(root(&lab).rekey(Some(2)).await.unwrap().key_version, 2);
    assert_eq!(key_file(&lab).len(), 40);
    assert!(lab.ada.rekey(None).await.is_err());
}

#[tokio::test]
async fn rows_that_no_key_opens_are_named_and_keep_their_key_until_they_are_set_anew() {
    let (lab, node, key) = loaded().await;
    let file = format!("sqlite://{}", lab.folder.path().join("exchange.db").display());
    let database = sqlx::sqlite::SqlitePool::connect(&file).await.unwrap();
    // Whoever can write the database exchanges the tokens of two rows, and of two services.
    let swap = "UPDATE dockauths SET token_sealed = \
        (SELECT token_sealed FROM dockauths AS other WHERE other.id = $2) WHERE id = $1";
    for (to, from) in [(1_i64, 2_i64), (61, 121)] {
        sqlx::query(swap).bind(to).bind(from).execute(&database).await.unwrap();
    }
    database.close().await;
    for number in [0, 1] {
        assert!(node.sealed_credentials(&service(&url(number))).await.is_err());
    }

    let root = root(&lab);
    let (mut toward, mut left, mut unreadable) = (None, u64::MAX, Vec::new());
    while left > 2 {
        let step = root.rekey(toward).await.unwrap();
        (toward, left, unreadable) = (Some(step.key_version), step.left, step.unreadable);
    }
    assert_eq!(left, 2);
    assert_eq!(unreadable, ["acme/s0_1.0.0_amd64: r0.example", "acme/s1_1.0.0_amd64: r0.example"]);
    assert_eq!(key_file(&lab).len(), 80);

    // One is set anew, the service of the other is published again.
    let id = service("s0").exchange_id();
    let held = lab.ada.set_credentials(&id, logins(0, 1)[..1].to_vec()).await.unwrap();
    assert_eq!(held.credentials.len(), REGISTRIES);
    let id = service("s1");
    let body = service_body(&id, "Load", &json!([]));
    let envelope = lab.sealed((&id).into(), 1, State::Active, &body);
    let credentials = logins(1, 0);
    lab.ada.publish(&Publication { envelope, credentials }).await.unwrap();
    assert_eq!(root.rekey(None).await.unwrap().left, 0);
    assert_eq!(key_file(&lab).len(), 40);
    assert_eq!(editions(&node, &key, 1).await, vec![0; REGISTRIES]);
}
