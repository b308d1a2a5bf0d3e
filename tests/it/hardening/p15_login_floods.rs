//! Floods of failed logins do not lock out valid logins.

mod flood;
mod returning;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    time::Duration,
};

use edgepost::{
    exchange::server::{ExchangeConfig, ExchangeServer},
    listener::ListenerLimits,
    login::Hasher,
    registry::server::{Access, Account, Password, RegistryConfig, RegistryServer},
    types::Secret,
};
use futures_util::future::join_all;
use reqwest::{Client, Response};
use serde_json::{Value, json};

/// Where honest clients come from, and where else.
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const ROOT_PASSWORD: &str = "root-password";

/// A client whose connections come from `address`. It trusts no certificate, since it needs none.
fn client(address: IpAddr) -> Client {
    let client = Client::builder().local_address(address).no_proxy().tls_certs_only([]);
    client.timeout(Duration::from_mins(1)).build().unwrap()
}

/// An exchange with organization `A` in `folder`.
async fn exchange(folder: &Path) -> ExchangeServer {
    let config = ExchangeConfig::new(folder, "127.0.0.1:0".parse().unwrap());
    let config = config.root_password(Secret::new(ROOT_PASSWORD));
    let server = ExchangeServer::bind(config).await.unwrap();
    let body = json!({"label": "A", "description": "A"});
    // After a restart the organization is there.
    assert!(matches!(post(&server, "/orgs/A", &body).await, 201 | 400 | 403 | 409));
    server
}

/// What the exchange answers to root.
async fn post(server: &ExchangeServer, path: &str, body: &Value) -> u16 {
    let request = client(HOME).post(format!("{}{path}", server.url())).json(body);
    let request = request.basic_auth("root/root", Some(ROOT_PASSWORD));
    request.send().await.unwrap().status().as_u16()
}

/// Users `u0` and so on with chosen passwords, each of which costs a hash.
async fn make_users(server: &ExchangeServer, count: usize) {
    let made = (0..count).map(|number| async move {
        let body =
            json!({"password": password(number), "admin": false, "hubAdmin": false, "email": ""});
        post(server, &format!("/orgs/A/users/u{number}"), &body).await
    });
    assert!(join_all(made).await.into_iter().all(|status| status == 201));
}

fn password(number: usize) -> String {
    format!("chosen password {number}")
}

/// A registry with accounts `u0` and so on with chosen passwords.
async fn registry(folder: &Path, count: usize) -> RegistryServer {
    let hasher = Hasher::default();
    let accounts = (0..count).map(|number| Account {
        user: format!("u{number}"),
        password: Password::hash(&hasher.hash(&Secret::new(password(number))).unwrap()),
        push: false,
    });
    let config = RegistryConfig {
        folder: folder.join("registry"),
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        access: Access::Basic(accounts.collect()),
        limits: ListenerLimits::default(),
    };
    RegistryServer::bind(config).await.unwrap()
}

/// Sends a request with a login.
async fn log_in(client: &Client, url: &str, name: &str, secret: &str) -> Response {
    client.get(url).basic_auth(name, Some(secret)).send().await.unwrap()
}

/// The value below which 99 of 100 are.
pub(super) fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}
