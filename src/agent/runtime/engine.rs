//! Which engine there is on this machine.

use std::{path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Docker, Nothing, Podman, Runtime, RuntimeError};
use crate::{agent::settle::told, image::engine::EngineEndpoint};

/// Which engine runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The first that answers, of whatever kind; none where no engine answers in any usual place.
    #[default]
    Auto,
    /// Docker, or it is an error.
    Docker,
    /// Podman, or it is an error.
    Podman,
    /// None: images are verified and kept, nothing runs.
    None,
}

impl EngineChoice {
    /// The name of the one engine that it takes; none if it takes any.
    fn only(self) -> Option<&'static str> {
        match self {
            Self::Auto => None,
            Self::Docker => Some("docker"),
            Self::Podman => Some("podman"),
            Self::None => Some("none"),
        }
    }
}

/// Where engines listen. The caller knows the environment; we do not read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sockets {
    /// Where the operator says. It is an error if no engine answers there.
    Named(EngineEndpoint),
    /// The usual places, in the order to try.
    Usual(Vec<EngineEndpoint>),
}

impl Default for Sockets {
    fn default() -> Self {
        let usual = ["/var/run/docker.sock", "/run/podman/podman.sock"];
        Self::Usual(usual.map(|it| EngineEndpoint::Unix(it.into())).into())
    }
}

impl Sockets {
    fn endpoints(&self) -> &[EngineEndpoint] {
        match self {
            Self::Named(endpoint) => std::slice::from_ref(endpoint),
            Self::Usual(endpoints) => endpoints,
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
    if choice == EngineChoice::None {
        return Ok(Arc::new(Nothing::remembering_in(nothing)));
    }
    match (find(choice, sockets).await, choice, sockets) {
        (Err(_), EngineChoice::Auto, Sockets::Usual(_)) => {
            tracing::info!("no container engine answers: images are verified and kept, none runs");
            Ok(Arc::new(Nothing::remembering_in(nothing)))
        }
        (found, ..) => found,
    }
}

/// The first engine that answers and is of the chosen kind. Which kind it is, is asked: Podman is often
/// found behind Docker's socket.
pub async fn find(
    choice: EngineChoice,
    sockets: &Sockets,
) -> Result<Arc<dyn Runtime>, RuntimeError> {
    let mut tried = Vec::new();
    for endpoint in sockets.endpoints() {
        match connect(endpoint).await {
            Ok(engine) if choice.only().is_none_or(|it| it == engine.name()) => return Ok(engine),
            Ok(engine) => tried.push(format!("{endpoint} is {}", engine.name())),
            Err(error) => tried.push(told(&error)),
        }
    }
    Err(RuntimeError::NoEngine { wanted: choice.only().unwrap_or("container"), tried })
}

/// The engine behind an endpoint, once it has answered.
async fn connect(endpoint: &EngineEndpoint) -> Result<Arc<dyn Runtime>, RuntimeError> {
    let docker = Docker::connect(endpoint).await?;
    if docker.is_podman().await? {
        return Ok(Arc::new(Podman::behind(docker, endpoint)?));
    }
    Ok(Arc::new(docker))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> EngineEndpoint {
        EngineEndpoint::Unix("/nowhere/engine.sock".into())
    }

    async fn chosen(choice: EngineChoice, sockets: Sockets) -> Result<&'static str, String> {
        let folder = tempfile::tempdir().unwrap();
        let chosen = choose(choice, &sockets, &folder.path().join("nothing")).await;
        chosen.map(|it| it.name()).map_err(|error| told(&error))
    }

    #[tokio::test]
    async fn an_engine_that_was_named_must_answer() {
        for choice in [EngineChoice::Auto, EngineChoice::Docker, EngineChoice::Podman] {
            let error = chosen(choice, Sockets::Named(nowhere())).await.unwrap_err();
            assert!(error.contains("/nowhere/engine.sock"), "{error}");
        }
        assert_eq!(chosen(EngineChoice::None, Sockets::Named(nowhere())).await, Ok("none"));
    }

    #[tokio::test]
    async fn without_an_engine_in_the_usual_places_none_is_chosen_unless_one_was_asked_for() {
        let usual = || Sockets::Usual(vec![nowhere()]);
        assert_eq!(chosen(EngineChoice::Auto, usual()).await, Ok("none"));
        let error = chosen(EngineChoice::Podman, usual()).await.unwrap_err();
        assert!(error.contains("podman"), "{error}");
    }
}
