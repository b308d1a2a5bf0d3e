//! Docker, by its API of 1.41 (20.10) and later; Podman answers the same calls.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    errors::Error as ApiError,
    models::{
        ContainerSummary, ContainerSummaryStateEnum, EndpointSettings, Network,
        NetworkConnectRequest, NetworkCreateRequest,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
        ListImagesOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
        RemoveImageOptionsBuilder, RenameContainerOptionsBuilder, StartContainerOptions,
        StopContainerOptionsBuilder,
    },
};
use futures_util::TryStreamExt as _;

use super::{
    Afterwards, Container, ContainerId, ContainerPlan, ContainerState, Runtime, RuntimeError,
    create::create_body, labels,
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

    /// What a container has been through; none if it has gone in between.
    pub(super) async fn lifetime_of(&self, id: &str) -> Result<Option<Lifetime>, RuntimeError> {
        match self.api.inspect_container(id, None).await {
            Ok(details) => Ok(Some(Lifetime {
                restarts: details.restart_count.unwrap_or_default(),
                exit_code: details.state.and_then(|it| it.exit_code),
            })),
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
        image: &str,
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

    /// Removes what a container that did not start leaves behind, as `engine` sees it. Trouble here must
    /// not hide why it did not start.
    pub(super) async fn give_up(&self, engine: &dyn Runtime, image: &str, plan: &ContainerPlan) {
        let node = plan.labels.get(labels::NODE).and_then(|it| it.parse().ok());
        let Some(node) = node else { return };
        let outcome = match engine.list(&node).await {
            Ok(left) => self.tidy(&node, image, &left).await,
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(error = %error, "something of a container that did not start is left");
        }
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

    /// Removes what a container of `node` that has gone, or was never made, leaves behind: its image, and
    /// every network of the node that none of `left`, its other containers, was made for.
    pub(super) async fn tidy(
        &self,
        node: &NodeRef,
        image: &str,
        left: &[Container],
    ) -> Result<(), RuntimeError> {
        self.remove_image(image).await;
        let filters = HashMap::from([
            ("label".to_owned(), vec![label_of(node)]),
            ("dangling".to_owned(), vec!["true".to_owned()]),
        ]);
        let options = ListNetworksOptionsBuilder::new().filters(&filters).build();
        let networks =
            self.api.list_networks(Some(options)).await.map_err(self.failed("list networks"))?;
        let is_ours = |it: &Network| {
            it.labels.as_ref().and_then(|it| it.get(labels::NODE)) == Some(&node.to_string())
        };
        for network in networks.into_iter().filter(is_ours).filter_map(|it| it.name) {
            // Also a container that is merely kept could not start again without its network.
            if !left.iter().any(|it| it.network() == Some(&network)) {
                self.remove_network(&network).await?;
            }
        }
        Ok(())
    }

    /// Removes an image if nobody else has a name for it: it has no tag, and came from a hand-off on
    /// loopback. The content store has it still. An image that another container uses stays, and so
    /// does whatever cannot be removed: that is only a matter of room.
    async fn remove_image(&self, id: &str) {
        let Ok(image) = self.api.inspect_image(id).await else { return };
        let tags = image.repo_tags.unwrap_or_default();
        let digests = image.repo_digests.unwrap_or_default();
        let is_handed_off = |name: &String| name.starts_with("127.0.0.1:");
        if !tags.is_empty() || digests.is_empty() || !digests.iter().all(is_handed_off) {
            return;
        }
        let options = RemoveImageOptionsBuilder::new().force(false).build();
        if let Err(error) = self.api.remove_image(id, Some(options), None).await {
            tracing::debug!(image = id, error = %error, "the image stays");
        }
    }

    async fn remove_network(&self, network: &str) -> Result<(), RuntimeError> {
        match self.api.remove_network(network).await {
            // In use: a container of another service has joined it, and leaves it by and by.
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
        let filters = HashMap::from([("label".to_owned(), vec![label_of(node)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let summaries = self
            .api
            .list_containers(Some(options))
            .await
            .map_err(self.failed("list containers"))?;
        let mut containers = Vec::new();
        for mut container in summaries.into_iter().filter_map(|it| container_of(node, it)) {
            let Some(lifetime) = self.lifetime_of(&container.id.0).await? else { continue };
            container.restarts = lifetime.restarts;
            container.exit_code = lifetime.exit_code;
            containers.push(container);
        }
        Ok(containers)
    }

    async fn start(&self, plan: &ContainerPlan) -> Result<ContainerId, RuntimeError> {
        let missing = RuntimeError::NoImage(plan.image);
        let image = self.image_id(&plan.image).await?.ok_or(missing)?;
        let outcome = self.start_from(&image, plan).await;
        if outcome.is_err() {
            self.give_up(self, &image, plan).await;
        }
        outcome
    }

    async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError> {
        self.end(container, then).await?;
        let Some(node) = container.node().filter(|_| then == Afterwards::Remove) else {
            return Ok(());
        };
        let left = self.list(&node).await?;
        self.tidy(&node, &container.image, &left).await
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

/// What a container has been through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    /// How often the engine has started it again.
    pub(super) restarts: i64,
    /// The code with which its process ended last; 0 while it has not.
    pub(super) exit_code: Option<i64>,
}

/// What tells the containers and networks of `node` from all others.
fn label_of(node: &NodeRef) -> String {
    format!("{}={node}", labels::NODE)
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
