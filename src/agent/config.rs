//! What an agent is told beforehand.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    agent::{
        credentials::Registries,
        runtime::{EngineChoice, Runtime, Sockets},
    },
    types::{Clock, SystemClock},
};

/// How an agent runs. Who it is stands in its folder.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AgentConfig {
    /// The node's folder.
    pub data: PathBuf,
    /// Which engine runs the containers.
    pub engine: EngineChoice,
    /// Where engines listen.
    pub sockets: Sockets,
    /// What the operator says about registries.
    pub registries: Registries,
    /// How often it looks at everything while nothing happens. The exchange tells of changes at
    /// once; this is for what nobody tells of.
    pub poll: Duration,
    /// How often it looks whether the engine still has what it left there.
    pub look: Duration,
    /// How long a container must run before it counts as started.
    pub watch: Duration,
    /// The shortest wait before something that failed is tried again.
    pub first_wait: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Runs the containers in place of an engine of this machine: for tests and embedders.
    pub runtime: Option<Arc<dyn Runtime>>,
}

impl AgentConfig {
    /// The node in the folder `data`, the first engine that answers, a look every five minutes.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            engine: EngineChoice::Auto,
            sockets: Sockets::default(),
            registries: Registries::default(),
            poll: Duration::from_mins(5),
            look: Duration::from_secs(10),
            watch: Duration::from_secs(2),
            first_wait: Duration::from_secs(1),
            clock: Arc::new(SystemClock),
            runtime: None,
        }
    }

    /// Says which engine runs the containers.
    #[must_use]
    pub fn engine(mut self, engine: EngineChoice) -> Self {
        self.engine = engine;
        self
    }

    /// Says where engines listen.
    #[must_use]
    pub fn sockets(mut self, sockets: Sockets) -> Self {
        self.sockets = sockets;
        self
    }

    /// Says what the operator says about registries.
    #[must_use]
    pub fn registries(mut self, registries: Registries) -> Self {
        self.registries = registries;
        self
    }

    /// Says how often it looks at everything.
    #[must_use]
    pub fn poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// Says how often it looks at the engine.
    #[must_use]
    pub fn look(mut self, look: Duration) -> Self {
        self.look = look;
        self
    }

    /// Says how long a container must run before it counts as started.
    #[must_use]
    pub fn watch(mut self, watch: Duration) -> Self {
        self.watch = watch;
        self
    }

    /// Says how soon something that failed may be tried again.
    #[must_use]
    pub fn first_wait(mut self, first_wait: Duration) -> Self {
        self.first_wait = first_wait;
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Runs the containers by `runtime`.
    #[must_use]
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }
}
