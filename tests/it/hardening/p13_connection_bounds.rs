//! Connections are bounded in number, by address and by deadlines.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use edgepost::listener::raise_descriptor_limit;
use tempfile::TempDir;

use super::{record_bound, wire};
use crate::support::{
    authority::Authority,
    program::{Program, Running},
};

/// More than a process of the usual descriptor limit can hold.
const SILENT: usize = 1_100;
const DESCRIPTORS: u32 = 1_024;
const VERSION: &str = "/v1/admin/version";

/// An exchange with the descriptor limit of most systems.
struct TestExchange {
    folder: TempDir,
    running: Running,
    address: SocketAddr,
}

impl TestExchange {
    fn start(more: impl FnOnce(&Path) -> Vec<String>) -> Self {
        // This process holds the other ends of the connections.
        raise_descriptor_limit();
        let folder = tempfile::tempdir().unwrap();
        let own =
            ["exchange", "--json", "--data", "data", "--listen", "127.0.0.1:0"].map(str::to_owned);
        let arguments = [own.to_vec(), more(folder.path())].concat();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let program = Program::at_home_in(folder.path());
        let mut running =
            program.start_limited(DESCRIPTORS, &arguments, &folder.path().join("log"));
        let first: serde_json::Value = serde_json::from_str(&running.first_line()).unwrap();
        let url = first["exchange"].as_str().unwrap();
        let address = url.split("//").nth(1).unwrap().trim_end_matches("/v1").parse().unwrap();
        Self { folder, running, address }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Asserts that room for files is left, and records how long honest clients wait.
    fn assert_serves(&self, attack: &str, answer: impl Fn() -> Duration) {
        let slowest = (0..20).map(|_| answer()).max().unwrap();
        let open = wire::descriptors(self.running.id());
        let figure = format!("{} ms, {open} descriptors", slowest.as_millis());
        record_bound(13, attack, "an answer within 5 s, 900 of 1,024 descriptors", figure);
        assert!(slowest < Duration::from_secs(5), "{attack}: {slowest:?}");
        assert!(open < 900, "{attack}: {open} descriptors");
    }
}

#[test]
fn silent_connections_keep_no_honest_client_out_and_end_within_seconds() {
    let exchange = TestExchange::start(|_| Vec::new());
    let kinds = [
        ("1,100 connections that send nothing", Vec::new()),
        ("1,100 connections with half an HTTP/2 preface", wire::PREFACE[..12].to_vec()),
        ("1,100 idle HTTP/2 connections", wire::http2_start(65_535)),
    ];
    let mut held = Vec::new();
    for (attack, first) in kinds {
        held.extend((0..SILENT).map(|_| wire::connect(exchange.address, &first)));
        exchange.assert_serves(attack, || wire::answer_time(exchange.address, VERSION));
    }

    let start = Instant::now();
    let process = exchange.running.id();
    let closed = || wire::descriptors(process) < 100;
    wire::wait_until("silent connections are closed", Duration::from_secs(40), closed);
    let figure = format!("{} s", start.elapsed().as_secs());
    record_bound(13, "silent connections, default limits", "closed within 20 s", figure);
    let lines = exchange.log().matches("connection.limit_reached").count();
    assert!((1..=3).contains(&lines), "{lines} lines in the log:\n{}", exchange.log());
}

#[test]
fn connections_that_are_silent_after_the_tls_handshake_keep_no_honest_client_out() {
    let authority = Authority::new();
    let exchange = TestExchange::start(|folder| {
        let certified = authority.server(&["localhost"]);
        tls_arguments(folder, &certified.certificate, &certified.key)
    });
    let client = wire::tls_client(&authority.pem());

    let _held: Vec<_> = (0..SILENT).map(|_| wire::tls_connect(&client, exchange.address)).collect();

    exchange.assert_serves("1,100 connections silent after the TLS handshake", || {
        let start = Instant::now();
        let mut stream = wire::tls_connect(&client, exchange.address);
        let request = format!("GET {VERSION} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        start.elapsed()
    });
}

/// Writes certificate and key, and names them as the servers' arguments.
fn tls_arguments(folder: &Path, certificate: &str, key: &str) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = |name: &str| -> PathBuf { folder.join(name) };
    fs::write(file("tls.crt"), certificate).unwrap();
    fs::write(file("tls.key"), key).unwrap();
    fs::set_permissions(file("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    ["--tls-cert", "tls.crt", "--tls-key", "tls.key"].map(str::to_owned).to_vec()
}
