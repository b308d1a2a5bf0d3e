//! A link between two parts that can be slow, counted, and cut.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A TCP link on a loopback port of its own.
#[derive(Debug, Clone)]
pub struct Link {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    target: Mutex<SocketAddr>,
    /// Bytes per second in either direction; 0: as fast as it goes.
    rate: AtomicU64,
    /// After how many bytes each connection breaks; 0: never.
    lifetime: AtomicU64,
    /// Bytes that came from the target.
    down: AtomicU64,
    /// Bytes that went to the target.
    up: AtomicU64,
    cut: AtomicBool,
}

impl Link {
    /// A link to `target`.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(State {
            target: Mutex::new(target),
            rate: AtomicU64::new(0),
            lifetime: AtomicU64::new(0),
            down: AtomicU64::new(0),
            up: AtomicU64::new(0),
            cut: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                thread::spawn(move || state.carry(client));
            }
        });
        Self { address, state }
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets no more than `bytes` a second through, in each direction of each connection.
    pub fn slow_to(&self, bytes: u64) {
        self.state.rate.store(bytes, Ordering::SeqCst);
    }

    /// Breaks each connection after `bytes` in both directions together.
    pub fn break_every(&self, bytes: u64) {
        self.state.lifetime.store(bytes, Ordering::SeqCst);
    }

    /// Cuts all connections and takes no more, until [`Link::mend`].
    pub fn cut(&self) {
        self.state.cut.store(true, Ordering::SeqCst);
    }

    /// Takes connections again, to `target`.
    pub fn mend(&self, target: SocketAddr) {
        *self.state.target.lock().expect("no thread panics") = target;
        self.state.cut.store(false, Ordering::SeqCst);
    }

    /// How many bytes have come from the target.
    pub fn down(&self) -> u64 {
        self.state.down.load(Ordering::SeqCst)
    }

    /// How many bytes have gone to the target.
    pub fn up(&self) -> u64 {
        self.state.up.load(Ordering::SeqCst)
    }

    /// Waits until `count` says at least `bytes`.
    #[track_caller]
    pub fn wait_for(&self, count: impl Fn(&Self) -> u64, bytes: u64) {
        for _ in 0..6000 {
            if count(self) >= bytes {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        panic!("only {} of {bytes} bytes passed", count(self));
    }
}

impl State {
    fn carry(self: Arc<Self>, client: TcpStream) {
        if self.cut.load(Ordering::SeqCst) {
            return;
        }
        let target = *self.target.lock().expect("no thread panics");
        let Ok(server) = TcpStream::connect(target) else { return };
        let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) else { return };
        let (state, carried) = (Arc::clone(&self), Arc::new(AtomicU64::new(0)));
        let together = Arc::clone(&carried);
        thread::spawn(move || state.pump(client2, server2, &state.up, &together));
        self.pump(server, client, &self.down, &carried);
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, count: &AtomicU64, carried: &AtomicU64) {
        let _ = from.set_read_timeout(Some(Duration::from_millis(50)));
        let mut buffer = vec![0; 64 * 1024];
        loop {
            if self.cut.load(Ordering::SeqCst) {
                break;
            }
            let length = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    continue;
                }
                Err(_) => break,
            };
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
            count.fetch_add(length as u64, Ordering::SeqCst);
            let carried = carried.fetch_add(length as u64, Ordering::SeqCst) + length as u64;
            let lifetime = self.lifetime.load(Ordering::SeqCst);
            if lifetime > 0 && carried >= lifetime {
                break;
            }
            let rate = self.rate.load(Ordering::SeqCst);
            if let Some(micros) = (length as u64 * 1_000_000).checked_div(rate) {
                thread::sleep(Duration::from_micros(micros));
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
