//! What a node is, apart from its policy.

use serde::{Deserialize, Serialize};

pub(super) use crate::document::property::ALLOW_PRIVILEGED;
use crate::{
    document::{
        property::{Properties, Property, PropertyValue},
        user_input::UserInputValue,
    },
    types::Arch,
};

/// Where an agent in a cluster stands when nothing else is said (Horizon fact).
const DEFAULT_NAMESPACE: &str = "openhorizon-agent";

/// Whether a node runs containers by itself, or is the door to a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeType {
    /// It runs containers by itself, and needs a service's `deployment`.
    #[default]
    Device,
    /// It is the door to a cluster, and needs a service's `clusterDeployment`.
    Cluster,
}

/// What a node knows about itself, and the values its owner gives to services.
///
/// What was measured cannot be stated otherwise by a policy. What was not, is what the policy
/// states: an exchange has not measured any node.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeFacts {
    /// Its architecture.
    pub arch: Arch,
    /// How it runs services.
    pub node_type: NodeType,
    /// How many processors it has.
    pub cpus: Option<u64>,
    /// Its memory in MB.
    pub memory_mb: Option<u64>,
    /// What identifies its hardware, such as a serial number.
    pub hardware_id: Option<String>,
    /// Its operating system, such as `debian`.
    pub operating_system: Option<String>,
    /// Whether its agent runs in a container.
    pub containerized: Option<bool>,
    /// The version of its cluster.
    pub kubernetes_version: Option<String>,
    /// The name space of its agent, if it is the door to a cluster.
    pub cluster_namespace: Option<String>,
    /// Whether it is confined to that name space.
    pub namespace_scoped: Option<bool>,
    /// The values its owner gives to services.
    pub user_input: Vec<UserInputValue>,
}

impl NodeFacts {
    /// A device of which only the architecture is known.
    pub fn device(arch: Arch) -> Self {
        Self {
            arch,
            node_type: NodeType::Device,
            cpus: None,
            memory_mb: None,
            hardware_id: None,
            operating_system: None,
            containerized: None,
            kubernetes_version: None,
            cluster_namespace: None,
            namespace_scoped: None,
            user_input: Vec::new(),
        }
    }

    /// The door to a cluster of which only the architecture is known.
    pub fn cluster(arch: Arch) -> Self {
        Self { node_type: NodeType::Cluster, ..Self::device(arch) }
    }

    /// The built-in properties, as far as they are known: what a node adds to its policy.
    pub fn properties(&self) -> Properties {
        let number = |name, value: Option<u64>| value.map(|it| Property::new(name, it));
        let text =
            |name, value: &Option<String>| value.as_deref().map(|it: &str| Property::new(name, it));
        let truth = |name, value: Option<bool>| value.map(|it| Property::new(name, it));
        let both = [
            number("openhorizon.cpu", self.cpus),
            number("openhorizon.memory", self.memory_mb),
            Some(Property::new("openhorizon.arch", self.arch.as_str())),
        ];
        let of_device = [
            text("openhorizon.hardwareId", &self.hardware_id),
            text("openhorizon.operatingSystem", &self.operating_system),
            truth("openhorizon.containerized", self.containerized),
        ];
        let of_cluster = [
            text("openhorizon.kubernetesVersion", &self.kubernetes_version),
            text("openhorizon.kubernetesNamespace", &self.cluster_namespace),
            truth("openhorizon.kubernetesNamespaceScoped", self.namespace_scoped),
        ];
        let own = match self.node_type {
            NodeType::Device => of_device,
            NodeType::Cluster => of_cluster,
        };
        both.into_iter().chain(own).flatten().collect()
    }

    /// These over those that the owner states. Whether privileged services are allowed is the
    /// owner's to say; where nothing is said, a device does not allow them and a cluster, which has
    /// rules of its own, does.
    pub(super) fn properties_over(&self, stated: &Properties) -> Properties {
        let mut properties = self.properties().merged_with(stated);
        if properties.get(ALLOW_PRIVILEGED).is_none() {
            let allows = self.node_type == NodeType::Cluster;
            properties.set(Property::new(ALLOW_PRIVILEGED, allows));
        }
        properties
    }
}

/// The name space of a cluster's agent, and whether it is confined to it, by the properties that
/// count for it.
pub(super) fn namespace(of_node: &Properties) -> (&str, bool) {
    let value = |name: &str| of_node.get(name).map(|it| &it.value);
    let namespace = match value("openhorizon.kubernetesNamespace") {
        Some(PropertyValue::Text(text)) if !text.is_empty() => text,
        _ => DEFAULT_NAMESPACE,
    };
    let scoped = value("openhorizon.kubernetesNamespaceScoped");
    (namespace, scoped == Some(&PropertyValue::Bool(true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated() -> Properties {
        Properties::from_iter([
            Property::new("openhorizon.memory", 9999),
            Property::new("openhorizon.cpu", 64),
        ])
    }

    #[test]
    fn what_was_measured_cannot_be_stated_otherwise_and_what_was_not_can() {
        let mut facts = NodeFacts::device("amd64".parse().unwrap());
        facts.memory_mb = Some(512);
        let properties = facts.properties_over(&stated());
        assert_eq!(properties.get("openhorizon.memory").unwrap().value, 512.into());
        assert_eq!(properties.get("openhorizon.cpu").unwrap().value, 64.into());
        assert_eq!(properties.get(ALLOW_PRIVILEGED).unwrap().value, false.into());
        assert!(properties.get("openhorizon.hardwareId").is_none());
    }

    #[test]
    fn a_cluster_has_a_name_space_of_its_own_or_the_usual_one() {
        let mut facts = NodeFacts::cluster("amd64".parse().unwrap());
        assert_eq!(namespace(&facts.properties()), ("openhorizon-agent", false));
        facts.cluster_namespace = Some("shop".to_owned());
        facts.namespace_scoped = Some(true);
        let properties = facts.properties_over(&stated());
        assert_eq!(namespace(&properties), ("shop", true));
        assert_eq!(properties.get(ALLOW_PRIVILEGED).unwrap().value, true.into());
    }
}
