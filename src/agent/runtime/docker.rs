//! Docker, by its API of 1.41 (20.10) and later; Podman answers the same calls.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    errors::Error as ApiError,
    models::{
        ContainerCreateBody, ContainerSummary, ContainerSummaryStateEnum, DeviceMapping,
        EndpointSettings, HostConfig, HostConfigLogConfig, NetworkConnectRequest,
        NetworkCreateRequest, NetworkingConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
        ListImagesOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
        RenameContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
    },
};
use futures_util::TryStreamExt as _;

use super::{
    Afterwards, Container, ContainerId, ContainerPlan, ContainerState, Runtime, RuntimeError,
    labels,
};
use crate::{
    image::engine::EngineEndpoint,
    types::{Digest, NodeRef, PinnedImage},
};

/// How long one answer may take: a stop waits for the container, a slow disk for a start.
const PATIENCE: Duration = Duration::from_mins(2);

/// How long a container has between the request to end and its end by force, in seconds.
const GRACE: i32 = 10;

/// A Docker engine on this machine.
#[derive(Debug, Clone)]
pub struct Docker {
    api: bollard::Docker,
    engine: &'static str,
}

impl Docker {
    /// The engine behind an endpoint, once it has answered.
    pub async fn connect(endpoint: &EngineEndpoint) -> Result<Self, RuntimeError> {
        let api = endpoint.connect(PATIENCE).await.map_err(|source| RuntimeError::Away {
            endpoint: endpoint.to_string(),
            source: Box::new(source),
        })?;
        Ok(Self { api, engine: "docker" })
    }

    /// The same under the name of another engine that answers Docker's API.
    pub(super) fn named(self, engine: &'static str) -> Self {
        Self { engine, ..self }
    }

    /// Whether it is Podman that answers.
    pub(super) async fn is_podman(&self) -> Result<bool, RuntimeError> {
        let version = self.api.version().await.map_err(self.failed("say what it is"))?;
        let parts = version.components.unwrap_or_default();
        Ok(parts.iter().any(|it| it.name.to_lowercase().contains("podman")))
    }

    fn failed(&self, task: impl Into<String>) -> impl FnOnce(ApiError) -> RuntimeError {
        let (engine, task) = (self.engine, task.into());
        move |source| RuntimeError::Failed { engine, task, source: Box::new(source) }
    }

    /// The engine's id of the image with this manifest digest, whichever repository it came from.
    async fn image_id(&self, manifest: &Digest) -> Result<Option<String>, RuntimeError> {
        let options = ListImagesOptionsBuilder::new().digests(true).build();
        let images =
            self.api.list_images(Some(options)).await.map_err(self.failed("list its images"))?;
        let suffix = format!("@{manifest}");
        let found =
            images.into_iter().find(|it| it.repo_digests.iter().any(|d| d.ends_with(&suffix)));
        Ok(found.map(|it| it.id))
    }

    /// How often the engine has started a container again; none if it has gone in between.
    pub(super) async fn restarts_of(&self, id: &str) -> Result<Option<i64>, RuntimeError> {
        match self.api.inspect_container(id, None).await {
            Ok(details) => Ok(Some(details.restart_count.unwrap_or_default())),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(self.failed(format!("look at container {id}"))(error)),
        }
    }

    /// Makes a network unless there is one of that name.
    async fn ensure_network(&self, name: &str, plan: &ContainerPlan) -> Result<(), RuntimeError> {
        match self.api.inspect_network(name, None).await {
            Ok(_) => return Ok(()),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(self.failed(format!("look for network {name}"))(error)),
        }
        let node = plan.labels.get(labels::NODE).cloned().unwrap_or_default();
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(HashMap::from([(labels::NODE.to_owned(), node)])),
            ..Default::default()
        };
        self.api
            .create_network(request)
            .await
            .map_err(self.failed(format!("create network {name}")))?;
        Ok(())
    }

    /// Creates and starts a container from the image with the engine's id `image`.
    pub(super) async fn start_from(
        &self,
        image: String,
        plan: &ContainerPlan,
    ) -> Result<ContainerId, RuntimeError> {
        for network in &plan.networks {
            self.ensure_network(&network.name, plan).await?;
        }
        let options = CreateContainerOptionsBuilder::new().name(&plan.name).build();
        let created = self
            .api
            .create_container(Some(options), create_body(plan, image))
            .await
            .map_err(self.failed(format!("create container {}", plan.name)))?;
        if let Err(error) = self.join_and_start(&created.id, plan).await {
            // It never ran: left in place, it would only block its own name.
            if let Err(second) = self.remove(&created.id, &plan.name).await {
                tracing::warn!(error = %second, "a container that did not start could not be removed");
            }
            return Err(error);
        }
        Ok(ContainerId(created.id))
    }

    async fn join_and_start(&self, id: &str, plan: &ContainerPlan) -> Result<(), RuntimeError> {
        for network in plan.networks.iter().skip(1) {
            let aliases = Some(network.aliases.clone());
            let request = NetworkConnectRequest {
                container: id.to_owned(),
                endpoint_config: Some(EndpointSettings { aliases, ..Default::default() }),
            };
            self.api
                .connect_network(&network.name, request)
                .await
                .map_err(self.failed(format!("connect {} to {}", plan.name, network.name)))?;
        }
        self.api
            .start_container(id, None::<StartContainerOptions>)
            .await
            .map_err(self.failed(format!("start container {}", plan.name)))
    }

    async fn remove(&self, id: &str, name: &str) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.api.remove_container(id, Some(options)).await {
            Err(error) if !is_missing(&error) => {
                Err(self.failed(format!("remove container {name}"))(error))
            }
            _ => Ok(()),
        }
    }

    async fn rename(&self, id: &str, name: &str) -> Result<(), RuntimeError> {
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        self.api
            .rename_container(id, options)
            .await
            .map_err(self.failed(format!("rename a container to {name}")))
    }

    /// Removes the image of a removed container, if nobody else has a name for it: it has no tag, and
    /// came from a hand-off on loopback. The content store has it still. An image that another
    /// container uses stays, and so does whatever cannot be removed: that is only a matter of room.
    pub(super) async fn remove_image_of(&self, container: &Container) {
        let Ok(image) = self.api.inspect_image(&container.image).await else { return };
        let tags = image.repo_tags.unwrap_or_default();
        let digests = image.repo_digests.unwrap_or_default();
        let is_handed_off = |name: &String| name.starts_with("127.0.0.1:");
        if !tags.is_empty() || digests.is_empty() || !digests.iter().all(is_handed_off) {
            return;
        }
        let options = RemoveImageOptionsBuilder::new().force(false).build();
        if let Err(error) = self.api.remove_image(&container.image, Some(options), None).await {
            tracing::debug!(image = container.image, error = %error, "the image stays");
        }
    }

    /// Removes the network of a container that has gone, unless one of `left` belongs in it: also one
    /// that is merely kept could not start again without.
    pub(super) async fn remove_network_of(
        &self,
        container: &Container,
        left: &[Container],
    ) -> Result<(), RuntimeError> {
        let Some(network) = container.labels.get(labels::NETWORK) else {
            return Ok(());
        };
        if left.iter().any(|it| it.labels.get(labels::NETWORK) == Some(network)) {
            return Ok(());
        }
        match self.api.remove_network(network).await {
            // In use: a container of another service has joined it, and will remove it by and by.
            Err(ApiError::DockerResponseServerError { status_code: 403 | 404 | 409, .. })
            | Ok(()) => Ok(()),
            Err(error) => Err(self.failed(format!("remove network {network}"))(error)),
        }
    }

    /// Stops a container, and removes or renames it; its network stays.
    pub(super) async fn end(
        &self,
        container: &Container,
        then: Afterwards,
    ) -> Result<(), RuntimeError> {
        let id = &container.id.0;
        let options = StopContainerOptionsBuilder::new().t(GRACE).build();
        match self.api.stop_container(id, Some(options)).await {
            // 304: it has stopped already.
            Err(ApiError::DockerResponseServerError { status_code: 304, .. }) | Ok(()) => {}
            Err(error) if is_missing(&error) => return Ok(()),
            Err(error) => {
                return Err(self.failed(format!("stop container {}", container.name))(error));
            }
        }
        match then {
            Afterwards::Remove => self.remove(id, &container.name).await,
            Afterwards::Keep if container.kept => Ok(()),
            Afterwards::Keep => self.rename(id, &container.kept_name()).await,
        }
    }
}

#[async_trait]
impl Runtime for Docker {
    fn name(&self) -> &'static str {
        self.engine
    }

    async fn has_image(&self, manifest: &Digest) -> Result<bool, RuntimeError> {
        Ok(self.image_id(manifest).await?.is_some())
    }

    async fn pull(&self, image: &PinnedImage) -> Result<(), RuntimeError> {
        let options = CreateImageOptionsBuilder::new()
            .from_image(&image.repository.to_string())
            .tag(&image.digest.to_string())
            .build();
        self.api
            .create_image(Some(options), None, None)
            .try_for_each(|_| async { Ok(()) })
            .await
            .map_err(self.failed(format!("take over image {image}")))
    }

    async fn list(&self, node: &NodeRef) -> Result<Vec<Container>, RuntimeError> {
        let wanted = vec![format!("{}={node}", labels::NODE)];
        let filters = HashMap::from([("label".to_owned(), wanted)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let summaries = self
            .api
            .list_containers(Some(options))
            .await
            .map_err(self.failed("list containers"))?;
        let mut containers = Vec::new();
        for mut container in summaries.into_iter().filter_map(|it| container_of(node, it)) {
            let Some(restarts) = self.restarts_of(&container.id.0).await? else { continue };
            container.restarts = restarts;
            containers.push(container);
        }
        Ok(containers)
    }

    async fn start(&self, plan: &ContainerPlan) -> Result<ContainerId, RuntimeError> {
        let missing = RuntimeError::NoImage(plan.image);
        let image = self.image_id(&plan.image).await?.ok_or(missing)?;
        self.start_from(image, plan).await
    }

    async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError> {
        self.end(container, then).await?;
        let Some(node) = container.node().filter(|_| then == Afterwards::Remove) else {
            return Ok(());
        };
        self.remove_image_of(container).await;
        let left = self.list(&node).await?;
        self.remove_network_of(container, &left).await
    }

    async fn revive(&self, container: &Container) -> Result<(), RuntimeError> {
        let id = &container.id.0;
        if container.kept {
            self.rename(id, &container.name).await?;
        }
        self.api
            .start_container(id, None::<StartContainerOptions>)
            .await
            .map_err(self.failed(format!("start container {} again", container.name)))
    }
}

fn is_missing(error: &ApiError) -> bool {
    matches!(error, ApiError::DockerResponseServerError { status_code: 404, .. })
}

fn container_of(node: &NodeRef, summary: ContainerSummary) -> Option<Container> {
    let labels: BTreeMap<_, _> = summary.labels.unwrap_or_default().into_iter().collect();
    let state = match summary.state {
        Some(ContainerSummaryStateEnum::RUNNING) => ContainerState::Running,
        Some(ContainerSummaryStateEnum::RESTARTING) => ContainerState::Restarting,
        _ => ContainerState::Stopped,
    };
    let name = summary.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    let mut container = Container::of(node, summary.id?, &name, labels, state)?;
    container.created = summary.created.unwrap_or_default();
    container.image = summary.image.unwrap_or_default();
    Some(container)
}

fn some<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

fn create_body(plan: &ContainerPlan, image: String) -> ContainerCreateBody {
    let endpoints = plan.networks.first().map(|network| {
        let aliases = Some(network.aliases.clone());
        HashMap::from([(network.name.clone(), EndpointSettings { aliases, ..Default::default() })])
    });
    ContainerCreateBody {
        image: Some(image),
        user: plan.user.clone(),
        env: Some(plan.environment.clone()),
        cmd: plan.command.clone(),
        entrypoint: plan.entrypoint.clone(),
        exposed_ports: some(plan.ports.iter().map(|it| it.container.clone()).collect()),
        labels: Some(plan.labels.clone().into_iter().collect()),
        networking_config: Some(NetworkingConfig { endpoints_config: endpoints }),
        host_config: Some(host_config(plan)),
        ..Default::default()
    }
}

fn host_config(plan: &ContainerPlan) -> HostConfig {
    let mut ports: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &plan.ports {
        let binding = PortBinding {
            host_ip: some(port.host_ip.clone()),
            host_port: some(port.host_port.clone()),
        };
        ports.entry(port.container.clone()).or_default().get_or_insert_default().push(binding);
    }
    let devices = plan.devices.iter().map(|it| DeviceMapping {
        path_on_host: Some(it.host.clone()),
        path_in_container: Some(it.container.clone()),
        cgroup_permissions: Some(it.permissions.clone()),
    });
    let network = plan.networks.first().map_or("host", |it| it.name.as_str());
    HostConfig {
        binds: some(plan.binds.clone()),
        tmpfs: some(plan.tmpfs.clone().into_iter().collect()),
        network_mode: Some(network.to_owned()),
        port_bindings: some(ports),
        privileged: Some(plan.privileged),
        cap_add: some(plan.cap_add.clone()),
        security_opt: some(plan.security_opt.clone()),
        devices: some(devices.collect()),
        pid_mode: plan.pid.clone(),
        ipc_mode: plan.ipc.clone(),
        sysctls: some(plan.sysctls.clone().into_iter().collect()),
        memory: plan.limits.memory,
        nano_cpus: plan.limits.nano_cpus,
        log_config: plan
            .log_driver
            .clone()
            .map(|driver| HostConfigLogConfig { typ: Some(driver), config: None }),
        // Always, but for one that was stopped on purpose: a kept container must not come up
        // beside its successor when the engine restarts.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::UNLESS_STOPPED),
            maximum_retry_count: None,
        }),
        ..Default::default()
    }
}
