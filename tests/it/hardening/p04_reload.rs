//! SIGHUP and changed certificate files: the servers reload and keep serving.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    time::Duration,
};

use super::{record_bound, wire};
use crate::support::{
    authority::{Authority, Certified},
    hub::Hub,
    node::Node,
    program::{Program, Running},
};

const PATIENCE: Duration = Duration::from_secs(30);
const TLS: [&str; 4] = ["--tls-cert", "live/tls.crt", "--tls-key", "live/tls.key"];

/// Puts a version of the certificate beside the others and leads `live` to it, as certificate managers do.
fn install(folder: &Path, version: &str, certified: &Certified) {
    let place = folder.join(version);
    fs::create_dir(&place).unwrap();
    fs::write(place.join("tls.crt"), &certified.certificate).unwrap();
    fs::write(place.join("tls.key"), &certified.key).unwrap();
    fs::set_permissions(place.join("tls.key"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink(version, folder.join("next")).unwrap();
    fs::rename(folder.join("next"), folder.join("live")).unwrap();
}

fn start(folder: &Path, command: &str, more: &[&str]) -> (Running, SocketAddr) {
    let own = [command, "--json", "--data", "data", "--listen", "127.0.0.1:0"];
    let program = Program::at_home_in(folder);
    let mut running = program.start(&[&own, more].concat(), &folder.join("log"));
    let first: serde_json::Value = serde_json::from_str(&running.first_line()).unwrap();
    let url = first["exchange"].as_str().or(first["registry"].as_str()).unwrap();
    let address = url.split("//").last().unwrap().trim_end_matches("/v1").parse().unwrap();
    (running, address)
}

#[test]
fn servers_use_a_new_certificate_after_sighup_and_when_its_files_change() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let client = wire::tls_client(&authority.pem());
    let versions = [(); 4].map(|()| authority.server(&["localhost"]));
    install(folder.path(), "v1", &versions[0]);
    let (running, address) = start(folder.path(), "exchange", &TLS);
    let served = || {
        let stream = wire::tls_connect(&client, address);
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let der = |it: &Certified| {
        use rustls_pki_types::pem::PemObject as _;
        rustls_pki_types::CertificateDer::from_pem_slice(it.certificate.as_bytes())
            .unwrap()
            .to_vec()
    };
    assert_eq!(served(), der(&versions[0]));

    install(folder.path(), "v2", &versions[1]);
    running.signal("HUP");
    let second = der(&versions[1]);
    wire::wait_until("SIGHUP loads the certificate", Duration::from_secs(5), || served() == second);

    install(folder.path(), "v3", &versions[2]);
    let (third, start) = (der(&versions[2]), std::time::Instant::now());
    wire::wait_until("the change is noticed", PATIENCE, || served() == third);
    let figure = format!("{} s", start.elapsed().as_secs());
    record_bound(4, "a certificate replaced without a signal", "in use within 30 s", figure);

    let other_key = Certified { key: versions[0].key.clone(), ..versions[3].clone() };
    install(folder.path(), "v4", &other_key);
    running.signal("HUP");
    let log = || fs::read_to_string(folder.path().join("log")).unwrap();
    let is_logged = || log().contains("tls.reload_failed");
    wire::wait_until("the refusal is logged", PATIENCE, is_logged);
    assert_eq!(served(), third, "the certificate in use stays");
    assert_eq!(running.stop(), 0);
}

#[test]
fn tls_key_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    install(folder.path(), "v1", &Authority::new().server(&["localhost"]));
    for command in ["hub", "exchange", "registry"] {
        for mode in [0o640, 0o604, 0o620] {
            let key = folder.path().join("v1/tls.key");
            fs::set_permissions(key, fs::Permissions::from_mode(mode)).unwrap();
            let own = [command, "--data", "data", "--listen", "127.0.0.1:0"];
            let outcome = Program::at_home_in(folder.path()).run(&[&own[..], &TLS].concat());
            let outcome = outcome.failed(1, "E0104");
            assert!(outcome.stderr.contains(&format!("{mode:03o}")), "{}", outcome.stderr);
        }
    }
}

#[test]
fn sighup_ends_no_server() {
    for (command, path) in
        [("hub", "/v1/admin/version"), ("exchange", "/v1/admin/version"), ("registry", "/v2/")]
    {
        let folder = tempfile::tempdir().unwrap();
        let more: &[&str] = if command == "registry" { &["--anonymous"] } else { &[] };
        let (mut running, address) = start(folder.path(), command, more);
        for _ in 0..3 {
            running.signal("HUP");
            std::thread::sleep(Duration::from_millis(100));
            wire::answer_time(address, path);
        }
        assert!(running.is_running(), "{command}");
        assert_eq!(running.stop(), 0, "{command}");
    }
}

#[test]
fn sighup_lets_the_agent_begin_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let node = Node::register(&hub, "n1", &[]);
    let mut agent = node.start();
    let passes = || {
        let log = fs::read_to_string(node.log()).unwrap_or_default();
        log.matches("a pass has ended").count()
    };
    wire::wait_until("the first pass ends", PATIENCE, || passes() > 0);
    // What the first pass reports may cause another one.
    std::thread::sleep(Duration::from_secs(2));
    let before = passes();
    agent.signal("HUP");
    wire::wait_until("another pass ends", PATIENCE, || passes() > before);
    assert!(agent.is_running());
    assert_eq!(agent.stop(), 0);
}
