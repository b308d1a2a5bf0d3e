//! The attacks on lists, connections, bodies, logins and work, all at once on one hub.

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use edgepost::listener::raise_descriptor_limit;
use futures_util::future::join_all;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::{
    p12_list_bounds::ask_without_reading,
    p15_login_floods::p99,
    record_bound,
    server_process::{ServerProcess, service},
    wire,
};

/// The most memory that the hub may ever have in use, in KiB.
const MOST_MEMORY: u64 = 256 * 1024;
/// What an honest request may take on a machine that does much else. The bars are in the table.
const GENEROUS: Duration = Duration::from_secs(20);
const SILENT: usize = 1_100;
const GUESSING: u32 = 100;
const DRIPPING: usize = 50;
const HONEST: usize = 10;

/// Posts a list of 24 MiB, which attackers ask for and do not read.
async fn post_long_list(server: &ServerProcess) {
    for number in 0..28 {
        let body = service(&format!("long-{number}"), 900_000);
        let who = ["A/u1", "A/u2"][number % 2];
        server.send(who, Method::POST, "/orgs/A/services", &body).await.expect(201);
    }
}

/// Sends wrong logins of names that do not exist, from another address than honest clients, until `is_over`.
async fn guess(number: u32, url: String, is_over: Arc<AtomicBool>) {
    let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    let client = Client::builder().local_address(from).no_proxy().timeout(Duration::from_mins(1));
    let client = client.build().expect("a client can be made");
    let mut guesses = 0;
    while !is_over.load(Ordering::Relaxed) {
        guesses += 1;
        let request = client.get(&url).basic_auth(format!("A/z{number}x{guesses}"), Some("guess"));
        if request.send().await.is_err() {
            // The server takes no more connections of this address.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// The heaviest document: 12,000 equal requirements.
fn heavy_document() -> Value {
    let required = json!({"url": "long-0", "org": "A", "version": "1.0.0", "arch": "amd64"});
    let mut heavy = service("heavy", 10);
    heavy["requiredServices"] = json!(vec![required; 12_000]);
    heavy
}

/// Replaces the heaviest document again and again, until `is_over`; gives how often it was taken.
async fn post_heavy_documents(server: Arc<ServerProcess>, is_over: Arc<AtomicBool>) -> usize {
    let (path, heavy) = ("/orgs/A/services/heavy_1.0.0_amd64", heavy_document());
    let mut taken = 0;
    while !is_over.load(Ordering::Relaxed) {
        // The server may be too busy for an attacker.
        let answer = server.send("A/u1", Method::PUT, path, &heavy).await;
        taken += usize::from(answer.status == 201);
    }
    taken
}

/// Sends one byte a second on each of the connections, until `is_over`.
fn drip(mut connections: Vec<TcpStream>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        connections.retain_mut(|it| it.write_all(b" ").is_ok());
        thread::sleep(Duration::from_secs(1));
    }
}

/// The time that an honest request of `who` takes.
async fn honest_time(server: &ServerProcess, who: &str) -> Duration {
    let start = Instant::now();
    server.get(who, "/orgs/A").await.expect(200);
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hub_under_all_attacks_at_once_serves_honest_clients_in_bounded_memory() {
    raise_descriptor_limit();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let server = Arc::new(ServerProcess::start(folder.path()).await);
    for number in 0..HONEST {
        let body = json!({"password": "pw", "admin": false, "email": ""});
        let path = format!("/orgs/A/users/h{number}");
        server.send("root", Method::POST, &path, &body).await.expect(201);
    }
    post_long_list(&server).await;
    let heavy = heavy_document();
    server.send("A/u1", Method::POST, "/orgs/A/services", &heavy).await.expect(201);
    let is_over = Arc::new(AtomicBool::new(false));
    let address = server.address();

    let firsts = [Vec::new(), wire::PREFACE[..12].to_vec(), wire::http2_start(65_535)];
    let silent: Vec<_> =
        (0..SILENT).map(|it| wire::connect(address, &firsts[it % firsts.len()])).collect();
    let unread: Vec<_> = ["A/u1", "A/u2"]
        .into_iter()
        .flat_map(|who| [who; 4])
        .map(|who| ask_without_reading(&server, who, "/orgs/A/services"))
        .collect();
    let url = format!("http://{address}/v1/orgs/A");
    let guessing: Vec<_> = (0..GUESSING)
        .map(|number| tokio::spawn(guess(number, url.clone(), Arc::clone(&is_over))))
        .collect();
    let posting = tokio::spawn(post_heavy_documents(Arc::clone(&server), Arc::clone(&is_over)));
    let authorization = server.authorization("A/u2");
    let head = format!(
        "POST /v1/orgs/A/services HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\n\
         content-length: 100000\r\n\r\n{{"
    );
    let dripped = (0..DRIPPING).map(|_| wire::connect(address, head.as_bytes())).collect();
    let dripping = thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || drip(dripped, &is_over)
    });

    let (mut first_logins, mut cached) = (Vec::new(), Vec::new());
    for number in 0..HONEST {
        let who = format!("A/h{number}");
        first_logins.push(honest_time(&server, &who).await);
        for _ in 0..20 {
            cached.push(honest_time(&server, &who).await);
        }
    }

    is_over.store(true, Ordering::Relaxed);
    join_all(guessing).await.into_iter().for_each(|it| it.expect("an attacker does not panic"));
    assert!(posting.await.expect("an attacker does not panic") > 0);
    dripping.join().expect("an attacker does not panic");
    let peak = server.peak_memory();
    let each: Vec<_> = first_logins.iter().map(Duration::as_millis).collect();
    let (first_login, cached) = (p99(first_logins), p99(cached));
    record_bound(18, "all at once: memory", "256 MiB", format!("{} MiB", peak / 1024));
    record_bound(
        18,
        "all at once: first login",
        "p99 1 s",
        format!("{first_login:.1?} of {each:?} ms"),
    );
    record_bound(18, "all at once: cached login", "p99 100 ms", format!("{cached:.1?}"));
    assert!(peak < MOST_MEMORY, "{peak} KiB");
    assert!(first_login < GENEROUS && cached < GENEROUS, "{first_login:?} {cached:?}");
    drop((silent, unread));
}
