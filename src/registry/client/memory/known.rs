//! Which repositories have a blob: a file for each registry.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::make_folder;
use crate::types::{Digest, Registry, Repository};

/// The most blobs that are remembered of one registry; the oldest are forgotten.
const MAX_BLOBS: usize = 4096;
/// The most repositories that are remembered for one blob.
const MAX_REPOSITORIES: usize = 4;
/// The longest file that is read, in bytes.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// Which repositories have a blob.
#[derive(Debug)]
pub(super) struct Known {
    folder: Option<PathBuf>,
    registries: Mutex<HashMap<Registry, Blobs>>,
}

/// The blobs of one registry, the latest last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Blobs(Vec<Blob>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Blob {
    digest: Digest,
    /// The latest last.
    repositories: Vec<Repository>,
}

impl Known {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, registries: Mutex::default() }
    }

    pub(super) fn learn(&self, repository: &Repository, blobs: impl IntoIterator<Item = Digest>) {
        let news: Vec<Digest> = blobs.into_iter().collect();
        self.change(repository.registry(), |known| {
            let learned = news.iter().filter(|digest| known.learn(repository, **digest)).count();
            known.forget_oldest();
            learned > 0
        });
    }

    pub(super) fn forget(&self, repository: &Repository, blob: &Digest) {
        self.change(repository.registry(), |known| known.forget(repository, blob));
    }

    pub(super) fn repositories_with(&self, registry: &Registry, blob: &Digest) -> Vec<Repository> {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.of(&mut registries, registry);
        let found = known.0.iter().find(|it| it.digest == *blob);
        found.map(|it| it.repositories.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// What is known of `registry`, read when it is first asked for.
    fn of<'a>(
        &self,
        registries: &'a mut HashMap<Registry, Blobs>,
        registry: &Registry,
    ) -> &'a mut Blobs {
        registries
            .entry(registry.clone())
            .or_insert_with(|| self.file(registry).map(|it| read(&it)).unwrap_or_default())
    }

    /// Changes what is known of `registry`, here and in its file, which other processes change too.
    /// What two of them learn at the same moment, one of them may have to learn again.
    fn change(&self, registry: &Registry, mut change: impl FnMut(&mut Blobs) -> bool) {
        let mut registries = self.registries.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.of(&mut registries, registry);
        let changed = change(known);
        let Some(path) = self.file(registry).filter(|_| changed) else { return };
        let mut stored = read(&path);
        change(&mut stored);
        if let Err(error) = write(&path, &stored) {
            tracing::debug!(path = %path.display(), %error, "what was learned is not kept");
        }
        *known = stored;
    }

    fn file(&self, registry: &Registry) -> Option<PathBuf> {
        let name = Digest::of(registry.as_str().as_bytes()).hex();
        self.folder.as_ref().map(|folder| folder.join(format!("{}.json", &name[..32])))
    }
}

impl Blobs {
    /// `true` if that is news.
    fn learn(&mut self, repository: &Repository, digest: Digest) -> bool {
        let mut blob = match self.0.iter().rposition(|it| it.digest == digest) {
            Some(place) if self.0[place].repositories.last() == Some(repository) => return false,
            Some(place) => self.0.remove(place),
            None => Blob { digest, repositories: Vec::new() },
        };
        blob.repositories.retain(|it| it != repository);
        blob.repositories.push(repository.clone());
        let many = blob.repositories.len().saturating_sub(MAX_REPOSITORIES);
        blob.repositories.drain(..many);
        self.0.push(blob);
        true
    }

    /// `true` if it was known.
    fn forget(&mut self, repository: &Repository, digest: &Digest) -> bool {
        let Some(place) = self.0.iter().position(|it| it.digest == *digest) else { return false };
        let repositories = &mut self.0[place].repositories;
        let before = repositories.len();
        repositories.retain(|it| it != repository);
        let changed = repositories.len() < before;
        if repositories.is_empty() {
            self.0.remove(place);
        }
        changed
    }

    fn forget_oldest(&mut self) {
        let many = self.0.len().saturating_sub(MAX_BLOBS);
        self.0.drain(..many);
    }
}

/// What a file says; nothing if it is missing, torn or not ours.
fn read(path: &Path) -> Blobs {
    let bytes = match fs::metadata(path) {
        Ok(it) if it.is_file() && it.len() <= MAX_FILE => fs::read(path),
        _ => return Blobs::default(),
    };
    bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_else(|| {
        tracing::debug!(path = %path.display(), "what earlier transfers taught cannot be read");
        Blobs::default()
    })
}

/// Writes the file whole; a file that is made so is its owner's alone.
fn write(path: &Path, known: &Blobs) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(&serde_json::to_vec(known)?)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
