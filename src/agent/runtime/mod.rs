//! What runs containers: one trait, and a file for each engine.
//!
//! An engine is handed images by digest from loopback and told to run them; everything that needs
//! judgement happens above it. Nothing here touches a container that does not bear the label of
//! the node it is asked for.

mod container;
mod create;
mod docker;
mod engine;
mod none;
mod podman;

use std::fmt::Debug;

use async_trait::async_trait;

pub use container::{
    Container, ContainerId, ContainerPlan, ContainerState, Device, Limits, NetworkPlan, Port,
    labels,
};
pub use docker::Docker;
pub use engine::{EngineChoice, Sockets, choose, find};
pub use none::Nothing;
pub use podman::Podman;

use crate::types::{Digest, NodeRef, PinnedImage};

/// Runs containers on this machine.
#[async_trait]
pub trait Runtime: Debug + Send + Sync {
    /// What to call it in reports: `docker`, `podman`, `none`.
    fn name(&self) -> &'static str;

    /// Whether containers run at all, so that one that has just started can end.
    fn runs_containers(&self) -> bool {
        true
    }

    /// Whether it holds the image with this manifest digest, so that it need not be handed over.
    async fn has_image(&self, manifest: &Digest) -> Result<bool, RuntimeError>;

    /// Takes an image from a registry on loopback, by digest.
    async fn pull(&self, image: &PinnedImage) -> Result<(), RuntimeError>;

    /// Every container of `node`, whatever its state.
    async fn list(&self, node: &NodeRef) -> Result<Vec<Container>, RuntimeError>;

    /// Creates a container, its networks where they are missing, and starts it.
    async fn start(&self, plan: &ContainerPlan) -> Result<ContainerId, RuntimeError>;

    /// Stops a container that runs, and removes it or keeps it for going back.
    async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError>;

    /// Gives a kept container its name again and starts it.
    async fn revive(&self, container: &Container) -> Result<(), RuntimeError>;
}

/// What becomes of a container once it has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Afterwards {
    /// It goes, and so does its network when it was the last in it.
    Remove,
    /// It stays under another name, so that it can be revived when its successor fails.
    Keep,
}

/// Why an engine did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// No engine answers where one was expected.
    #[error("no answer at {endpoint}")]
    Away {
        /// The endpoint that was tried.
        endpoint: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No engine of the chosen kind answers anywhere.
    #[error("no {wanted} engine answers ({})", tried.join("; "))]
    NoEngine {
        /// The kind of engine.
        wanted: &'static str,
        /// What was found in each place.
        tried: Vec<String>,
    },
    /// The engine answered, but refused or failed.
    #[error("{engine} failed to {task}")]
    Failed {
        /// Which engine.
        engine: &'static str,
        /// What it was asked for, as words that follow "to".
        task: String,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine's own signature policy rejects what the agent hands over.
    #[error(
        "{engine} rejects image {image} by the signature policy of this machine (/etc/containers/policy.json). The \
         agent has verified the image: let the policy accept what it hands over, by `insecureAcceptAnything` for the \
         scope \"\" of the transport `docker`, or as its default"
    )]
    SignaturePolicy {
        /// Which engine.
        engine: &'static str,
        /// The image.
        image: Digest,
        /// What the engine said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A container is to be made from an image that the engine does not hold.
    #[error("the engine holds no image {0}")]
    NoImage(Digest),
}
