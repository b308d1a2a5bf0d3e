//! Proxies of a story's own: HTTP with CONNECT, and SOCKS5. They lead every name where the story says.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// A proxy on loopback.
#[derive(Debug, Clone)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where `host:port` is.
    ways: Mutex<HashMap<String, SocketAddr>>,
    /// What it was asked for: `CONNECT host:port`, or the method and address of a request in plain.
    asked: Mutex<Vec<String>>,
    /// The heads of requests, as they came.
    heads: Mutex<String>,
    /// Who may use it, as `user:password`; everybody, if nobody is named.
    login: Option<String>,
}

impl Proxy {
    /// An HTTP proxy for everybody.
    pub fn http() -> Self {
        Self::start(None, State::by_http)
    }

    /// An HTTP proxy for `user:password`.
    pub fn http_for(login: &str) -> Self {
        Self::start(Some(login.to_owned()), State::by_http)
    }

    /// A SOCKS5 proxy for everybody.
    pub fn socks() -> Self {
        Self::start(None, State::by_socks)
    }

    /// A SOCKS5 proxy for `user:password`.
    pub fn socks_for(login: &str) -> Self {
        Self::start(Some(login.to_owned()), State::by_socks)
    }

    fn start(login: Option<String>, serve: fn(&State, TcpStream) -> io::Result<()>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(State { login, ..State::default() });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A connection that breaks is the story's to see.
                thread::spawn(move || serve(&state, client));
            }
        });
        Self { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads `name`, which is `host:port`, to `address`.
    pub fn lead(&self, name: &str, address: SocketAddr) {
        self.state.ways.lock().expect("no thread panics").insert(name.to_owned(), address);
    }

    /// What it was asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().expect("no thread panics").clone()
    }

    /// The heads of all requests that it could read.
    pub fn heads(&self) -> String {
        self.state.heads.lock().expect("no thread panics").clone()
    }
}

impl State {
    fn way(&self, asked: String, name: &str) -> io::Result<TcpStream> {
        self.asked.lock().expect("no thread panics").push(asked);
        let known = self.ways.lock().expect("no thread panics").get(name).copied();
        TcpStream::connect(known.ok_or_else(|| io::Error::other("nobody knows this name"))?)
    }

    /// RFC 9110, 7.6 and 9.3.6.
    fn by_http(&self, mut client: TcpStream) -> io::Result<()> {
        let head = head_of(&mut client)?;
        self.heads.lock().expect("no thread panics").push_str(&head);
        if let Some(login) = &self.login {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let wanted = format!("proxy-authorization: basic {}", STANDARD.encode(login));
            if !head.lines().any(|line| line.eq_ignore_ascii_case(&wanted)) {
                let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic realm=\"proxy\"\r\n\
                               content-length: 0\r\nconnection: close\r\n\r\n";
                return client.write_all(refusal.as_bytes());
            }
        }
        let mut words = head.split_whitespace();
        let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        if method == "CONNECT" {
            let Ok(server) = self.way(format!("CONNECT {target}"), target) else {
                return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
            };
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            return join(client, server);
        }
        let rest = target.strip_prefix("http://").unwrap_or(target);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let name = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let Ok(mut server) = self.way(format!("{method} {target}"), &name) else {
            return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n");
        };
        let (_, fields) = head.split_once("\r\n").unwrap_or_default();
        let own = |line: &&str| !line.to_ascii_lowercase().starts_with("proxy-");
        let fields: Vec<&str> = fields.trim_end().lines().filter(own).collect();
        let fields = fields.join("\r\n");
        write!(server, "{method} /{path} HTTP/1.1\r\n{fields}\r\nconnection: close\r\n\r\n")?;
        join(client, server)
    }

    /// RFC 1928 and 1929.
    fn by_socks(&self, mut client: TcpStream) -> io::Result<()> {
        let methods = after(&mut client, 1)?;
        let method = if self.login.is_some() { 2 } else { 0 };
        if !methods.contains(&method) {
            return client.write_all(&[5, 0xff]);
        }
        client.write_all(&[5, method])?;
        if let Some(login) = &self.login {
            let user = after(&mut client, 1)?;
            let password = after(&mut client, 0)?;
            let told = [&user[..], b":", &password].concat();
            client.write_all(&[1, u8::from(told != login.as_bytes())])?;
        }
        let mut request = [0; 4];
        client.read_exact(&mut request)?;
        let host = match request[3] {
            1 => {
                let mut address = [0; 4];
                client.read_exact(&mut address)?;
                std::net::Ipv4Addr::from(address).to_string()
            }
            3 => String::from_utf8_lossy(&after(&mut client, 0)?).into_owned(),
            _ => return Err(io::Error::other("no address that stories use")),
        };
        let mut port = [0; 2];
        client.read_exact(&mut port)?;
        let name = format!("{host}:{}", u16::from_be_bytes(port));
        let Ok(server) = self.way(format!("CONNECT {name}"), &name) else {
            return client.write_all(&[5, 4, 0, 1, 0, 0, 0, 0, 0, 0]);
        };
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
        join(client, server)
    }
}

/// What stands behind `skipped` bytes and a byte that says how long it is.
fn after(client: &mut TcpStream, skipped: usize) -> io::Result<Vec<u8>> {
    let mut begin = [0; 2];
    client.read_exact(&mut begin[..=skipped])?;
    let mut content = vec![0; usize::from(begin[skipped])];
    client.read_exact(&mut content)?;
    Ok(content)
}

/// Reads a head, byte by byte: what follows is for the server.
fn head_of(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// Carries what both say until one ends.
fn join(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || carry(from, to));
    carry(server, client);
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
