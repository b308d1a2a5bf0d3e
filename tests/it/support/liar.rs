//! A server that says whatever a story wants it to say, and remembers what it was told.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned, pki_types::PrivatePkcs8KeyDer};

/// The most of one request that is remembered, in bytes.
const MEMORY: usize = 256 * 1024;

/// A server of one's own on loopback.
#[derive(Debug, Clone)]
pub struct Liar {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

/// What it says to a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// These bytes, as they are.
    Raw(Vec<u8>),
    /// The head of an answer, and then this for ever.
    Endless(String, Vec<u8>),
    /// The head of an answer, and then one byte of this after each pause, for ever.
    Trickle(String, Vec<u8>, Duration),
}

impl Answer {
    /// An answer with a status such as `200 OK`, lines of headers each ended by `\r\n`, and a body.
    pub fn of(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n");
        let mut bytes = format!("{head}connection: close\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body);
        Self::Raw(bytes)
    }

    /// The head of an answer without a length, which goes on until the connection ends.
    pub fn head(status: &str, headers: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n")
    }

    /// The same answer, of which one byte comes after each pause, its head at once.
    pub fn trickled(self, pause: Duration) -> Self {
        let Self::Raw(bytes) = self else { panic!("only an answer that ends can trickle") };
        let body = bytes.windows(4).position(|it| it == b"\r\n\r\n").map_or(0, |at| at + 4);
        let head = String::from_utf8(bytes[..body].to_vec()).expect("a head is text");
        Self::Trickle(head, bytes[body..].to_vec(), pause)
    }
}

impl Liar {
    /// A liar at `address` (port 0: a free one) that answers each request by `answer`, which sees its
    /// head and the beginning of its body.
    pub fn at(
        address: SocketAddr,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen(address, answer, |stream| Ok(Box::new(stream)))
    }

    /// A liar on a free port.
    pub fn new(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    /// A liar on a free port that speaks TLS, and its certificate, which is its own authority.
    pub fn with_tls(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
        let rcgen::CertifiedKey { cert, signing_key } = made.expect("a certificate can be made");
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS has versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into());
        let config = Arc::new(config.expect("the key is the certificate's"));
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let liar = Self::listen(address, answer, move |stream| {
            let session = ServerConnection::new(Arc::clone(&config)).map_err(io::Error::other)?;
            Ok(Box::new(StreamOwned::new(session, stream)))
        });
        (liar, cert.pem())
    }

    fn listen(
        address: SocketAddr,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
        wrap: impl Fn(TcpStream) -> io::Result<Box<dyn Talk>> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("a listener has an address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (told, answer) = (Arc::clone(&heard), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (told, answer) = (Arc::clone(&told), Arc::clone(&answer));
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let Ok(mut stream) = wrap(stream) else { continue };
                thread::spawn(move || {
                    let request = read_request(&mut stream);
                    told.lock().expect("no thread panics").push(request.clone());
                    // Whoever is lied to may hang up.
                    let _ = speak(&mut stream, answer(&request));
                });
            }
        });
        Self { address, heard }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All requests so far: their heads, and the beginnings of their bodies.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no thread panics").clone()
    }
}

/// A connection.
trait Talk: Read + Write + Send {}

impl<T: Read + Write + Send> Talk for T {}

/// Reads a request to its end, and keeps its beginning.
fn read_request(stream: &mut impl Read) -> String {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let (mut total, mut end) = (0, None);
    while end.is_none_or(|end| total < end) {
        let Ok(length @ 1..) = stream.read(&mut buffer) else { break };
        total += length;
        if kept.len() < MEMORY {
            kept.extend_from_slice(&buffer[..length]);
        }
        if end.is_none() {
            end = kept.windows(4).position(|it| it == b"\r\n\r\n").map(|at| {
                let head = String::from_utf8_lossy(&kept[..at]).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                at + 4 + length.and_then(|it| it.trim().parse().ok()).unwrap_or(0)
            });
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}

fn speak(stream: &mut impl Write, answer: Answer) -> io::Result<()> {
    match answer {
        Answer::Raw(bytes) => stream.write_all(&bytes)?,
        Answer::Endless(head, body) => {
            let body = body.repeat(1 + 65_536 / body.len());
            stream.write_all(head.as_bytes())?;
            loop {
                stream.write_all(&body)?;
            }
        }
        Answer::Trickle(head, body, pause) => {
            stream.write_all(head.as_bytes())?;
            for byte in body.iter().cycle() {
                stream.write_all(&[*byte])?;
                stream.flush()?;
                thread::sleep(pause);
            }
        }
    }
    stream.flush()
}
