//! No engine: images are verified and kept in the content store, and nothing runs.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use super::{
    Afterwards, Container, ContainerId, ContainerPlan, ContainerState, Runtime, RuntimeError,
};
use crate::types::{Digest, NodeRef, PinnedImage};

/// Remembers what would run, for nodes without an engine, for tests and for demonstrations.
#[derive(Debug, Default)]
pub struct Nothing {
    containers: Mutex<BTreeMap<ContainerId, Container>>,
}

impl Nothing {
    fn containers(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Container>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Runtime for Nothing {
    fn name(&self) -> &'static str {
        "none"
    }

    /// Never, so that the content store is asked each time.
    async fn has_image(&self, _manifest: &Digest) -> Result<bool, RuntimeError> {
        Ok(false)
    }

    async fn pull(&self, _image: &PinnedImage) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn list(&self, node: &NodeRef) -> Result<Vec<Container>, RuntimeError> {
        let node = node.to_string();
        let ours = |it: &&Container| it.labels.get(super::labels::NODE) == Some(&node);
        Ok(self.containers().values().filter(ours).cloned().collect())
    }

    async fn start(&self, plan: &ContainerPlan) -> Result<ContainerId, RuntimeError> {
        let image = plan.image.map(|image| image.to_string()).unwrap_or_default();
        let id = ContainerId(format!("{}@{image}", plan.name));
        let container = Container {
            id: id.clone(),
            name: plan.name.clone(),
            labels: plan.labels.clone(),
            state: ContainerState::Running,
            kept: false,
            created: 0,
            image,
        };
        self.containers().insert(id.clone(), container);
        Ok(id)
    }

    async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError> {
        let mut containers = self.containers();
        match then {
            Afterwards::Remove => {
                containers.remove(&container.id);
            }
            Afterwards::Keep => {
                if let Some(container) = containers.get_mut(&container.id) {
                    container.state = ContainerState::Stopped;
                    container.kept = true;
                }
            }
        }
        Ok(())
    }

    async fn revive(&self, container: &Container) -> Result<(), RuntimeError> {
        if let Some(container) = self.containers().get_mut(&container.id) {
            container.state = ContainerState::Running;
            container.kept = false;
        }
        Ok(())
    }
}
