//! Serves the exchange API: Horizon's paths, and ours beside them.

mod admin;
mod agreements;
mod answer;
mod api_keys;
mod audit;
mod bodies;
mod bootstrap;
mod budget;
mod caller;
mod changes;
mod dock_auths;
mod entitlement;
mod error;
mod extension;
mod extract;
mod keys;
mod lengths;
mod lists;
mod node_parts;
mod nodes;
mod orgs;
mod passwords;
mod patterns;
mod policies;
mod posted;
mod rights;
mod router;
mod service_policies;
mod services;
mod signed_names;
#[cfg(test)]
mod testing;
mod users;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use budget::Budget;
use caller::Caller;
use entitlement::EntitlementMemory;
pub use error::ApiError;
use extension::Extension;
use jiff::SignedDuration;
use passwords::Passwords;
pub use router::router;
use tokio::{task::JoinHandle, time::MissedTickBehavior};

use crate::{
    audit::AuditLog,
    claim::{Claim, ClaimError},
    data_parts::{DataPart, DataPartsError, Start},
    exchange::store::{self, SecretFileError, Store, StoreError},
    listener::{BoundListener, ListenError, Listener, ListenerLimits, Tls},
    login::Authenticator,
    types::{Clock, Secret, SystemClock},
};

/// The version of Horizon's exchange that this one is like. `hzn` refuses one below 2.124.0.
pub const HORIZON_VERSION: &str = "2.154.0";
/// How long the feed remembers; a node that was away for longer reads everything anew.
const CHANGES_KEPT: SignedDuration = SignedDuration::from_hours(4);
/// How often what is too old is forgotten.
const PRUNING: Duration = Duration::from_hours(1);
/// How often heartbeats are written: one transaction a second, however many nodes there are.
const HEARTBEATS: Duration = Duration::from_secs(1);
/// How often the database gives space back, and a full disk is looked at.
const MAINTENANCE: Duration = Duration::from_secs(1);

/// The file that is in the data folder until the first start has made every part.
const FIRST_START: &str = ".first-start-exchange";

/// How an exchange is served.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExchangeConfig {
    /// The folder of its database and keys; made if missing.
    pub data: PathBuf,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The certificate, or plain HTTP.
    pub tls: Option<Tls>,
    /// The password of `root/root`. Without it the first start makes one up.
    pub root_password: Option<Secret>,
    /// The lost parts of its data that this start makes again, on purpose.
    pub create_missing: BTreeSet<DataPart>,
    /// What `/admin/version` says to Horizon's clients.
    pub version: String,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
    /// How many connections there may be, and how silent or slow.
    pub limits: ListenerLimits,
    /// What checks logins; another server may share it.
    pub logins: Authenticator,
    /// Where security events are recorded.
    pub audit: Arc<AuditLog>,
}

impl ExchangeConfig {
    /// An exchange on the folder `data`, without TLS, like [`HORIZON_VERSION`].
    pub fn new(data: impl Into<PathBuf>, listen: SocketAddr) -> Self {
        Self {
            data: data.into(),
            listen,
            tls: None,
            root_password: None,
            create_missing: BTreeSet::new(),
            version: HORIZON_VERSION.to_owned(),
            clock: Arc::new(SystemClock),
            limits: ListenerLimits::default(),
            logins: Authenticator::default(),
            audit: Arc::default(),
        }
    }

    /// Serves TLS.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Gives `root/root` this password.
    #[must_use]
    pub fn root_password(mut self, password: Secret) -> Self {
        self.root_password = Some(password);
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// Why an exchange could not start.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeServerError {
    /// Its folder cannot be used.
    #[error("cannot use its folder")]
    Folder(#[from] ClaimError),
    /// A part of its data is missing beside the others.
    #[error("cannot start without a part of its data")]
    Parts(#[from] DataPartsError),
    /// Its database cannot be used.
    #[error("cannot open the database `{}`", file.display())]
    Store {
        /// The database.
        file: PathBuf,
        /// What is wrong with it.
        source: StoreError,
    },
    /// Its key for stamps cannot be had.
    #[error("cannot sign stamps")]
    StampKey(#[source] SecretFileError),
    /// What every exchange has could not be made.
    #[error("cannot prepare the exchange")]
    Prepare(#[source] ApiError),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// What handlers share.
#[derive(Debug, Clone)]
pub struct AppState {
    /// What the exchange knows.
    pub(crate) store: Store,
    /// What tells the time.
    pub(crate) clock: Arc<dyn Clock>,
    /// What compares secrets.
    pub(crate) passwords: Passwords,
    /// Who logs in.
    pub(crate) logins: Authenticator,
    /// Where security events are recorded.
    pub(crate) audit: Arc<AuditLog>,
    /// What was found out for decisions about pull credentials.
    entitlement: Arc<EntitlementMemory>,
    /// What signed documents need.
    extension: Arc<Extension>,
    /// The memory of answers that are being sent.
    answers: Arc<Budget>,
    /// The memory of bodies that are being handled.
    bodies: Arc<Budget>,
    /// What Horizon's clients are told the exchange is.
    pub(crate) version: Arc<str>,
}

impl AppState {
    /// What handlers share, in the folder of `config`; and the password that was made up for
    /// `root/root`, if this is the first start and none was given.
    pub async fn open(
        config: &ExchangeConfig,
    ) -> Result<(Self, Option<Secret>), ExchangeServerError> {
        let [database, ..] = store::parts(&config.data);
        let mark = config.data.join(FIRST_START);
        let start = Start::admit(mark, store::parts(&config.data), &config.create_missing)?;
        let (_, file) = database;
        let extension = Extension::open(&config.data).map_err(ExchangeServerError::StampKey)?;
        let store = Store::open(&file).await;
        let store = store.map_err(|source| ExchangeServerError::Store { file, source })?;
        if store.is_rekeying().await {
            tracing::warn!(
                "a change of the vault's key was broken off; `edgepost exchange rekey` finishes it"
            );
        }
        if let Err(error) = store.report_clock(config.clock.now()).await {
            tracing::warn!(%error, "failed to compare the clock with the newest stamp");
        }
        let logins = config.logins.clone();
        let state = Self {
            store,
            clock: Arc::clone(&config.clock),
            passwords: Passwords::new(logins.clone()),
            logins,
            audit: Arc::clone(&config.audit),
            entitlement: Arc::default(),
            extension: Arc::new(extension),
            answers: Arc::new(lists::answers()),
            bodies: Arc::new(bodies::bodies()),
            version: config.version.as_str().into(),
        };
        let made = bootstrap::bootstrap(&state, config.root_password.as_ref()).await;
        let made = made.map_err(ExchangeServerError::Prepare)?;
        start.finish()?;
        Ok((state, made))
    }

    /// Notes that a node was heard of, if the caller is one.
    fn note_heartbeat(&self, caller: &Caller) {
        if let Some(node) = caller.node() {
            self.store.note_heartbeat(&caller.org, node, self.clock.now());
        }
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let before = now.checked_sub(CHANGES_KEPT).unwrap_or(now);
        self.store.prune_changes(before).await.map(|_| ())
    }
}

/// An exchange that is being served.
#[derive(Debug)]
pub struct ExchangeServer {
    listener: Listener,
    store: Store,
    extension: Arc<Extension>,
    audit: Arc<AuditLog>,
    clock: Arc<dyn Clock>,
    chores: JoinHandle<()>,
    made_password: Option<Secret>,
    _claim: Claim,
}

impl ExchangeServer {
    /// Opens the exchange and serves it.
    pub async fn bind(config: ExchangeConfig) -> Result<Self, ExchangeServerError> {
        let listener = BoundListener::open(config.listen, config.tls.as_ref())?;
        let claim = Claim::of(&config.data)?;
        Self::serve(config, claim, listener, |exchange| exchange).await
    }

    /// Opens the exchange in its folder, which is claimed already, and serves it on `listener` with
    /// something else: whatever is asked for outside of `/v1` goes to `beside`.
    pub async fn serve_beside(
        config: ExchangeConfig,
        claim: Claim,
        listener: BoundListener,
        beside: Router,
    ) -> Result<Self, ExchangeServerError> {
        Self::serve(config, claim, listener, |exchange| exchange.fallback_service(beside)).await
    }

    async fn serve(
        config: ExchangeConfig,
        claim: Claim,
        listener: BoundListener,
        serving: impl FnOnce(Router) -> Router,
    ) -> Result<Self, ExchangeServerError> {
        let (state, made_password) = AppState::open(&config).await?;
        let (store, extension) = (state.store.clone(), Arc::clone(&state.extension));
        let router = serving(router(state.clone()));
        let listener = listener.serve(router, config.limits);
        let chores = tokio::spawn(chores(state));
        Ok(Self {
            listener,
            store,
            extension,
            audit: config.audit,
            clock: config.clock,
            chores,
            made_password,
            _claim: claim,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Its address for clients, down to `/v1`.
    pub fn url(&self) -> String {
        format!("{}/v1", self.listener.url())
    }

    /// The password of `root/root`, if this start had to make one up.
    pub fn made_root_password(&self) -> Option<&Secret> {
        self.made_password.as_ref()
    }

    /// Loads the TLS certificate and key again.
    pub async fn reload(&self) {
        self.listener.reload().await;
    }

    /// Lets requests under way finish, and closes the database.
    pub async fn shutdown(self) {
        self.extension.close();
        self.listener.shutdown().await;
        self.chores.abort();
        if let Err(error) = self.store.write_heartbeats(self.clock.now()).await {
            tracing::warn!(%error, "the last heartbeats were not written");
        }
        self.store.close().await;
        self.audit.close();
    }
}

/// What is to be done now and then, until the server ends.
async fn chores(state: AppState) {
    let mut pruning = tokio::time::interval(PRUNING);
    let mut heartbeats = tokio::time::interval(HEARTBEATS);
    let mut maintenance = tokio::time::interval(MAINTENANCE);
    for interval in [&mut pruning, &mut heartbeats, &mut maintenance] {
        // After a long wait for the disk nothing is made up for.
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    let mut was_failing = false;
    loop {
        let done = tokio::select! {
            _ = pruning.tick() => state.prune().await,
            _ = heartbeats.tick() => {
                state.audit.write_counted(Instant::now());
                state.store.write_heartbeats(state.clock.now()).await
            }
            _ = maintenance.tick() => state.store.maintain().await,
        };
        // One line for all that fail in a row: a full disk would have it written every second.
        match (&done, was_failing) {
            (Err(error), false) => {
                let error = error as &dyn std::error::Error;
                tracing::warn!(
                    event = "maintenance.failed",
                    error,
                    "a background task of the exchange failed"
                );
            }
            (Ok(()), true) => {
                tracing::info!(event = "maintenance.recovered", "background tasks work again");
            }
            _ => (),
        }
        was_failing = done.is_err();
    }
}
