//! A container as it should be, and as the engine says it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::{Digest, NodeRef, ServiceId};

/// The labels by which a container of ours is known, also after the agent has restarted.
pub mod labels {
    /// `org/node`: whose container it is.
    pub const NODE: &str = "edgepost.node";
    /// `org/service_version_arch`.
    pub const SERVICE: &str = "edgepost.service";
    /// The same as JSON, with its name as its author wrote it.
    pub const SERVICE_ID: &str = "edgepost.service-id";
    /// The instance of the service, which outlives its versions.
    pub const INSTANCE: &str = "edgepost.instance";
    /// The name it was made under. While it is kept for going back, the engine has another.
    pub const NAME: &str = "edgepost.name";
    /// The container's name within the service.
    pub const CONTAINER: &str = "edgepost.container";
    /// The SHA-256 of everything the container was made from.
    pub const DEPLOYMENT_HASH: &str = "edgepost.deployment-hash";
    /// The SHA-256 of the signed document that asked for it.
    pub const DOCUMENT: &str = "edgepost.document";
    /// What its service needs of the host, as a JSON array of strings.
    pub const HOST_ACCESS: &str = "edgepost.host-access";
    /// The network made for it, to be removed with its last container.
    pub const NETWORK: &str = "edgepost.network";
}

/// A container as it should be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainerPlan {
    /// Its name in the engine.
    pub name: String,
    /// The manifest digest of its image; the engine must hold it.
    pub image: Digest,
    /// Replaces the image's entrypoint, if given.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command, if given.
    pub command: Option<Vec<String>>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// What the host forwards to it.
    pub ports: Vec<Port>,
    /// `source:target[:options]`.
    pub binds: Vec<String>,
    /// Mount points in memory, with their options.
    pub tmpfs: BTreeMap<String, String>,
    /// The networks it joins; the first is its service's own. Empty: the host's network.
    pub networks: Vec<NetworkPlan>,
    /// Whether it may do nearly all that the host may.
    pub privileged: bool,
    /// Capabilities beyond the usual ones.
    pub cap_add: Vec<String>,
    /// Options of the kernel's security modules.
    pub security_opt: Vec<String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// The user that its process runs as, if not the image's.
    pub user: Option<String>,
    /// The namespace of processes, if not its own.
    pub pid: Option<String>,
    /// The namespace of shared memory, if not its own.
    pub ipc: Option<String>,
    /// Kernel parameters of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Where its output goes, if not to the engine's default.
    pub log_driver: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// Everything in [`labels`].
    pub labels: BTreeMap<String, String>,
}

impl ContainerPlan {
    /// A container of `image` on the host's network, and nothing else said about it.
    pub fn new(name: impl Into<String>, image: Digest) -> Self {
        Self {
            name: name.into(),
            image,
            entrypoint: None,
            command: None,
            environment: Vec::new(),
            ports: Vec::new(),
            binds: Vec::new(),
            tmpfs: BTreeMap::new(),
            networks: Vec::new(),
            privileged: false,
            cap_add: Vec::new(),
            security_opt: Vec::new(),
            devices: Vec::new(),
            user: None,
            pid: None,
            ipc: None,
            sysctls: BTreeMap::new(),
            log_driver: None,
            limits: Limits::default(),
            labels: BTreeMap::new(),
        }
    }
}

/// A port of the host, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Port {
    /// The address it is opened on; empty is every address.
    pub host_ip: String,
    /// The port of the host; empty lets the engine choose.
    pub host_port: String,
    /// `80/tcp`.
    pub container: String,
}

/// A device of the host inside a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its path on the host.
    pub host: String,
    /// Its path inside.
    pub container: String,
    /// Of `r`, `w` and `m`.
    pub permissions: String,
}

/// A network to join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkPlan {
    /// Its name in the engine.
    pub name: String,
    /// The names by which others in it find the container.
    pub aliases: Vec<String>,
}

/// What a container may use; absent is as much as there is.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Limits {
    /// Memory in bytes.
    pub memory: Option<i64>,
    /// Processors, in billionths of one.
    pub nano_cpus: Option<i64>,
}

/// What the engine calls a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContainerId(pub String);

/// A container of ours as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its id in the engine.
    pub id: ContainerId,
    /// The name it was made under.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is doing.
    pub state: ContainerState,
    /// Whether it was stopped for a successor and is kept for going back.
    pub kept: bool,
    /// How often the engine has started it again after it had ended.
    #[serde(default)]
    pub restarts: i64,
    /// The code with which its process ended last, while it does not run; none where that is not known.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// The image as the engine names it.
    pub image: String,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    /// It runs.
    Running,
    /// It ended and the engine is about to start it again.
    Restarting,
    /// It does not run.
    Stopped,
}

/// What is put behind the name of a container that is kept.
const KEPT: &str = ".previous";

impl Container {
    /// What the engine says about a container, if it is one of `node`'s.
    pub(super) fn of(
        node: &NodeRef,
        id: String,
        engine_name: &str,
        labels: BTreeMap<String, String>,
        state: ContainerState,
    ) -> Option<Self> {
        if labels.get(labels::NODE) != Some(&node.to_string()) {
            return None;
        }
        let engine_name = engine_name.trim_start_matches('/');
        let name = labels.get(labels::NAME).cloned().unwrap_or_else(|| engine_name.to_owned());
        let kept = engine_name != name;
        let id = ContainerId(id);
        Some(Self {
            id,
            name,
            labels,
            state,
            kept,
            restarts: 0,
            exit_code: None,
            created: 0,
            image: String::new(),
        })
    }

    /// The name it has, or would have, while it is kept.
    pub(super) fn kept_name(&self) -> String {
        format!("{}{KEPT}", self.name)
    }

    /// ` with exit code 3`, if its process has ended and the engine says how; else empty.
    pub(in crate::agent) fn exit(&self) -> String {
        let code = self.exit_code.filter(|_| self.state != ContainerState::Running);
        code.map(|code| format!(" with exit code {code}")).unwrap_or_default()
    }

    /// The instance of a service that it belongs to.
    pub fn instance(&self) -> &str {
        self.labels.get(labels::INSTANCE).map_or("", String::as_str)
    }

    /// The node that it belongs to.
    pub(super) fn node(&self) -> Option<NodeRef> {
        self.labels.get(labels::NODE)?.parse().ok()
    }

    /// The network that was made for its service; none on the host's.
    pub(super) fn network(&self) -> Option<&str> {
        self.labels.get(labels::NETWORK).map(String::as_str)
    }

    /// The service that it was made for; none if its labels do not say.
    pub fn service(&self) -> Option<ServiceId> {
        serde_json::from_str(self.labels.get(labels::SERVICE_ID)?).ok()
    }

    /// The hash of what it was made from.
    pub fn deployment_hash(&self) -> &str {
        self.labels.get(labels::DEPLOYMENT_HASH).map_or("", String::as_str)
    }
}
