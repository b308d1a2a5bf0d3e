//! No engine: images are verified and kept in the content store, and nothing runs.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::PathBuf,
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
    file: Option<PathBuf>,
    containers: Mutex<BTreeMap<ContainerId, Container>>,
}

impl Nothing {
    /// Remembers in a file too, so that a restart of the agent changes nothing, as with an engine.
    pub fn remembering_in(file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        // What cannot be read is as if it had never run: the images are still in the store.
        let known = fs::read(&file).ok().and_then(|it| serde_json::from_slice(&it).ok());
        let known: Vec<Container> = known.unwrap_or_default();
        let containers = known.into_iter().map(|it| (it.id.clone(), it)).collect();
        Self { file: Some(file), containers: Mutex::new(containers) }
    }

    fn containers(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Container>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what would run, and writes it down.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut BTreeMap<ContainerId, Container>) -> T,
    ) -> Result<T, RuntimeError> {
        let mut containers = self.containers();
        let mut changed = containers.clone();
        let answer = change(&mut changed);
        if let Some(file) = &self.file {
            let all: Vec<_> = changed.values().collect();
            write(file, &serde_json::to_vec(&all).unwrap_or_default()).map_err(|source| {
                let task = format!("write {}", file.display());
                RuntimeError::Failed { engine: "none", task, source: Box::new(source) }
            })?;
        }
        // What could not be written down has not happened.
        *containers = changed;
        Ok(answer)
    }
}

fn write(path: &std::path::Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(std::path::Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[async_trait]
impl Runtime for Nothing {
    fn name(&self) -> &'static str {
        "none"
    }

    fn runs_containers(&self) -> bool {
        false
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
        let image = plan.image.to_string();
        let id = ContainerId(format!("{}@{image}", plan.name));
        let container = Container {
            id: id.clone(),
            name: plan.name.clone(),
            labels: plan.labels.clone(),
            state: ContainerState::Running,
            kept: false,
            restarts: 0,
            exit_code: None,
            created: 0,
            image,
        };
        self.change(|containers| {
            containers.insert(id.clone(), container);
            id
        })
    }

    async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError> {
        self.change(|containers| match then {
            Afterwards::Remove => {
                containers.remove(&container.id);
            }
            Afterwards::Keep => {
                if let Some(container) = containers.get_mut(&container.id) {
                    container.state = ContainerState::Stopped;
                    container.kept = true;
                }
            }
        })
    }

    async fn revive(&self, container: &Container) -> Result<(), RuntimeError> {
        self.change(|containers| {
            if let Some(container) = containers.get_mut(&container.id) {
                container.state = ContainerState::Running;
                container.kept = false;
            }
        })
    }
}
