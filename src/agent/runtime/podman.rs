//! Podman: Docker's API on its own socket, but for pulling.
//!
//! Podman 4 refuses plain HTTP on Docker's `/images/create`, whatever the host; its own
//! `/libpod/images/pull` takes `tlsVerify=false`, which we give for loopback alone.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::{Afterwards, Container, ContainerId, ContainerPlan, Docker, Runtime, RuntimeError};
use crate::types::{Digest, NodeRef, PinnedImage};

/// The longest report of a pull that is read: a line for each layer.
const LONGEST_REPORT: usize = 1 << 20;

/// How long Podman may be silent during a pull: it reports layer by layer, and big ones take long.
const PATIENCE: Duration = Duration::from_mins(10);

/// A Podman engine on this machine.
#[derive(Debug, Clone)]
pub struct Podman {
    docker: Docker,
    http: reqwest::Client,
}

/// One line of the report of `/libpod/images/pull`.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    error: String,
}

impl Podman {
    /// The engine behind a socket, once it has answered.
    pub async fn connect(socket: &str) -> Result<Self, RuntimeError> {
        let docker = Docker::named("podman", socket).await?;
        let path = PathBuf::from(socket.strip_prefix("unix://").unwrap_or(socket));
        let http = reqwest::Client::builder()
            .unix_socket(path)
            .no_proxy()
            .read_timeout(PATIENCE)
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|source| RuntimeError::Away {
                endpoint: socket.to_owned(),
                source: Box::new(source),
            })?;
        Ok(Self { docker, http })
    }
}

#[async_trait]
impl Runtime for Podman {
    fn name(&self) -> &'static str {
        self.docker.name()
    }

    async fn has_image(&self, manifest: &Digest) -> Result<bool, RuntimeError> {
        self.docker.has_image(manifest).await
    }

    async fn pull(&self, image: &PinnedImage) -> Result<(), RuntimeError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| RuntimeError::Failed {
            engine: "podman",
            task: format!("take over image {image}"),
            source,
        };
        let plain = image.repository.registry().is_loopback();
        let response = self
            .http
            .post("http://podman/v4.0.0/libpod/images/pull")
            .query(&[
                ("reference", image.to_string().as_str()),
                ("tlsVerify", if plain { "false" } else { "true" }),
                ("quiet", "true"),
            ])
            .send()
            .await
            .map_err(|source| failed(source.into()))?;
        let status = response.status();
        let mut report = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(chunk) = body.next().await {
            let chunk: Bytes = chunk.map_err(|source| failed(source.into()))?;
            if report.len() + chunk.len() > LONGEST_REPORT {
                return Err(failed("its report is too long".into()));
            }
            report.extend_from_slice(&chunk);
        }
        // An error after the first byte comes with status 200, in the last line.
        let complaint = report
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
            .find(|line| !line.error.is_empty());
        match complaint {
            Some(line) => Err(failed(line.error.into())),
            None if !status.is_success() => {
                let text = String::from_utf8_lossy(&report).trim().to_owned();
                Err(failed(format!("status {status}: {text}").into()))
            }
            None => Ok(()),
        }
    }

    async fn list(&self, node: &NodeRef) -> Result<Vec<Container>, RuntimeError> {
        self.docker.list(node).await
    }

    async fn start(&self, plan: &ContainerPlan) -> Result<ContainerId, RuntimeError> {
        self.docker.start(plan).await
    }

    async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError> {
        self.docker.stop(container, then).await
    }

    async fn revive(&self, container: &Container) -> Result<(), RuntimeError> {
        self.docker.revive(container).await
    }
}
