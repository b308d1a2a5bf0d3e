//! Whoever holds the line between nodes and a real exchange: everything is handed on and kept, but for what
//! a story has lies told about.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    time::Instant,
};

use super::liar::{Answer, Liar};

/// The headers of an answer of our exchange.
pub const OURS: &str = "content-type: application/json\r\nedgepost-version: 1\r\n";

/// A man in the middle, on a loopback port of his own.
#[derive(Debug)]
pub struct Enemy {
    liar: Liar,
    lies: Arc<Mutex<Vec<(String, Answer)>>>,
    kept: Arc<Mutex<Vec<u8>>>,
    date: Arc<Mutex<Option<String>>>,
    asked: Arc<Mutex<Vec<(String, Instant)>>>,
}

impl Enemy {
    /// Stands before the exchange at `target`, and hands on what is said.
    pub fn before(target: SocketAddr) -> Self {
        let lies = Arc::new(Mutex::new(Vec::<(String, Answer)>::new()));
        let kept = Arc::new(Mutex::new(Vec::new()));
        let date = Arc::new(Mutex::new(None::<String>));
        let (told, heard) = (Arc::clone(&lies), Arc::clone(&kept));
        let dated = Arc::clone(&date);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let counted = Arc::clone(&asked);
        let liar = Liar::new(move |request| {
            let path = path(request);
            counted.lock().expect("no thread panics").push((path.to_owned(), Instant::now()));
            let lies = told.lock().expect("no thread panics");
            let lie = lies.iter().find(|(end, _)| path.ends_with(end)).map(|(_, lie)| lie.clone());
            drop(lies);
            lie.unwrap_or_else(|| {
                let mut answer = handed_on(target, request);
                if let Some(date) = &*dated.lock().expect("no thread panics") {
                    answer = with_date(&answer, date);
                }
                heard.lock().expect("no thread panics").extend_from_slice(&answer);
                Answer::Raw(answer)
            })
        });
        Self { liar, lies, kept, date, asked }
    }

    /// Where nodes find him, believing that he is the exchange.
    pub fn address(&self) -> SocketAddr {
        self.liar.address()
    }

    /// When requests for a path that ends like this came.
    pub fn requests_for(&self, end: &str) -> Vec<Instant> {
        let asked = self.asked.lock().expect("no thread panics");
        asked.iter().filter(|(path, _)| path.ends_with(end)).map(|(_, at)| *at).collect()
    }

    /// From now on he gives `answer` to whoever asks for a path that ends like this.
    pub fn answers(&self, end: &str, answer: Answer) {
        self.lies.lock().expect("no thread panics").insert(0, (end.to_owned(), answer));
    }

    /// The same with JSON, as the exchange gives it.
    pub fn says(&self, end: &str, body: impl AsRef<[u8]>) {
        self.answers(end, Answer::of("200 OK", OURS, body));
    }

    /// The same with the error of this status, such as `404 Not Found`.
    pub fn fails(&self, end: &str, status: &str) {
        self.answers(end, Answer::of(status, OURS, "{}"));
    }

    /// From now on the exchange's answers have this `Date`, or their own.
    pub fn dates(&self, date: Option<&str>) {
        *self.date.lock().expect("no thread panics") = date.map(str::to_owned);
    }

    /// From now on he lies no more.
    pub fn repents(&self) {
        self.lies.lock().expect("no thread panics").clear();
    }

    /// All that the exchange has said through him.
    pub fn kept(&self) -> Vec<u8> {
        self.kept.lock().expect("no thread panics").clone()
    }
}

/// The path of a request, without its question.
fn path(request: &str) -> &str {
    let target = request.split(' ').nth(1).unwrap_or_default();
    target.split('?').next().unwrap_or_default()
}

/// The answer with another `Date`.
fn with_date(answer: &[u8], date: &str) -> Vec<u8> {
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(answer.len());
    let head = String::from_utf8_lossy(&answer[..end]);
    let is_kept = |line: &&str| !line.to_ascii_lowercase().starts_with("date:");
    let head: Vec<_> = head.lines().filter(is_kept).collect();
    let head = format!("{}\r\ndate: {date}", head.join("\r\n"));
    [head.as_bytes(), &answer[end..]].concat()
}

/// What the exchange answers; nothing if it does not.
fn handed_on(target: SocketAddr, request: &str) -> Vec<u8> {
    let (head, body) = request.split_once("\r\n\r\n").unwrap_or((request, ""));
    let keeps = |line: &&str| !line.to_ascii_lowercase().starts_with("connection:");
    let head: Vec<_> = head.lines().filter(keeps).collect();
    let whole = format!("{}\r\nconnection: close\r\n\r\n{body}", head.join("\r\n"));
    let mut answer = Vec::new();
    let asked = TcpStream::connect(target).and_then(|mut exchange| {
        exchange.write_all(whole.as_bytes())?;
        exchange.read_to_end(&mut answer)
    });
    // An exchange that is away is away through him, too.
    if asked.is_ok() { answer } else { Vec::new() }
}
