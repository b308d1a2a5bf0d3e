//! A publisher by way of the library: `ann`, with her own key.

use std::{fs, sync::Arc};

use edgepost::{
    exchange::client::{Auth, ExchangeClient, ExchangeConfig},
    publish::Publisher,
    sign::SigningKey,
    types::{Secret, SystemClock},
};

use super::hub::Hub;

/// The key that ann signs with.
pub fn key(hub: &Hub) -> SigningKey {
    let pem = fs::read_to_string(hub.folder().join("home/keys/default.key.pem"));
    SigningKey::from_pem(&pem.expect("the publisher has a key")).expect("of ours")
}

/// The exchange as ann sees it.
pub fn exchange(url: &str) -> ExchangeClient {
    let org = "acme".parse().expect("a name");
    let name = "ann".parse().expect("a name");
    let auth = Auth::User { org, name, password: Secret::new("ann-secret") };
    let org = "acme".parse().expect("a name");
    ExchangeClient::new(&ExchangeConfig::new(url, org, auth)).expect("the address can be used")
}

/// Ann, or somebody with her account and other keys.
pub fn publisher(hub: &Hub, keys: Vec<SigningKey>) -> Publisher {
    publisher_at(&format!("http://{}/v1", hub.address()), keys)
}

/// The same at another exchange.
pub fn publisher_at(url: &str, keys: Vec<SigningKey>) -> Publisher {
    let org = "acme".parse().expect("a name");
    Publisher::new(org, exchange(url), keys, Arc::new(SystemClock))
}

/// Waits for what is asked of the library.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().expect("a runtime starts").block_on(future)
}
