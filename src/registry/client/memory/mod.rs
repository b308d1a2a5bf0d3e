//! What transfers teach about registries, kept over restarts: which repositories have a blob, and
//! which uploads were begun. A wrong memory costs a request, never correctness.

mod known;
mod sessions;

use std::{fs, io, os::unix::fs::DirBuilderExt as _, path::Path, sync::Arc};

pub(super) use sessions::KeptSession;

use crate::types::{Clock, Digest, Registry, Repository};
use known::Known;
use sessions::Sessions;

/// What transfers teach; a clone shares it.
#[derive(Debug, Clone)]
pub struct Memory(Option<Arc<Kept>>);

#[derive(Debug)]
struct Kept {
    known: Known,
    sessions: Sessions,
}

impl Default for Memory {
    /// Lasts as long as this process.
    fn default() -> Self {
        Self(Some(Arc::new(Kept { known: Known::new(None), sessions: Sessions::here() })))
    }
}

impl Memory {
    /// Forgets everything at once.
    pub fn none() -> Self {
        Self(None)
    }

    /// Lies in `folder`, which is made where something is first kept: for its owner alone, since the
    /// address of an upload may be all it takes to write to it. Several processes may share it.
    pub fn at(folder: &Path, clock: Arc<dyn Clock>) -> Self {
        Self(Some(Arc::new(Kept {
            known: Known::new(Some(folder.join("blobs"))),
            sessions: Sessions::at(folder.join("uploads"), clock),
        })))
    }

    /// Learns that `repository` has these blobs.
    pub(super) fn learn(&self, repository: &Repository, blobs: impl IntoIterator<Item = Digest>) {
        if let Some(kept) = &self.0 {
            kept.known.learn(repository, blobs);
        }
    }

    /// Learns that `repository` does not have a blob, or does not give it.
    pub(super) fn forget(&self, repository: &Repository, blob: &Digest) {
        if let Some(kept) = &self.0 {
            kept.known.forget(repository, blob);
        }
    }

    /// The repositories of `registry` that had a blob, the latest first.
    pub(super) fn repositories_with(&self, registry: &Registry, blob: &Digest) -> Vec<Repository> {
        self.0.as_ref().map(|kept| kept.known.repositories_with(registry, blob)).unwrap_or_default()
    }

    /// The upload of a blob that was begun and not ended, for this process alone.
    pub(super) fn session(&self, repository: &Repository, blob: &Digest) -> KeptSession {
        match &self.0 {
            Some(kept) => kept.sessions.take(repository, blob),
            None => KeptSession::none(),
        }
    }
}

/// Makes a folder that only its owner may look into.
fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests;
