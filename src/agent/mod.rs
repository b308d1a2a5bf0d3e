//! The node: verifies, pulls and runs what it should.
//!
//! ```text
//!  wait ─► fetch ─► verify ─► commit marks ─► select ─► plan ─► pull ─► start ─► judge ─► report
//! ```
//!
//! Deciding is apart from doing: `select` and `plan` are plain functions, `settle` carries out what
//! they say. What could not be fetched or is not believed changes nothing; what runs goes on.

mod allowances;
mod change_log;
mod config;
mod containers;
mod credentials;
mod facts;
mod fetch;
mod folder;
mod hand_off;
mod identity;
mod import;
mod imports;
mod introduction;
mod library;
mod marks;
mod outcome;
pub mod plan;
mod profile;
mod provide;
mod pull;
mod pull_report;
mod reconcile;
mod register;
mod report;
pub mod runtime;
mod sandbox;
mod select;
mod settle;
mod source;
mod status;
#[cfg(test)]
mod testing;
mod trials;
mod turns;
mod verify;
mod watch;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub use allowances::{AllowanceChange, AllowanceError, Allowances, allowances, change_allowances};
pub use config::AgentConfig;
pub use containers::ContainersError;
pub use credentials::{LoginsError, Registries};
pub use facts::Machine;
pub use fetch::FetchError;
pub use folder::{FolderError, NodeFolder};
pub use identity::{Identity, IdentityError};
pub use import::{InventoryError, inventory};
pub use marks::MarksError;
pub use outcome::{AgentError, End, Outcome};
pub use pull::PullError;
pub use register::{RegisterError, Registered, Registration, register};
pub use runtime::{EngineChoice, Sockets};
pub use sandbox::allow_command;
pub use select::{PolicySource, Unfit};
pub use status::{Imported, Status, status};
pub use verify::Refused;

use crate::{
    agent::{
        credentials::Credentials,
        imports::Foreign,
        introduction::Introduction,
        marks::MarksFile,
        plan::Instance,
        pull::Images,
        report::Reported,
        runtime::{Afterwards, ContainerId, Runtime, RuntimeError},
        sandbox::Sandbox,
        source::Carried,
        trials::Trials,
        verify::Accepted,
    },
    claim::Claim,
    document::{HostAccess, NodePolicy, UserInputValue, matching::NodeFacts},
    exchange::client::ExchangeClient,
    registry::server::storage::Folder,
    types::{OrgId, ServiceId},
};

/// A registered node at work.
#[derive(Debug)]
pub struct Agent {
    config: AgentConfig,
    folder: NodeFolder,
    identity: Identity,
    exchange: ExchangeClient,
    marks: MarksFile,
    accepted: Accepted,
    /// What was accepted of other organizations.
    imports: BTreeMap<OrgId, Foreign>,
    images: Images,
    credentials: Credentials,
    runtime: Arc<dyn Runtime>,
    machine: Machine,
    facts: NodeFacts,
    policy: NodePolicy,
    /// What services can use of the host, as of the last pass.
    sandbox: Sandbox,
    /// What of it is allowed only since it was in use when the agent was upgraded.
    carried_over: Vec<HostAccess>,
    /// What became of the versions that are tried in turn.
    trials: Trials,
    /// Services that did not start or stay up, until they do.
    attempts: BTreeMap<Instance, Attempt>,
    /// The account that was last written.
    last: Option<Status>,
    /// What the exchange knows of this node, as far as it was told.
    introduction: Introduction,
    /// The report that the exchange has.
    reported: Option<Reported>,
    /// What is read in the place of exchange and registries, during an import.
    carried: Option<Carried>,
    /// What the last pass left in the engine: which containers, and whether they run; none if that
    /// could not be seen.
    left: Option<BTreeMap<ContainerId, bool>>,
    /// Asks for a pass without a further wait.
    retry_now: Arc<Notify>,
    /// Whether containers are being stopped and started.
    acting: tokio::sync::watch::Sender<bool>,
    /// Two agents on one folder would stop each other's containers.
    _claim: Claim,
}

/// A service that did not start or stay up.
#[derive(Debug, Clone)]
struct Attempt {
    service: ServiceId,
    deployment_hash: String,
    failures: u32,
    not_before: Timestamp,
    detail: String,
    rolled_back: bool,
}

impl Agent {
    /// Opens the node in the folder of `config`, with the engine that was chosen.
    pub async fn open(config: AgentConfig) -> Result<Self, AgentError> {
        // A folder in which no node was registered is left as it is, and is not made.
        let identity = Identity::load(&NodeFolder::at(&config.data))?;
        let claim = Claim::of(&config.data)?;
        let folder = NodeFolder::open(&config.data)?;
        let last = status(folder.path()).unwrap_or_default();
        let runtime = match &config.runtime {
            Some(runtime) => Arc::clone(runtime),
            None => runtime::choose(config.engine, &config.sockets, &folder.nothing()).await?,
        };
        if let Some(engine) = gone(&config, &*runtime, last.as_ref()) {
            return Err(AgentError::EngineGone { engine });
        }
        let exchange = ExchangeClient::new(&identity.exchange_config())?;
        if exchange.is_exposed() {
            tracing::warn!(
                event = "exchange.plain_http",
                exchange = exchange.url(),
                "the node's token crosses the network unencrypted; register the node with an https:// URL"
            );
        }
        let (marks, kept) = MarksFile::open(&folder.marks()).await?;
        let accepted = Accepted::restore(kept, &identity.trust)?.ok_or(AgentError::NoTrust)?;
        let images = Images::new(Folder::open(folder.store())?, folder.partial());
        let machine = Machine::measured(Path::new("/"));
        let policy = read_json::<NodePolicy>(&folder.policy())?.unwrap_or_default();
        let user_input: Vec<UserInputValue> = read_json(&folder.user_input())?.unwrap_or_default();
        let facts = NodeFacts { user_input, ..machine.facts(identity.arch.clone()) };
        let trials = folder.trials();
        let mut agent = Self {
            config,
            folder,
            identity,
            exchange,
            marks,
            accepted,
            imports: BTreeMap::new(),
            images,
            credentials: Credentials::default(),
            runtime,
            machine,
            facts,
            policy,
            sandbox: Sandbox::default(),
            carried_over: Vec::new(),
            trials: Trials::open(trials)?,
            attempts: BTreeMap::new(),
            last,
            introduction: Introduction::default(),
            reported: None,
            carried: None,
            left: None,
            retry_now: Arc::default(),
            acting: tokio::sync::watch::Sender::new(false),
            _claim: claim,
        };
        agent.restore_imports().await;
        Ok(agent)
    }

    /// The engine that runs its containers: `docker`, `podman` or `none`.
    pub fn engine(&self) -> &'static str {
        self.runtime.name()
    }

    /// What asks [`Agent::run`] for a pass at once, where it would wait for a change or for the time of the next pass.
    pub fn retry_now(&self) -> Arc<Notify> {
        Arc::clone(&self.retry_now)
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Stops and removes every container of this node, with its networks.
    pub async fn clear(&mut self) -> Result<(), RuntimeError> {
        for container in self.runtime.list(&self.identity.node).await? {
            self.runtime.stop(&container, Afterwards::Remove).await?;
        }
        Ok(())
    }

    /// Leaves the organization: stops what runs here, removes the node from the exchange, and forgets
    /// who it was and what it had pulled. The marks stay: whoever registers here again is not led back.
    pub async fn unregister(mut self) -> Result<(), AgentError> {
        self.clear().await?;
        self.exchange.remove_node(&self.identity.node.id).await?;
        Ok(self.folder.forget()?)
    }

    /// One pass: whatever should be done now is done, and its outcome told.
    pub async fn run_once(&mut self) -> Outcome {
        self.pass().await
    }

    /// The same, but broken off once `shutdown` is asked for. What was begun with the containers is
    /// brought to its end before, so that a version that was stopped for its successor does not stay down.
    pub async fn run_once_until(&mut self, shutdown: &CancellationToken) -> Option<Outcome> {
        let mut acting = self.acting.subscribe();
        let stop = async {
            shutdown.cancelled().await;
            // The sender lives as long as the agent.
            let _ = acting.wait_for(|it| !it).await;
        };
        tokio::select! {
            () = stop => None,
            outcome = self.pass() => Some(outcome),
        }
    }
}

/// The engine that ran the node's containers and does not answer now. To go on without one, as if it
/// had never been, would be to report as running what nobody sees.
fn gone(config: &AgentConfig, runtime: &dyn Runtime, last: Option<&Status>) -> Option<String> {
    let is_without = config.engine == EngineChoice::Auto && runtime.name() == "none";
    let before = &last.filter(|_| is_without && config.runtime.is_none())?.engine;
    (before != runtime.name()).then(|| before.clone())
}

/// A JSON file of the node's folder, if there is one.
fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FolderError> {
    let Some(bytes) = folder::read(path)? else {
        return Ok(None);
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| FolderError::malformed(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only if the agent's work can be given to another thread.
    fn spawned(mut agent: Agent) -> tokio::task::JoinHandle<Outcome> {
        tokio::spawn(async move {
            agent.run(CancellationToken::new()).await;
            agent.run_once().await
        })
    }

    #[test]
    fn an_agent_can_run_on_any_thread() {
        let _ = spawned;
    }
}
