//! Peers that this machine cannot run, and alerts of TLS at any moment.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    thread,
    time::Duration,
};

use rustls::ServerConnection;

use super::record_bound;
use crate::support::{
    authority::Authority,
    program::Program,
    web::{Door, tls},
};

/// When the alert reaches the client by which a server rejects its certificate.
#[derive(Debug, Clone, Copy)]
enum Alert {
    /// At once.
    Sent,
    /// While the client waits for its answer.
    Late,
    /// Never: the connection is closed without it.
    Lost,
    /// Never: the connection is reset, since what the client sent is not read.
    Reset,
}

/// Starts a TLS server at a port of loopback that wants a client certificate of `authority`, rejects each, and
/// offers `protocols`. It runs until the process ends.
fn start_rejecting_server(authority: &Authority, alert: Alert, protocols: &[&str]) -> SocketAddr {
    let mut config = tls(Door::Mutual(authority, &["127.0.0.1"])).expect("it is TLS");
    config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let config = Arc::clone(&config);
            thread::spawn(move || reject(stream, ServerConnection::new(config), alert));
        }
    });
    address
}

/// Shakes hands until the client's certificate is rejected, and sends the alert as `alert` says.
fn reject(
    mut stream: TcpStream,
    connection: Result<ServerConnection, rustls::Error>,
    alert: Alert,
) {
    let mut connection = connection.expect("the configuration is usable");
    loop {
        while connection.wants_write() {
            if connection.write_tls(&mut stream).is_err() {
                return;
            }
        }
        if !matches!(connection.read_tls(&mut stream), Ok(1..)) {
            return;
        }
        if connection.process_new_packets().is_err() {
            break;
        }
    }
    match alert {
        Alert::Sent => (),
        Alert::Late => thread::sleep(Duration::from_millis(200)),
        Alert::Lost => {
            // What the client sent is read, so that the connection ends without a reset.
            let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
            while matches!(std::io::Read::read(&mut stream, &mut [0; 4096]), Ok(1..)) {}
            return;
        }
        Alert::Reset => {
            thread::sleep(Duration::from_millis(200));
            return;
        }
    }
    let mut bytes = Vec::new();
    while connection.wants_write() && connection.write_tls(&mut bytes).is_ok() {}
    let _ = stream.write_all(&bytes);
}

/// Gives `program` a CA and a client certificate for the registry at `host`.
fn certify(home: &Path, host: &str, trusted: &Authority, client: &Authority) {
    let folder = home.join("home/certs.d").join(host);
    fs::create_dir_all(&folder).expect("the folder can be made");
    let own = client.client("pump-7");
    for (name, text) in
        [("ca.crt", trusted.pem()), ("client.cert", own.certificate), ("client.key", own.key)]
    {
        fs::write(folder.join(name), text).expect("the folder is writable");
    }
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("client.key"), private).expect("the mode can be set");
}

#[test]
fn rejected_client_certificate_is_e0502_whenever_the_alert_comes() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let program = Program::at_home_in(folder.path());
    let (trusted, other) = (Authority::new(), Authority::new());
    fs::write(folder.path().join("ca.crt"), trusted.pem()).expect("the folder is writable");
    let mut named = 0;
    for alert in [Alert::Sent, Alert::Late, Alert::Lost, Alert::Reset] {
        for protocols in [&["h2", "http/1.1"][..], &["http/1.1"]] {
            let host = start_rejecting_server(&trusted, alert, protocols).to_string();
            certify(folder.path(), &host, &trusted, &other);

            let refused = program.run(&["registry", "tags", &format!("{host}/team/app")]);
            let refused = refused.failed(5, "E0502");
            assert!(
                refused.stderr.contains("client certificate"),
                "{alert:?} {protocols:?}: {}",
                refused.stderr
            );

            let exchange = format!("https://{host}/v1");
            let program = program
                .with("EDGEPOST_EXCHANGE_URL", exchange)
                .with("EDGEPOST_ORG", "acme")
                .with("EDGEPOST_USER_AUTH", "ann:secret");
            let refused = program.run(&["org", "list", "--ca-file", "ca.crt"]);
            refused.failed(5, "E0502");
            named += 2;
        }
    }
    record_bound(0, "client certificate rejected, alert sent, late, lost", "16 of 16 E0502", named);
}
