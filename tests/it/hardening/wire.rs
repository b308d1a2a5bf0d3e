//! Raw connections, as an attacker opens them, and what they cost a server.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use socket2::{Domain, Socket, Type};

/// How an HTTP/2 connection begins.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The longest that one read of a raw connection takes.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A frame of HTTP/2.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are short").to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// The beginning of an HTTP/2 connection that lets the server send `window` bytes of each response.
pub fn http2_start(window: u32) -> Vec<u8> {
    let setting = [&[0, 4], window.to_be_bytes().as_slice()].concat();
    [PREFACE, &frame(4, 0, 0, &setting)].concat()
}

/// A GET request of HTTP/2.
pub fn http2_get(stream: u32, path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).expect("the path is short");
    // GET and http from the static table, then path and authority as literals.
    let headers = [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x01, 1, b'x']].concat();
    frame(1, 0x5, stream, &headers)
}

/// A connection on which `first` has been sent.
pub fn connect(address: SocketAddr, first: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a socket has a timeout");
    // A server that has closed the connection already is a result, not an error.
    let _ = stream.write_all(first);
    stream
}

/// A connection whose system takes only a few bytes for a program that does not read.
pub fn connect_narrow(address: SocketAddr, first: &[u8]) -> TcpStream {
    let socket =
        Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket opens");
    socket.set_recv_buffer_size(4096).expect("a socket has a buffer");
    socket.connect(&address.into()).expect("the server listens");
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a socket has a timeout");
    let _ = stream.write_all(first);
    stream
}

/// All that the server sends until it closes the connection; `None` if it does not within half a minute.
pub fn read_to_end(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Some(all),
            Ok(count) => all.extend_from_slice(&buffer[..count]),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                return None;
            }
            Err(_) => return Some(all),
        }
    }
}

/// The time that a complete request of an honest client takes.
pub fn answer_time(address: SocketAddr, path: &str) -> Duration {
    let start = Instant::now();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let answer =
        read_to_end(&mut connect(address, request.as_bytes())).expect("the server answers");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
    start.elapsed()
}

/// A TLS client that trusts one authority.
pub fn tls_client(authority: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let der = CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate");
    roots.add(der).expect("a certificate of an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("the provider has them");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A connection whose TLS handshake is complete.
pub fn tls_connect(
    client: &Arc<ClientConfig>,
    address: SocketAddr,
) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(Arc::clone(client), name).expect("a session begins");
    let mut stream = connect(address, &[]);
    while session.is_handshaking() {
        session.complete_io(&mut stream).expect("the handshake succeeds");
    }
    StreamOwned::new(session, stream)
}

/// How many descriptors a process has open.
pub fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("the process runs").count()
}

/// The memory of a process that is in use, in KiB.
pub fn resident_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Waits until `is_so`, for at most `patience`.
#[track_caller]
pub fn wait_until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
