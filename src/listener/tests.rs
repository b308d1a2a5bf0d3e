//! Servers under clients that are silent or slow, on loopback.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::{Duration, Instant},
};

use axum::{http::StatusCode, routing::get};
use tokio::task::spawn_blocking;

use super::*;

/// The default limits, some hundred times as fast.
fn fast_limits() -> ListenerLimits {
    ListenerLimits {
        first_request: Duration::from_millis(500),
        idle: Duration::from_millis(500),
        stall: Duration::from_millis(500),
        ..ListenerLimits::default()
    }
}

fn serve(router: Router) -> Listener {
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    Listener::bind(address, None, router, fast_limits()).unwrap()
}

fn connect(listener: &Listener, first: &str) -> TcpStream {
    let mut stream = TcpStream::connect(listener.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    stream
}

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn long_poll_outlives_all_deadlines() {
    let answer = async || {
        tokio::time::sleep(Duration::from_secs(3)).await;
        "late"
    };
    let listener = serve(Router::new().route("/", get(answer)));
    let http1 = reqwest::Client::builder().build().unwrap();
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let ask = async |client: &reqwest::Client| {
        client.get(listener.url()).send().await.unwrap().text().await.unwrap()
    };
    let (first, second) = tokio::join!(ask(&http1), ask(&http2));
    assert_eq!((first.as_str(), second.as_str()), ("late", "late"));
}

#[tokio::test]
async fn idle_connection_ends_in_order_after_its_response() {
    let listener = serve(Router::new().route("/", get(async || "now")));
    let mut stream = connect(&listener, GET);
    let answer = spawn_blocking(move || {
        let mut answer = String::new();
        // An end by a reset would be an error.
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = answer.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("now"), "{answer}");
}

#[tokio::test]
async fn connection_without_a_request_ends() {
    let listener = serve(Router::new());
    for first in ["", "GET / HT", "PRI * HTTP/2.0\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut stream = connect(&listener, first);
        let ended = spawn_blocking(move || {
            let mut all = Vec::new();
            match stream.read_to_end(&mut all) {
                Ok(_) => true,
                Err(error) => error.kind() == ErrorKind::ConnectionReset,
            }
        });
        assert!(ended.await.unwrap(), "{first:?}");
    }
}

#[tokio::test]
async fn requests_of_a_client_that_reads_no_responses_wait() {
    let answered = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&answered);
    let count = async move || {
        counter.fetch_add(1, Relaxed);
        StatusCode::NO_CONTENT
    };
    let listener = serve(Router::new().route("/", get(count)));
    let mut stream = connect(&listener, "");
    let sent = spawn_blocking(move || {
        stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let (requests, start) = (GET.repeat(100), Instant::now());
        let mut sent = 0;
        while start.elapsed() < Duration::from_secs(5)
            && stream.write_all(requests.as_bytes()).is_ok()
        {
            sent += 100;
        }
        sent
    });
    let (sent, answered) = (sent.await.unwrap(), answered.load(Relaxed));
    // The responses that fit the buffers of the system at both ends; a response has about 80 bytes.
    assert!(answered < 200_000, "{answered} of {sent} requests were answered");
}

#[tokio::test]
async fn shutdown_lets_a_request_in_progress_finish() {
    let answer = async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        "done"
    };
    let listener = serve(Router::new().route("/", get(answer)));
    let (address, idle) = (listener.address(), connect(&listener, ""));
    let asked = tokio::spawn(reqwest::get(listener.url()));
    tokio::time::sleep(Duration::from_millis(150)).await;
    listener.shutdown().await;
    assert_eq!(asked.await.unwrap().unwrap().text().await.unwrap(), "done");
    assert!(TcpStream::connect(address).is_err());
    drop(idle);
}
