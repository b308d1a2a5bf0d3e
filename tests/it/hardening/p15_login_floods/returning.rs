//! Fleets that come back at once.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use edgepost::{
    exchange::server::ExchangeServer,
    login::{Authenticator, Hasher},
    types::{GeneratedToken, Secret},
};
use futures_util::{StreamExt as _, future::join_all, stream};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

use super::{HOME, client, exchange, log_in, post};
use crate::{
    hardening::{record_bound, server_process::ServerProcess},
    support::{hub::Hub, image::publish_hello, image::publish_pattern, node::Node},
};

/// Makes nodes `f0` and so on, which differ from node `f` in nothing else.
const COPY_NODE: &str = "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < $1) \
     INSERT INTO nodes (org, id, owner, token_hash, pattern, public_key, document, last_heartbeat, last_updated) \
     SELECT org, 'f' || n, owner, token_hash, pattern, public_key, document, last_heartbeat, last_updated \
     FROM nodes, numbers WHERE id = 'f'";

/// An exchange that has just been started again, with `count` nodes `A/f0` and so on by one token.
async fn restarted_with_fleet(folder: &Path, token: &str, count: usize) -> ExchangeServer {
    let server = exchange(folder).await;
    let user = json!({"password": "p", "admin": true, "hubAdmin": false, "email": ""});
    assert_eq!(post(&server, "/orgs/A/users/ad", &user).await, 201);
    let node = json!({"token": token, "name": "f", "nodeType": "device", "pattern": "", "publicKey": "", "arch": "amd64"});
    let request = client(HOME).put(format!("{}/orgs/A/nodes/f", server.url())).json(&node);
    let made = request.basic_auth("A/ad", Some("p")).send().await.unwrap();
    assert_eq!(made.status(), 201, "{}", made.text().await.unwrap());
    server.shutdown().await;
    add_copies(&folder.join("exchange.db"), count).await;
    exchange(folder).await
}

/// Clients of ten sites, each behind an address of its own.
fn sites() -> Vec<Client> {
    (11..21).map(|last| client([127, 0, 0, last].into())).collect()
}

/// Nodes `A/f0` and so on, copies of node `A/f` in the database of a server that runs.
async fn add_copies(database: &Path, count: usize) {
    let database = SqliteConnectOptions::new().filename(database);
    let mut database = database.connect().await.unwrap();
    let count = i64::try_from(count).unwrap();
    sqlx::query(COPY_NODE).bind(count).execute(&mut database).await.unwrap();
}

/// How many nodes a variable asks for.
fn count_of(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|it| it.parse().ok()).unwrap_or(otherwise)
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_generated_tokens_come_back_at_once_and_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let count = count_of("EDGEPOST_TEST_RETURNING_NODES", 900);
    let token = GeneratedToken::random().unwrap().into_secret();
    let server = ServerProcess::start(folder.path()).await;
    server.node_with_token("f", token.expose()).await;
    add_copies(&folder.path().join("hub/exchange.db"), count).await;
    let (sites, url) = (sites(), format!("http://{}/v1/orgs/A", server.address()));
    let start = Instant::now();
    let nodes = (0..count).map(|number| {
        let (client, url, token) = (&sites[number % sites.len()], &url, &token);
        async move { log_in(client, url, &format!("A/f{number}"), token.expose()).await.status() }
    });
    // As many at a time as a server takes connections of ten addresses.
    let answers: Vec<_> = stream::iter(nodes).buffer_unordered(900).collect().await;
    let took = start.elapsed();
    let refused = answers.iter().filter(|status| **status != 200).count();
    record_bound(15, &format!("{count} nodes return at once: refused"), 0, refused);
    let rate = answers.len() as u128 * 1000 / took.as_millis().max(1);
    let bound = "none (833 by a release build)";
    record_bound(15, "logins of returning nodes over HTTP, a second", bound, rate);
    assert_eq!((answers.len(), refused), (count, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_chosen_tokens_wait_in_the_queue_and_come_in_by_retry_after() {
    let folder = tempfile::tempdir().unwrap();
    let count = count_of("EDGEPOST_TEST_NODES", 150);
    let server = restarted_with_fleet(folder.path(), "chosen", count).await;
    let (sites, url) = (sites(), format!("{}/orgs/A", server.url()));
    let start = Instant::now();
    let nodes = (0..count).map(|number| {
        let (client, url) = (&sites[number % sites.len()], &url);
        async move {
            for retries in 0..20 {
                let answer = log_in(client, url, &format!("A/f{number}"), "chosen").await;
                if answer.status() == 200 {
                    return retries;
                }
                assert_eq!(answer.status(), 503);
                let pause = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
                assert!((1..=20).contains(&pause), "{pause}");
                tokio::time::sleep(Duration::from_secs(pause)).await;
            }
            panic!("node {number} is lost");
        }
    });
    let retries = join_all(nodes).await.into_iter().max().unwrap();
    let figure = format!("all in {:.1?}, at most {retries} retries", start.elapsed());
    record_bound(
        15,
        &format!("{count} nodes with chosen tokens return at once"),
        "none lost",
        figure,
    );
}

#[tokio::test]
async fn hundred_thousand_generated_tokens_are_verified_within_two_minutes() {
    let (logins, hasher) = (Authenticator::default(), Hasher::default());
    let fleet: Vec<_> = (0..100_000)
        .map(|number| {
            let token = Secret::random().unwrap();
            let hash = hasher.hash(&token).unwrap().to_string();
            (format!("acme/n{number}"), token, hash)
        })
        .collect();
    let start = Instant::now();
    for (name, token, hash) in &fleet {
        let attempt = logins.begin(HOME, name, token).unwrap();
        assert_eq!(logins.verify(attempt, &[hash]).await.unwrap(), 0);
    }
    let took = start.elapsed();
    let rate = format!("{:.0}", 100_000.0 / took.as_secs_f64());
    record_bound(15, "verifications of generated tokens a second, one core", 833, rate);
    assert!(took < Duration::from_mins(2), "{took:?}");
}

#[test]
fn agent_and_hub_generate_tokens_that_are_stored_by_a_fast_hash() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    for password in [&hub.push_password, &hub.pull_password] {
        assert!(GeneratedToken::recognize(&Secret::new(password.as_str())).is_some());
    }
    let accounts = std::fs::read_to_string(hub.data().join("registry-accounts.json")).unwrap();
    assert_eq!(accounts.matches("sha256$").count(), 2);
    publish_hello(&hub, "1.0.0", 10_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register_with(&hub, "n1", "n1", &["--pattern", "hello-everywhere"]);
    let token = token_of(&node);
    assert!(GeneratedToken::recognize(&Secret::new(token.as_str())).is_some());
    node.settle().good();
    // To register again keeps the token, which the exchange lets the node alone change.
    let again = Node::register_with(&hub, "n1", "n1", &["--pattern", "hello-everywhere"]);
    assert_eq!(token_of(&again), token);
    let (status, _) = hub.get_as("acme/n1", &token, "/v1/orgs/acme/nodes/n1");
    assert_eq!(status, 200);
    let bytes = std::fs::read(hub.data().join("exchange.db")).unwrap();
    let wal = std::fs::read(hub.data().join("exchange.db-wal")).unwrap_or_default();
    let stored = format!("sha256${}", edgepost::types::Digest::of(token.as_bytes()).hex());
    let holds = |bytes: &[u8]| bytes.windows(stored.len()).any(|it| it == stored.as_bytes());
    assert!(holds(&bytes) || holds(&wal));
}

fn token_of(node: &Node) -> String {
    let identity = std::fs::read(node.data().join("node.json")).unwrap();
    let identity: Value = serde_json::from_slice(&identity).unwrap();
    identity["token"].as_str().unwrap().to_owned()
}
