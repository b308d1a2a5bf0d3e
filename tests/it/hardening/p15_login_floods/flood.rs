//! Clients without a login, in numbers.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, future::join_all, stream};
use tokio::task::JoinHandle;

use super::{ELSEWHERE, HOME, client, exchange, log_in, make_users, p99, password, registry};
use crate::hardening::record_bound;

/// A first login under a flood takes no longer on a machine that does much else. The bar is a second.
const GENEROUS: Duration = Duration::from_secs(30);

/// Connections that send wrong logins, one after the other, until they are stopped.
struct Flood {
    stopped: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    connections: Vec<JoinHandle<()>>,
}

impl Flood {
    /// Waits until every connection has sent its first login.
    async fn start(from: IpAddr, connections: usize, url: &str, org: &'static str) -> Self {
        let (stopped, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let tasks = (0..connections).map(|number| {
            let (stopped, sent, url) = (Arc::clone(&stopped), Arc::clone(&sent), url.to_owned());
            tokio::spawn(async move {
                let client = client(from);
                for guess in 0.. {
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    sent.fetch_add(1, Ordering::Relaxed);
                    let name = format!("{org}z{number}x{guess}");
                    let request = client.get(&url).basic_auth(name, Some("guess"));
                    if request.send().await.is_err() {
                        // The server takes no more connections of this address.
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            })
        });
        let flood = Self { connections: tasks.collect(), stopped, sent };
        while flood.sent.load(Ordering::Relaxed) < connections {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        flood
    }

    async fn stop(self) -> usize {
        self.stopped.store(true, Ordering::Relaxed);
        for connection in &self.connections {
            connection.abort();
        }
        join_all(self.connections).await;
        self.sent.load(Ordering::Relaxed)
    }
}

/// First logins of ten honest clients one after the other, and then requests of clients that are known.
async fn honest(what: &str, url: &str, org: &'static str, first: usize, flood: (IpAddr, usize)) {
    let (honest, mut first_logins, mut cached) = (client(HOME), Vec::new(), Vec::new());
    // The honest client's connection is open before: this is about logins.
    assert_eq!(honest.get(url).send().await.unwrap().status(), 401);
    let flood = Flood::start(flood.0, flood.1, url, org).await;
    for number in first..first + 10 {
        let (name, password) = (format!("{org}u{number}"), password(number));
        let start = Instant::now();
        assert_eq!(log_in(&honest, url, &name, &password).await.status(), 200, "{what}");
        first_logins.push(start.elapsed());
        for _ in 0..10 {
            let start = Instant::now();
            assert_eq!(log_in(&honest, url, &name, &password).await.status(), 200, "{what}");
            cached.push(start.elapsed());
        }
    }
    let sent = flood.stop().await;
    let (first_login, cached) = (p99(first_logins), p99(cached));
    record_bound(15, &format!("{what}: first login"), "p99 1 s", format!("{first_login:.1?}"));
    record_bound(15, &format!("{what}: cached login"), "p99 100 ms", format!("{cached:.1?}"));
    assert!(first_login < GENEROUS && cached < GENEROUS, "{first_login:?} {cached:?}");
    assert!(sent > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unauthenticated_flood_leaves_valid_logins_of_the_exchange_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = exchange(folder.path()).await;
    make_users(&server, 20).await;
    let url = format!("{}/orgs/A", server.url());
    honest("exchange, 40 connections", &url, "A/", 0, (ELSEWHERE, 40)).await;
    let same = "exchange, 600 connections of the same address";
    honest(same, &url, "A/", 10, (HOME, 600)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unauthenticated_flood_leaves_valid_logins_of_the_registry_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = registry(folder.path(), 20).await;
    let url = format!("{}/v2/", server.url());
    honest("registry, 40 connections", &url, "", 0, (ELSEWHERE, 40)).await;
    let same = "registry, 600 connections of the same address";
    honest(same, &url, "", 10, (HOME, 600)).await;
}

/// How many requests of one client, 200 at a time, were answered by which status.
async fn statuses(
    from: IpAddr,
    url: &str,
    names: impl Iterator<Item = (String, String)>,
) -> BTreeMap<u16, usize> {
    let client = client(from);
    let answers = names.map(|(name, secret)| {
        let client = client.clone();
        async move { log_in(&client, url, &name, &secret).await.status().as_u16() }
    });
    let mut answers = stream::iter(answers).buffer_unordered(200);
    let mut statuses = BTreeMap::new();
    while let Some(status) = answers.next().await {
        *statuses.entry(status).or_default() += 1;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn many_api_keys_neither_go_unlimited_nor_switch_the_limit_off() {
    let folder = tempfile::tempdir().unwrap();
    let server = exchange(folder.path()).await;
    make_users(&server, 1).await;
    let url = format!("{}/orgs/A", server.url());
    let count = std::env::var("EDGEPOST_TEST_NAMES").ok().and_then(|it| it.parse().ok());
    let count = count.unwrap_or(1000);
    let names = (0..count).map(|number| (format!("z{number}/apikey"), "0".repeat(64)));
    let start = Instant::now();
    let answers = statuses(ELSEWHERE, &url, names).await;
    let looked_at = answers.get(&401).copied().unwrap_or_default();
    // 120 at once, and one for each second that the flood lasts.
    let allowed = 120 + usize::try_from(start.elapsed().as_secs()).unwrap() + 1;
    record_bound(15, &format!("{count} API keys of other organizations"), allowed, looked_at);
    assert!(looked_at <= allowed, "{answers:?}");
    assert_eq!(answers.values().sum::<usize>(), count, "every request is answered: {answers:?}");
    let guesses = (0..60).map(|guess| ("A/u0".to_owned(), format!("guess {guess}")));
    let start = Instant::now();
    let answers = statuses(ELSEWHERE, &url, guesses).await;
    let allowed = 22 + usize::try_from(start.elapsed().as_secs()).unwrap() / 3;
    assert!(answers.get(&401).copied().unwrap_or_default() <= allowed, "{answers:?}");
    assert_eq!(log_in(&client(HOME), &url, "A/u0", &password(0)).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_one_address_at_many_names_end_before_their_hashes() {
    let folder = tempfile::tempdir().unwrap();
    let users = 120;
    let server = registry(folder.path(), users).await;
    let url = format!("{}/v2/", server.url());
    let known = log_in(&client(ELSEWHERE), &url, "u0", &password(0)).await;
    assert_eq!(known.status(), 200);
    let start = Instant::now();
    let names = (0..users).map(|number| (format!("u{number}"), "guess".to_owned()));
    let answers = statuses(ELSEWHERE, &url, names).await;
    let hashed = answers.get(&401).copied().unwrap_or_default();
    let allowed = 62 + usize::try_from(start.elapsed().as_secs()).unwrap() + 1;
    record_bound(15, "one address, 120 names that exist: guesses looked at", allowed, hashed);
    assert!(hashed <= allowed, "{answers:?}");
    let refused = [429, 503].map(|it| answers.get(&it).copied().unwrap_or_default());
    assert_eq!(hashed + refused[0] + refused[1], users, "{answers:?}");
    // A name that does not exist gets the same answer, and a name that is known from there gets in.
    let unknown = log_in(&client(ELSEWHERE), &url, "nobody-is-called-so", "guess").await;
    assert!(matches!(unknown.status().as_u16(), 401 | 429));
    let known = log_in(&client(ELSEWHERE), &url, "u0", &password(0)).await;
    assert_eq!(known.status(), 200);
    let other = log_in(&client(HOME), &url, "u1", &password(1)).await;
    assert_eq!(other.status(), 200);
}
