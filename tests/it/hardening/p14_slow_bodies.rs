//! Slow readers and slow writers are cut off by a least rate.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use edgepost::{
    ExchangeServer, RegistryServer,
    exchange::server::ExchangeConfig,
    listener::{ListenerLimits, raise_descriptor_limit},
    registry::server::{Access, RegistryConfig},
    types::Secret,
};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::task::spawn_blocking;

use super::{record_bound, wire};
use crate::support::program::Program;

/// `root/root:root-secret`.
const ROOT: &str = "authorization: Basic cm9vdC9yb290OnJvb3Qtc2VjcmV0\r\n";
const PATIENCE: Duration = Duration::from_secs(25);

/// The default limits, some twenty times as fast.
fn fast_limits() -> ListenerLimits {
    ListenerLimits {
        first_request: Duration::from_secs(3),
        idle: Duration::from_secs(3),
        stall: Duration::from_secs(3),
        least_rate: 4_000,
        ..ListenerLimits::default()
    }
}

/// A registry that everybody may use, in this process, with one blob.
struct TestRegistry {
    _folder: TempDir,
    _server: RegistryServer,
    address: SocketAddr,
    blob: String,
}

impl TestRegistry {
    async fn start(blob: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = RegistryConfig {
            folder: folder.path().join("registry"),
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            tls: None,
            access: Access::Anonymous,
            limits: fast_limits(),
        };
        let server = RegistryServer::bind(config).await.unwrap();
        let address = server.address();
        let blob = spawn_blocking(move || push_blob(address, blob)).await.unwrap();
        Self { _folder: folder, _server: server, address, blob }
    }
}

async fn start_exchange(folder: &TempDir) -> ExchangeServer {
    let mut config = ExchangeConfig::new(folder.path(), (Ipv4Addr::LOCALHOST, 0).into())
        .root_password(Secret::new("root-secret"));
    config.limits = fast_limits();
    ExchangeServer::bind(config).await.unwrap()
}

/// Pushes a blob of `length` bytes; gives the path by which it is pulled.
fn push_blob(address: SocketAddr, length: usize) -> String {
    let bytes: Vec<u8> = (0..length).map(|it| u8::try_from(it % 251).unwrap()).collect();
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
    let head = format!(
        "POST /v2/team/app/blobs/uploads/?digest={digest} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n"
    );
    let mut stream = wire::connect(address, head.as_bytes());
    stream.write_all(&bytes).unwrap();
    let answer = wire::read_to_end(&mut stream).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 201 "), "{}", String::from_utf8_lossy(&answer));
    format!("/v2/team/app/blobs/{digest}")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

/// Sends a byte ten times a second until the server has closed the connection; gives the time until then.
fn drip(mut stream: TcpStream) -> Duration {
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 1024];
    while start.elapsed() < PATIENCE {
        match stream.read(&mut buffer) {
            Ok(0) => return start.elapsed(),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return start.elapsed(),
            _ => {}
        }
        if stream.write_all(b" ").is_err() {
            return start.elapsed();
        }
    }
    panic!("the connection is open after {PATIENCE:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dripped_bodies_end() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = start_exchange(&folder).await;
    let registry = TestRegistry::start(10).await;
    let (of_exchange, of_registry) = (exchange.address(), registry.address);
    let post =
        format!("POST /v1/orgs/acme HTTP/1.1\r\nhost: x\r\n{ROOT}content-length: 100000\r\n\r\n{{");
    let manifest =
        "PUT /v2/team/app/manifests/v1 HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{";
    let upload = "POST /v2/team/app/blobs/uploads/?digest=sha256:\
                  0000000000000000000000000000000000000000000000000000000000000000 HTTP/1.1\r\n\
                  host: x\r\ncontent-length: 100000\r\n\r\n";
    let drips = [
        ("a body dripped into the exchange", of_exchange, post.as_str()),
        ("a manifest dripped into the registry", of_registry, manifest),
        ("a blob dripped into the registry", of_registry, upload),
        ("a head dripped into the exchange", of_exchange, "GET /v1/admin/version HTTP/1.1\r\n"),
    ];
    let drips = drips.map(|(attack, address, head)| {
        let head = head.to_owned();
        (attack, spawn_blocking(move || drip(wire::connect(address, head.as_bytes()))))
    });
    for (attack, took) in drips {
        let figure = format!("{:.1} s", took.await.unwrap().as_secs_f32());
        record_bound(14, attack, "closed once 3 s behind 4 kB/s", figure);
    }
    exchange.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_are_not_read_end() {
    const LENGTH: usize = 16 << 20;
    let registry = TestRegistry::start(LENGTH).await;
    let (address, path) = (registry.address, registry.blob.clone());
    let streams = (0..10).map(|it| wire::http2_get(2 * it + 1, &path)).collect::<Vec<_>>().concat();
    let http2 = |window: u32| [wire::http2_start(window), streams.clone()].concat();
    let downloads = [
        ("an HTTP/1 download that is not read", get(&path).into_bytes()),
        ("HTTP/2 downloads in a window of 1 byte", http2(1)),
        ("HTTP/2 downloads that are not read", http2(1 << 20)),
    ];
    let downloads = downloads.map(|(attack, first)| {
        let received = spawn_blocking(move || {
            let mut stream = wire::connect_narrow(address, &first);
            thread::sleep(Duration::from_secs(8));
            wire::read_to_end(&mut stream).expect("the server closes the connection").len()
        });
        (attack, received)
    });
    for (attack, received) in downloads {
        let received = received.await.unwrap();
        record_bound(14, attack, "closed once 3 s behind 4 kB/s", format!("{received} bytes sent"));
        assert!(received < LENGTH, "{attack}: everything was sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_but_steady_transfers_complete() {
    const LENGTH: usize = 400_000;
    let registry = TestRegistry::start(LENGTH).await;
    let (address, path) = (registry.address, registry.blob.clone());
    // Ten times the least rate, for three times as long as a stall may last.
    let download = spawn_blocking(move || {
        let mut stream = wire::connect_narrow(address, get(&path).as_bytes());
        let (mut received, mut buffer) = (0, [0; 2_000]);
        while received < LENGTH {
            received += stream.read(&mut buffer).expect("the download goes on");
            thread::sleep(Duration::from_millis(40));
        }
    });
    let upload = spawn_blocking(move || {
        let head = "POST /v2/team/app/blobs/uploads/?digest=sha256:\
                    0000000000000000000000000000000000000000000000000000000000000000 HTTP/1.1\r\n\
                    host: x\r\nconnection: close\r\ncontent-length: 400000\r\n\r\n";
        let mut stream = wire::connect(address, head.as_bytes());
        for _ in 0..200 {
            stream.write_all(&[b'x'; 2_000]).expect("the upload goes on");
            thread::sleep(Duration::from_millis(40));
        }
        let answer = wire::read_to_end(&mut stream).expect("the registry answers");
        assert!(answer.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&answer));
    });
    download.await.unwrap();
    upload.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_length_over_the_limit_is_refused_before_the_body() {
    let folder = tempfile::tempdir().unwrap();
    let exchange = start_exchange(&folder).await;
    let registry = TestRegistry::start(10).await;
    for (address, head) in [
        (exchange.address(), format!("POST /v1/orgs/acme HTTP/1.1\r\nhost: x\r\n{ROOT}")),
        (
            exchange.address(),
            format!("POST /v1/orgs/root/edgepost/publish HTTP/1.1\r\nhost: x\r\n{ROOT}"),
        ),
        (registry.address, "PUT /v2/team/app/manifests/v1 HTTP/1.1\r\nhost: x\r\n".to_owned()),
    ] {
        let head = format!("{head}content-length: 100000000\r\n\r\n");
        let answer = spawn_blocking(move || {
            let mut stream = wire::connect(address, head.as_bytes());
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).expect("the server answers");
            answer
        });
        assert_eq!(&answer.await.unwrap(), b"HTTP/1.1 413");
    }
    exchange.shutdown().await;
}

#[test]
fn downloads_that_are_not_read_hold_little_memory() {
    let request = |path: &str| get(path).into_bytes();
    assert_memory("1,500 HTTP/1 downloads that are not read", 1_500, request);
}

#[test]
fn http2_downloads_that_are_not_read_hold_little_memory() {
    // Each response makes one chunk, of which its window takes a byte.
    let request = |path: &str| {
        let gets = (0..60).map(|it| wire::http2_get(2 * it + 1, path));
        [wire::http2_start(1), gets.collect::<Vec<_>>().concat()].concat()
    };
    assert_memory("12,000 HTTP/2 downloads in windows of 1 byte", 200, request);
}

/// Opens `connections` with a request for a blob each and reads nothing, and measures the registry.
#[track_caller]
fn assert_memory(attack: &str, connections: usize, request: impl Fn(&str) -> Vec<u8>) {
    const MOST_KIB: u64 = 256 * 1024;
    raise_descriptor_limit();
    let folder = tempfile::tempdir().unwrap();
    let arguments =
        ["registry", "--json", "--anonymous", "--data", "data", "--listen", "127.0.0.1:0"];
    let program = Program::at_home_in(folder.path());
    let mut running = program.start(&arguments, &folder.path().join("log"));
    let first: serde_json::Value = serde_json::from_str(&running.first_line()).unwrap();
    let address = first["registry"].as_str().unwrap().parse().unwrap();
    let path = push_blob(address, 8 << 20);

    let request = request(&path);
    let _held: Vec<_> = (0..connections).map(|_| wire::connect_narrow(address, &request)).collect();
    let most = (0..30).map(|_| {
        thread::sleep(Duration::from_millis(100));
        wire::resident_memory(running.id())
    });
    let most = most.max().unwrap();

    record_bound(14, attack, "256 MiB", format!("{} MiB", most / 1024));
    assert!(most < MOST_KIB, "{attack}: {most} KiB");
    wire::answer_time(address, "/v2/");
}
