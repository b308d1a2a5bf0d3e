//! The client against exchanges that fail, lie or talk too much.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse as _,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

/// Serves `router`, and gives a client of it.
pub(super) async fn client_of(router: Router) -> ExchangeClient {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    client_at(address)
}

fn client_at(address: SocketAddr) -> ExchangeClient {
    ExchangeClient::new(&config(address)).unwrap()
}

fn config(address: SocketAddr) -> ExchangeConfig {
    let (org, name) = (acme(), "ada".parse().unwrap());
    let auth = Auth::User { org: org.clone(), name, password: Secret::new("canary") };
    ExchangeConfig::new(format!("http://{address}"), org, auth).retries(2)
}

/// An exchange that is busy `times` times; and how often it was asked.
fn busy(times: usize) -> (Router, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let router = Router::new().fallback(move || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            if number < times {
                return StatusCode::SERVICE_UNAVAILABLE.into_response();
            }
            "2.154.0\n".into_response()
        }
    });
    (router, asked)
}

#[tokio::test]
async fn a_busy_exchange_is_asked_again() {
    let (router, asked) = busy(2);
    let client = client_of(router).await;
    assert_eq!(client.version().await.unwrap(), "2.154.0");
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert!(!client.is_edgepost().await.unwrap());
}

#[tokio::test]
async fn a_creation_is_not_repeated_blindly() {
    let (router, asked) = busy(1);
    let client = client_of(router).await;
    let failed = client
        .create_row(&"service/hello_1.0.0_amd64".parse().unwrap(), &json!({}))
        .await
        .unwrap_err();
    assert!(matches!(failed, ExchangeError::Server { status: 503, .. }), "{failed:?}");
    assert!(failed.is_passing());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_exchange_that_is_away_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client_at(listener.local_addr().unwrap());
    drop(listener);
    let failed = client.version().await.unwrap_err();
    assert!(matches!(failed, ExchangeError::Unreachable { .. }), "{failed:?}");
    assert!(!format!("{failed:?}").contains("canary"));
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect() {
    let (elsewhere, asked) = busy(0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, elsewhere).await.unwrap() });
    let redirect = move || async move { (StatusCode::FOUND, [(header::LOCATION, target)]) };
    let client = client_of(Router::new().fallback(redirect)).await;
    assert!(client.version().await.is_err());
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let endless = || async { vec![b'x'; 300 << 10] };
    let client = client_of(Router::new().fallback(endless)).await;
    let failed = client.stamp().await.unwrap_err();
    assert!(matches!(failed, ExchangeError::TooLong { .. }), "{failed:?}");
    let failed = client.newest_trust().await.unwrap_err();
    assert!(matches!(failed, ExchangeError::Malformed { .. }), "{failed:?}");
}

#[tokio::test]
async fn an_answer_that_never_ends_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n").await;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    });
    let client =
        ExchangeClient::new(&config(address).patience(Duration::from_millis(200))).unwrap();
    let start = std::time::Instant::now();
    let failed = client.version().await.unwrap_err();
    assert!(matches!(failed, ExchangeError::Unreachable { .. }), "{failed:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
