//! Which engine there is on this machine.

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Docker, Nothing, Podman, Runtime, RuntimeError};

/// Which engine runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The first that answers: Docker, then Podman, then none.
    #[default]
    Auto,
    /// Docker, or it is an error.
    Docker,
    /// Podman, or it is an error.
    Podman,
    /// None: images are verified and kept, nothing runs.
    None,
}

/// Where engines listen. The caller knows the environment; we do not read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sockets {
    /// Docker's, in the order to try: a path, with or without `unix://`.
    pub docker: Vec<String>,
    /// Podman's, in the order to try.
    pub podman: Vec<String>,
}

impl Default for Sockets {
    fn default() -> Self {
        Self {
            docker: vec!["/var/run/docker.sock".to_owned()],
            podman: vec![
                "/run/podman/podman.sock".to_owned(),
                "/var/run/podman/podman.sock".to_owned(),
            ],
        }
    }
}

/// Connects to the engine that was chosen. Where there is none, `nothing` is the file in which is
/// remembered what would run.
pub async fn choose(
    choice: EngineChoice,
    sockets: &Sockets,
    nothing: &Path,
) -> Result<Arc<dyn Runtime>, RuntimeError> {
    match choice {
        EngineChoice::Docker => docker(sockets).await,
        EngineChoice::Podman => podman(sockets).await,
        EngineChoice::None => Ok(Arc::new(Nothing::remembering_in(nothing))),
        EngineChoice::Auto => {
            if let Some(engine) = find(sockets).await {
                return Ok(engine);
            }
            tracing::warn!("no container engine answers: images are verified and kept, none runs");
            Ok(Arc::new(Nothing::remembering_in(nothing)))
        }
    }
}

/// The first engine that answers.
pub async fn find(sockets: &Sockets) -> Option<Arc<dyn Runtime>> {
    match docker(sockets).await {
        Ok(engine) => Some(engine),
        Err(_) => podman(sockets).await.ok(),
    }
}

async fn docker(sockets: &Sockets) -> Result<Arc<dyn Runtime>, RuntimeError> {
    let mut last = none_given("docker");
    for socket in &sockets.docker {
        match Docker::connect(socket).await {
            Ok(engine) => return Ok(Arc::new(engine)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn podman(sockets: &Sockets) -> Result<Arc<dyn Runtime>, RuntimeError> {
    let mut last = none_given("podman");
    for socket in &sockets.podman {
        match Podman::connect(socket).await {
            Ok(engine) => return Ok(Arc::new(engine)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn none_given(engine: &str) -> RuntimeError {
    RuntimeError::Away { endpoint: engine.to_owned(), source: "no socket is configured".into() }
}
