//! A server that says whatever a story wants it to say, and remembers what it was told.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

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
    Endless(&'static str, &'static [u8]),
}

impl Answer {
    /// An answer with a status such as `200 OK`, lines of headers each ended by `\r\n`, and a body.
    pub fn of(status: &str, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n");
        Self::Raw(format!("{head}connection: close\r\n\r\n{body}").into_bytes())
    }
}

impl Liar {
    /// A liar at `address` (port 0: a free one) that answers each request by `answer`, which sees its head.
    pub fn at(
        address: SocketAddr,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the address is free");
        let address = listener.local_addr().expect("a listener has an address");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (told, answer) = (Arc::clone(&heard), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (told, answer) = (Arc::clone(&told), Arc::clone(&answer));
                thread::spawn(move || {
                    let request = read_head(&stream);
                    told.lock().expect("no thread panics").push(request.clone());
                    speak(stream, &answer(&request));
                });
            }
        });
        Self { address, heard }
    }

    /// A liar on a free port.
    pub fn new(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), answer)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The heads of all requests so far.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("no thread panics").clone()
    }
}

fn read_head(mut stream: &TcpStream) -> String {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => head.extend_from_slice(&buffer[..length]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn speak(mut stream: TcpStream, answer: &Answer) {
    match answer {
        Answer::Raw(bytes) => {
            let _ = stream.write_all(bytes);
        }
        Answer::Endless(head, body) => {
            let body = body.repeat(65_536 / body.len());
            let _ = stream.write_all(head.as_bytes());
            while stream.write_all(&body).is_ok() {}
        }
    }
}
