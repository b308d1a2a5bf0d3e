//! One container of a deployment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    mount::{Bind, Device},
    port::{EphemeralPort, PublishedPort},
};

/// What an entry of an environment looks like, for schemas.
pub(in crate::document) const ENTRY_PATTERN: &str = "^[^=]+=";

/// One container: its image, and how the node runs it. A field that is `None` is not written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(
    rename = "Container",
    description = "One container: its image, and how the node runs it."
)]
pub struct Container<I> {
    /// The image, `registry/name:tag` or by its digest.
    pub image: I,
    /// What it runs, in the place of the `CMD` of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// What it begins with, in the place of the `ENTRYPOINT` of its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Its environment, `NAME=value` each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("items" = {"type": "string", "pattern": ENTRY_PATTERN}))]
    pub environment: Option<Vec<String>>,
    /// Capabilities of Linux that it gets, such as `NET_ADMIN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_add: Option<Vec<String>>,
    /// Options of the engine for its security.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_opt: Option<Vec<String>>,
    /// Whether it may do all that the node may; only for nodes that allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged: Option<bool>,
    /// `host` for the network of the node, or empty for one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = &"host")]
    pub network: Option<String>,
    /// `host` for the process ids of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    /// `host` for the shared memory of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    /// The user that it runs as, `name` or `uid[:gid]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where the engine sends its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<String>,
    /// Devices of the node that it sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<Device>>,
    /// Folders of the node, and volumes, that it sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binds: Option<Vec<Bind>>,
    /// Mount options of temporary file systems, by their path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<BTreeMap<String, String>>,
    /// Its ports that have a fixed port of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<PublishedPort>>,
    /// Its ports that get any free port of the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_ports: Option<Vec<EphemeralPort>>,
    /// The old name of `ports`; both count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("deprecated" = true))]
    pub specific_ports: Option<Vec<PublishedPort>>,
    /// The memory that it may use, in MiB; 0 is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_memory_mb: Option<u64>,
    /// The processors that it may use; 0 is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cpus: Option<f64>,
    /// Settings of the kernel for its name spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sysctls: Option<BTreeMap<String, String>>,
    /// What the container needs from a secret store, by the name it knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, Map<String, Value>>>,
    /// A label of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variation_label: Option<String>,
    /// What it may reach; an object of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_isolation: Option<Map<String, Value>>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl<I> Container<I> {
    /// Whether only a node that allows privileged services may run it (Horizon fact).
    pub fn needs_privilege(&self) -> bool {
        self.privileged == Some(true) || self.uses_host_network()
    }

    /// Whether it shares the network of the node, and so has no ports of its own.
    pub fn uses_host_network(&self) -> bool {
        self.network.as_deref() == Some("host")
    }

    /// The ports with a fixed port of the node, from both fields.
    pub fn published_ports(&self) -> impl Iterator<Item = &PublishedPort> {
        self.specific_ports.iter().chain(&self.ports).flatten()
    }

    /// The environment, as names and values.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let entries = self.environment.iter().flatten();
        entries.map(|it| it.split_once('=').unwrap_or((it.as_str(), "")))
    }

    /// The same container with another image.
    pub(super) fn with_image<J>(self, image: J) -> Container<J> {
        Container {
            image,
            command: self.command,
            entrypoint: self.entrypoint,
            environment: self.environment,
            cap_add: self.cap_add,
            security_opt: self.security_opt,
            privileged: self.privileged,
            network: self.network,
            pid: self.pid,
            ipc: self.ipc,
            user: self.user,
            log_driver: self.log_driver,
            devices: self.devices,
            binds: self.binds,
            tmpfs: self.tmpfs,
            ports: self.ports,
            ephemeral_ports: self.ephemeral_ports,
            specific_ports: self.specific_ports,
            max_memory_mb: self.max_memory_mb,
            max_cpus: self.max_cpus,
            sysctls: self.sysctls,
            secrets: self.secrets,
            variation_label: self.variation_label,
            network_isolation: self.network_isolation,
            unknown: self.unknown,
        }
    }
}
