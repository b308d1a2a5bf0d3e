//! From a chosen service to the containers it is made of. A pure function.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    agent::{
        facts::Machine,
        identity::Identity,
        plan::{Instance, WantedService},
        runtime::{ContainerPlan, Device, Limits, NetworkPlan, Port, labels},
        select::Chosen,
    },
    document::{
        Container, Deployment, HostAccess, ServiceBody, ServiceBodyError,
        user_input::{EnvironmentError, environment},
    },
    trust::Verified,
    types::{Digest, NodeRef, OrgId, PinnedImage, ServiceUrl},
};

/// How much of a service's name stands in the names of its containers: engines take long names,
/// people do not.
const LONGEST_NAME: usize = 40;

/// Why a verified service cannot be made into containers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainersError {
    /// It has no deployment that could run.
    #[error("the service cannot be run")]
    Deployment(#[from] ServiceBodyError),
    /// A variable it asks for has no value that could be given.
    #[error("the service cannot be given its variables")]
    Environment(#[from] EnvironmentError),
    /// A path of the host that it mounts leads elsewhere than when it was judged, or nowhere.
    #[error("failed to resolve {0} on this host")]
    Path(HostAccess),
    /// It needs more of the host than the node's owner allows.
    #[error("{0}")]
    Refused(String),
}

impl Instance {
    /// The instance of a service on a node: readable, and different on every node, since two nodes
    /// can share an engine.
    pub fn of(node: &NodeRef, org: &OrgId, url: &ServiceUrl) -> Self {
        let name = engine_name(&url.mangled());
        let name: String = name.chars().take(LONGEST_NAME).collect();
        Self(format!("{name}-{}", &Self::id(node, org, url)[..8]))
    }

    /// The same as 64 hexadecimal digits, which stand where Horizon has the agreement's id.
    pub fn id(node: &NodeRef, org: &OrgId, url: &ServiceUrl) -> String {
        Digest::of(format!("{node}\n{org}/{url}").as_bytes()).hex()
    }
}

/// A name that engines take: other characters become `-`, and it begins with a letter or digit.
fn engine_name(text: &str) -> String {
    let mut name: String = text
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '-' })
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name.insert(0, '0');
    }
    name
}

/// The containers of `chosen`, from its verified document and nothing else that came from outside.
pub(super) fn wanted(
    chosen: &Chosen,
    document: &Verified<ServiceBody>,
    node: &Identity,
    machine: &Machine,
) -> Result<WantedService, ContainersError> {
    let body = document.body();
    let deployment = body.deployment()?;
    let asked = environment(&body.definition.user_input, &chosen.given)?;
    let (org, url) = (&chosen.id.org, &chosen.id.url);
    let instance = Instance::of(&node.node, org, url);
    let mut variables: BTreeMap<String, String> = asked.into_iter().collect();
    variables.extend(about_the_node(chosen, node, machine));

    let mut containers: Vec<ContainerPlan> = deployment
        .services
        .iter()
        .map(|(name, container)| {
            let mut plan = container_plan(&instance, name, container);
            plan.environment = merged(container, &chosen.overrides, name, &variables);
            if !container.uses_host_network() {
                plan.networks = networks(&instance, name, &node.node, chosen);
            }
            plan
        })
        .collect();
    let hash = deployment_hash(&containers);
    let access: BTreeSet<HostAccess> =
        deployment.host_access().into_iter().map(|it| it.access).collect();
    // Strings are always JSON.
    let access = serde_json::to_string(&access).unwrap_or_default();
    for (plan, name) in containers.iter_mut().zip(deployment.services.keys()) {
        label(plan, name, &instance, chosen, node, document.digest(), &hash);
        plan.labels.insert(labels::HOST_ACCESS.to_owned(), access.clone());
    }
    let images = images(&deployment);
    let document = document.digest();
    Ok(WantedService { id: chosen.id.clone(), instance, document, images, containers })
}

fn images(deployment: &Deployment<PinnedImage>) -> Vec<PinnedImage> {
    let mut images: Vec<_> = deployment.services.values().map(|it| it.image.clone()).collect();
    images.sort();
    images.dedup();
    images
}

/// What every container is told, under Horizon's names.
fn about_the_node(chosen: &Chosen, node: &Identity, machine: &Machine) -> Vec<(String, String)> {
    let pattern = node.pattern.as_ref().map(ToString::to_string).unwrap_or_default();
    let instance = Instance::id(&node.node, &chosen.id.org, &chosen.id.url);
    [
        ("HZN_NODE_ID", node.node.id.to_string()),
        ("HZN_DEVICE_ID", node.node.id.to_string()),
        ("HZN_ORGANIZATION", node.node.org.to_string()),
        ("HZN_PATTERN", pattern),
        ("HZN_EXCHANGE_URL", node.exchange.clone()),
        ("HZN_AGREEMENTID", instance),
        ("HZN_ARCH", node.arch.to_string()),
        ("HZN_CPUS", machine.cpus.to_string()),
        ("HZN_RAM", machine.memory.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// The container's own environment, overridden by the pattern or policy, then by what the node
/// and its operator say.
fn merged(
    container: &Container<PinnedImage>,
    overrides: &Value,
    name: &str,
    variables: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut all: BTreeMap<&str, &str> = container.variables().collect();
    let overridden = overrides["services"][name]["environment"].as_array();
    for entry in overridden.into_iter().flatten().filter_map(Value::as_str) {
        let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
        all.insert(name, value);
    }
    all.extend(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    all.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// The service's own network, and those of the services that it requires.
fn networks(instance: &Instance, name: &str, node: &NodeRef, chosen: &Chosen) -> Vec<NetworkPlan> {
    let own = NetworkPlan { name: instance.0.clone(), aliases: vec![name.to_owned()] };
    let required = chosen.requires.iter().map(|(org, url)| NetworkPlan {
        name: Instance::of(node, org, url).0,
        aliases: Vec::new(),
    });
    [own].into_iter().chain(required).collect()
}

fn container_plan(
    instance: &Instance,
    name: &str,
    container: &Container<PinnedImage>,
) -> ContainerPlan {
    let full_name = format!("{}-{}", instance.0, engine_name(name));
    let published = container.published_ports().map(|port| Port {
        host_ip: port.host_ip.clone().unwrap_or_default(),
        host_port: port.host_port.host().to_string(),
        container: format!("{}/{}", port.host_port.container(), port.host_port.protocol()),
    });
    let ephemeral = container.ephemeral_ports.iter().flatten().map(|port| Port {
        host_ip: if port.localhost_only == Some(true) { "127.0.0.1" } else { "" }.to_owned(),
        host_port: String::new(),
        container: format!(
            "{}/{}",
            port.port_and_protocol.port(),
            port.port_and_protocol.protocol()
        ),
    });
    let devices = container.devices.iter().flatten().map(|device| Device {
        host: device.host().to_owned(),
        container: device.container().to_owned(),
        permissions: device.permissions().to_owned(),
    });
    let some = |text: &Option<String>| text.clone().filter(|it| !it.is_empty());
    ContainerPlan {
        entrypoint: container.entrypoint.clone().filter(|it| !it.is_empty()),
        command: container.command.clone().filter(|it| !it.is_empty()),
        ports: if container.uses_host_network() {
            Vec::new()
        } else {
            published.chain(ephemeral).collect()
        },
        binds: container.binds.iter().flatten().map(ToString::to_string).collect(),
        tmpfs: container.tmpfs.clone().unwrap_or_default(),
        privileged: container.privileged == Some(true),
        cap_add: container.cap_add.clone().unwrap_or_default(),
        security_opt: container.security_opt.clone().unwrap_or_default(),
        devices: devices.collect(),
        user: some(&container.user),
        pid: some(&container.pid),
        ipc: some(&container.ipc),
        sysctls: container.sysctls.clone().unwrap_or_default(),
        log_driver: some(&container.log_driver),
        limits: limits(container),
        ..ContainerPlan::new(full_name, container.image.digest)
    }
}

fn limits(container: &Container<PinnedImage>) -> Limits {
    const MIB: u64 = 1 << 20;
    let memory = container.max_memory_mb.filter(|it| *it > 0);
    let cpus = container.max_cpus.filter(|it| it.is_finite() && *it > 0.0);
    Limits {
        memory: memory.map(|it| i64::try_from(it.saturating_mul(MIB)).unwrap_or(i64::MAX)),
        #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
        nano_cpus: cpus.map(|it| (it * 1e9).round() as i64),
    }
}

/// The SHA-256 of everything the containers are made from: a container with another hash is
/// replaced. Labels are left out, so that a renewed signature alone restarts nothing.
fn deployment_hash(containers: &[ContainerPlan]) -> String {
    // Every key is a text and every number an integer, so that this cannot fail.
    Digest::of(&serde_json::to_vec(containers).unwrap_or_default()).hex()
}

fn label(
    plan: &mut ContainerPlan,
    name: &str,
    instance: &Instance,
    chosen: &Chosen,
    node: &Identity,
    document: Digest,
    hash: &str,
) {
    let mut put = |label: &str, value: String| plan.labels.insert(label.to_owned(), value);
    put(labels::NODE, node.node.to_string());
    put(labels::SERVICE, chosen.id.to_string());
    // Four texts: they are always JSON.
    put(labels::SERVICE_ID, serde_json::to_string(&chosen.id).unwrap_or_default());
    put(labels::INSTANCE, instance.0.clone());
    put(labels::CONTAINER, name.to_owned());
    put(labels::DEPLOYMENT_HASH, hash.to_owned());
    put(labels::DOCUMENT, document.to_string());
    if let Some(network) = plan.networks.first() {
        plan.labels.insert(labels::NETWORK.to_owned(), network.name.clone());
    }
    plan.labels.insert(labels::NAME.to_owned(), plan.name.clone());
}
