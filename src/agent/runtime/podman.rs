//! Podman: Docker's API on its own socket, but for pulling.
//!
//! Podman 4 refuses plain HTTP on Docker's `/images/create`, whatever the host; its own
//! `/libpod/images/pull` takes `tlsVerify=false`, which we give for loopback alone.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Afterwards, Container, ContainerId, ContainerPlan, ContainerState, Docker, Runtime,
    RuntimeError, docker::Lifetime, labels,
};
use crate::{
    image::engine::EngineEndpoint,
    types::{Digest, NodeRef, PinnedImage},
};

/// Podman's own interface, of version 4 and later.
const LIBPOD: &str = "v4.0.0/libpod";

/// The longest answer that is read: a line for each layer, an entry for each image.
const LONGEST_ANSWER: usize = 4 << 20;

/// How long Podman may be silent during a pull: it reports layer by layer, and big ones take long.
const PATIENCE: Duration = Duration::from_mins(10);

/// A Podman engine on this machine.
#[derive(Debug, Clone)]
pub struct Podman {
    docker: Docker,
    http: reqwest::Client,
    /// Where Podman's own interface begins.
    libpod: String,
}

/// One line of the report of `/libpod/images/pull`.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    error: String,
}

impl Podman {
    /// The engine that answers at `endpoint` as `docker` does.
    pub(super) fn behind(docker: Docker, endpoint: &EngineEndpoint) -> Result<Self, RuntimeError> {
        let builder =
            reqwest::Client::builder().no_proxy().read_timeout(PATIENCE).pool_max_idle_per_host(0);
        let away = |source| RuntimeError::Away { endpoint: endpoint.to_string(), source };
        let (builder, host) = match endpoint {
            EngineEndpoint::Unix(path) => (builder.unix_socket(path.clone()), "podman"),
            EngineEndpoint::Tcp(host) => (builder, host.as_str()),
            EngineEndpoint::Ssh(_) => {
                return Err(away(
                    "a node reaches its Podman by a socket or tcp, not by ssh".into(),
                ));
            }
        };
        let http = builder.build().map_err(|source| away(Box::new(source)))?;
        let libpod = format!("http://{host}/{LIBPOD}");
        Ok(Self { docker: docker.named("podman"), http, libpod })
    }
}

/// An image as `/libpod/images/json` lists it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
}

/// A container as `/libpod/containers/json` lists it. Docker's call for the same names states that
/// Docker does not know.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedContainer {
    id: String,
    names: Vec<String>,
    labels: Option<BTreeMap<String, String>>,
    state: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    created: Timestamp,
}

impl Podman {
    /// Calls Podman's own interface and reads its answer whole.
    async fn call(
        &self,
        task: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<Vec<u8>, RuntimeError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| RuntimeError::Failed {
            engine: "podman",
            task: task.to_owned(),
            source,
        };
        let response = request.send().await.map_err(|source| failed(source.into()))?;
        let status = response.status();
        let mut answer = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk: Bytes = chunk.map_err(|source| failed(source.into()))?;
            if answer.len() + chunk.len() > LONGEST_ANSWER {
                return Err(failed("its answer is too long".into()));
            }
            answer.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(answer);
        }
        let text = String::from_utf8_lossy(&answer).trim().to_owned();
        Err(failed(format!("status {status}: {text}").into()))
    }

    /// The same, for an answer in JSON.
    async fn read<T: DeserializeOwned>(
        &self,
        task: &str,
        request: reqwest::RequestBuilder,
    ) -> Result<T, RuntimeError> {
        let answer = self.call(task, request).await?;
        serde_json::from_slice(&answer).map_err(|source| RuntimeError::Failed {
            engine: "podman",
            task: task.to_owned(),
            source: Box::new(source),
        })
    }

    /// The engine's id of the image with this manifest digest. Podman 4 answers Docker's call for
    /// a list of images with nothing at all while there are none.
    async fn image_id(&self, manifest: &Digest) -> Result<Option<String>, RuntimeError> {
        const TASK: &str = "list its images";
        let answer = self.call(TASK, self.http.get(format!("{}/images/json", self.libpod))).await?;
        let images: Option<Vec<Listed>> =
            serde_json::from_slice(&answer).map_err(|source| RuntimeError::Failed {
                engine: "podman",
                task: TASK.to_owned(),
                source: Box::new(source),
            })?;
        let suffix = format!("@{manifest}");
        let has = |it: &Listed| it.repo_digests.iter().flatten().any(|it| it.ends_with(&suffix));
        Ok(images.into_iter().flatten().find(has).map(|it| it.id))
    }
}

/// What the failure of a pull means: Podman applies the signature policy of the machine, which on Red Hat's
/// systems asks for signatures, to what it is handed as well.
fn pull_failure(image: &PinnedImage, error: RuntimeError) -> RuntimeError {
    const SIGNS: [&str; 3] =
        ["Source image rejected", "signature was required", "rejected by policy"];
    match error {
        RuntimeError::Failed { engine, source, .. }
            if SIGNS.iter().any(|sign| source.to_string().contains(sign)) =>
        {
            RuntimeError::SignaturePolicy { engine, image: image.digest, source }
        }
        error => error,
    }
}

#[async_trait]
impl Runtime for Podman {
    fn name(&self) -> &'static str {
        self.docker.name()
    }

    async fn has_image(&self, manifest: &Digest) -> Result<bool, RuntimeError> {
        Ok(self.image_id(manifest).await?.is_some())
    }

    async fn pull(&self, image: &PinnedImage) -> Result<(), RuntimeError> {
        let task = format!("take over image {image}");
        let plain = image.repository.registry().is_loopback();
        let request = self.http.post(format!("{}/images/pull", self.libpod)).query(&[
            ("reference", image.to_string().as_str()),
            ("tlsVerify", if plain { "false" } else { "true" }),
            ("quiet", "true"),
        ]);
        let report = self.call(&task, request).await.map_err(|error| pull_failure(image, error))?;
        // An error after the first byte comes with status 200, in the last line.
        let complaint = report
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
            .find(|line| !line.error.is_empty());
        match complaint {
            Some(line) => {
                let source = line.error.into();
                Err(pull_failure(image, RuntimeError::Failed { engine: "podman", task, source }))
            }
            None => Ok(()),
        }
    }

    async fn list(&self, node: &NodeRef) -> Result<Vec<Container>, RuntimeError> {
        let filters =
            format!(r#"{{"label":[{}]}}"#, Value::from(format!("{}={node}", labels::NODE)));
        let request = self.http.get(format!("{}/containers/json", self.libpod));
        let request = request.query(&[("all", "true"), ("filters", &filters)]);
        let listed: Option<Vec<ListedContainer>> = self.read("list containers", request).await?;
        let mut containers = Vec::new();
        for it in listed.into_iter().flatten() {
            let Some(lifetime) = self.docker.lifetime_of(&it.id).await? else { continue };
            let labels = it.labels.unwrap_or_default();
            let name = it.names.into_iter().next().unwrap_or_default();
            // Podman has no word for a container that waits to be started again.
            let state = match it.state.as_str() {
                "running" => ContainerState::Running,
                _ => ContainerState::Stopped,
            };
            if let Some(container) = Container::of(node, it.id, &name, labels, state) {
                let (created, image) = (it.created.as_second(), it.image_id);
                let Lifetime { restarts, exit_code } = lifetime;
                containers.push(Container { restarts, exit_code, created, image, ..container });
            }
        }
        Ok(containers)
    }

    async fn start(&self, plan: &ContainerPlan) -> Result<ContainerId, RuntimeError> {
        let missing = RuntimeError::NoImage(plan.image);
        let image = self.image_id(&plan.image).await?.ok_or(missing)?;
        let outcome = self.docker.start_from(&image, plan).await;
        if outcome.is_err() {
            self.docker.give_up(self, &image, plan).await;
        }
        outcome
    }

    async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError> {
        self.docker.end(container, then).await?;
        let Some(node) = container.node().filter(|_| then == Afterwards::Remove) else {
            return Ok(());
        };
        let left = self.list(&node).await?;
        self.docker.tidy(&node, &container.image, &left).await
    }

    async fn revive(&self, container: &Container) -> Result<(), RuntimeError> {
        self.docker.revive(container).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_by_the_signature_policy_is_named() {
        let image: PinnedImage =
            format!("127.0.0.1:5000/a@sha256:{}", "1".repeat(64)).parse().unwrap();
        let failed = |said: &str| RuntimeError::Failed {
            engine: "podman",
            task: "take over an image".to_owned(),
            source: said.into(),
        };
        let said = "Source image rejected: A signature was required, but no signature exists";
        let error = pull_failure(&image, failed(said));
        assert!(matches!(error, RuntimeError::SignaturePolicy { .. }), "{error:?}");
        assert!(error.to_string().contains("/etc/containers/policy.json"), "{error}");
        let error = pull_failure(&image, failed("no space left on device"));
        assert!(matches!(error, RuntimeError::Failed { .. }), "{error:?}");
    }
}
