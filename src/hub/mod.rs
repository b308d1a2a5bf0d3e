//! Exchange and registry in one process, on one address: `/v1` is the exchange, `/v2` the registry.

mod accounts;

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, sync::Arc};

use tokio::task::JoinHandle;

pub use accounts::{AccountsError, RegistryAccounts, admit_registry};

use crate::{
    claim::{Claim, ClaimError},
    data_parts::{DataPart, DataPartsError},
    exchange::server::{ExchangeConfig, ExchangeServer, ExchangeServerError},
    listener::{BoundListener, ListenError, ListenerLimits, Tls},
    registry::server::{
        self,
        storage::{Folder, StorageError},
    },
    types::Secret,
};

/// Where a hub keeps its data and where it listens.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// The folder of all its data.
    pub data: PathBuf,
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate and key; `None`: plain HTTP.
    pub tls: Option<Tls>,
    /// The root user's password; `None`: the first start makes one.
    pub root_password: Option<Secret>,
    /// How many connections there may be, and how silent or slow.
    pub limits: ListenerLimits,
    /// The lost parts of its data that this start makes again, on purpose.
    pub create_missing: BTreeSet<DataPart>,
}

/// A running hub.
#[derive(Debug)]
pub struct Hub {
    server: ExchangeServer,
    housekeeping: JoinHandle<()>,
    accounts: Option<RegistryAccounts>,
    /// The exchange has the claim on the folder above.
    _images_claim: Claim,
}

/// Why a hub could not start.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// Its folder is not to be had.
    #[error("the hub's folder cannot be used")]
    Claim(#[from] ClaimError),
    /// A part of the registry's data is missing beside the others.
    #[error("cannot start without a part of its data")]
    Parts(#[from] DataPartsError),
    /// The exchange could not start, or the address could not be listened on.
    #[error("the exchange could not start")]
    Exchange(#[from] ExchangeServerError),
    /// The address or the certificate is of no use.
    #[error("the hub cannot listen")]
    Listen(#[from] ListenError),
    /// The registry's folder could not be opened.
    #[error("the registry's folder could not be opened")]
    Registry(#[from] StorageError),
    /// The registry's accounts could not be read or made.
    #[error("the registry's accounts could not be opened")]
    Accounts(#[from] AccountsError),
}

impl Hub {
    /// Starts exchange and registry.
    pub async fn bind(config: HubConfig) -> Result<Self, HubError> {
        let mut exchange = ExchangeConfig::new(config.data.clone(), config.listen);
        exchange.tls = config.tls;
        exchange.root_password = config.root_password;
        exchange.limits = config.limits;
        exchange.create_missing.clone_from(&config.create_missing);
        // Before anything is made that is told only once: a taken address must not cost a password.
        let listener = BoundListener::open(config.listen, exchange.tls.as_ref())?;
        let claim = Claim::of(&config.data)?;
        let start = admit_registry(&config.data, &config.create_missing)?;
        let images = config.data.join("registry");
        let images_claim = Claim::of(&images)?;
        let (access, accounts) = RegistryAccounts::open(&config.data)?;
        let folder = Folder::open(images)?;
        start.finish()?;
        // One budget of failed logins for both, whichever of them an address tries.
        let (logins, audit) = (exchange.logins.clone(), Arc::clone(&exchange.audit));
        let registry = server::router_with(folder.clone(), access, logins, Arc::clone(&audit));
        let server = ExchangeServer::serve_beside(exchange, claim, listener, registry).await?;
        let housekeeping = tokio::spawn(server::keep_house(folder, audit));
        Ok(Self { server, housekeeping, accounts, _images_claim: images_claim })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The exchange's URL, down to `/v1`.
    pub fn exchange_url(&self) -> String {
        self.server.url()
    }

    /// The root user's password, if this start made it.
    pub fn made_root_password(&self) -> Option<&Secret> {
        self.server.made_root_password()
    }

    /// The registry's accounts, if this start made them.
    pub fn made_accounts(&self) -> Option<&RegistryAccounts> {
        self.accounts.as_ref()
    }

    /// Loads the TLS certificate and key again.
    pub async fn reload(&self) {
        self.server.reload().await;
    }

    /// Lets requests under way finish, and ends.
    pub async fn shutdown(self) {
        self.housekeeping.abort();
        self.server.shutdown().await;
    }
}
