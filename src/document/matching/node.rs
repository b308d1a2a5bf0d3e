//! What a node is, apart from its policy.

use crate::{
    document::{
        property::{Properties, Property},
        user_input::UserInputValue,
    },
    types::Arch,
};

/// The one built-in property that a node's owner may set.
pub(super) const ALLOW_PRIVILEGED: &str = "openhorizon.allowPrivileged";

/// Whether a node runs containers by itself, or is the door to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NodeType {
    /// It runs containers by itself, and needs a service's `deployment`.
    #[default]
    Device,
    /// It is the door to a cluster, and needs a service's `clusterDeployment`.
    Cluster,
}

/// What a node knows about itself, and the values its owner gives to services.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFacts {
    /// Its architecture.
    pub arch: Arch,
    /// How it runs services.
    pub node_type: NodeType,
    /// How many processors it has.
    pub cpus: u64,
    /// Its memory in MB.
    pub memory_mb: u64,
    /// What identifies its hardware, such as a serial number; empty is unknown.
    pub hardware_id: String,
    /// Its operating system, such as `debian`; empty is unknown.
    pub operating_system: String,
    /// Whether its agent runs in a container.
    pub containerized: bool,
    /// The name space that it is confined to, if it is the door to a part of a cluster.
    pub cluster_namespace: Option<String>,
    /// The values its owner gives to services.
    pub user_input: Vec<UserInputValue>,
}

impl NodeFacts {
    /// A device of which only the architecture is known.
    pub fn device(arch: Arch) -> Self {
        Self {
            arch,
            node_type: NodeType::Device,
            cpus: 0,
            memory_mb: 0,
            hardware_id: String::new(),
            operating_system: String::new(),
            containerized: false,
            cluster_namespace: None,
            user_input: Vec::new(),
        }
    }

    /// The properties that every node has, from what it is.
    pub fn properties(&self) -> Properties {
        let mut properties = Properties::from_iter([
            Property::new("openhorizon.cpu", self.cpus),
            Property::new("openhorizon.memory", self.memory_mb),
            Property::new("openhorizon.arch", self.arch.as_str()),
            Property::new("openhorizon.hardwareId", self.hardware_id.as_str()),
            Property::new("openhorizon.operatingSystem", self.operating_system.as_str()),
            Property::new("openhorizon.containerized", self.containerized),
        ]);
        if self.node_type == NodeType::Cluster {
            let namespace = self.cluster_namespace.as_deref().unwrap_or_default();
            properties.set(Property::new("openhorizon.kubernetesNamespace", namespace));
            let scoped = self.cluster_namespace.is_some();
            properties.set(Property::new("openhorizon.kubernetesNamespaceScoped", scoped));
        }
        properties
    }

    /// These over those that the owner states; only `openhorizon.allowPrivileged` is the owner's,
    /// and false where nothing is said.
    pub(super) fn properties_over(&self, stated: &Properties) -> Properties {
        let mut properties = self.properties().merged_with(stated);
        if properties.get(ALLOW_PRIVILEGED).is_none() {
            properties.set(Property::new(ALLOW_PRIVILEGED, false));
        }
        properties
    }
}
