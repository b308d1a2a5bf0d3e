//! Which repositories there are, and which blobs belong to them.

use std::path::{Path, PathBuf};

use crate::{
    registry::{
        protocol::RepositoryName,
        server::storage::{Folder, StorageError, durable, page::Page},
    },
    types::{Digest, Tag},
};

impl Folder {
    /// The length in bytes of the blob `digest`, if `repository` has it.
    pub fn blob_in(&self, repository: &RepositoryName, digest: &Digest) -> Option<u64> {
        if self.parts(repository).blob(digest).is_file() { self.has_blob(digest) } else { None }
    }

    /// Lets `repository` have blobs that are here already, for other repositories or by
    /// [`Folder::adopt`].
    pub async fn link_blobs(
        &self,
        repository: &RepositoryName,
        digests: Vec<Digest>,
    ) -> Result<(), StorageError> {
        let parts = self.parts(repository);
        durable::blocking(move || parts.link_blobs(&digests)).await
    }

    /// Takes a blob from `repository` alone; `false` if it did not have it.
    pub async fn unlink_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let link = self.parts(repository).blob(digest);
        durable::blocking(move || durable::remove(&link)).await
    }

    /// Whether anything was ever put into `repository`.
    pub fn has_repository(&self, repository: &RepositoryName) -> bool {
        let parts = self.parts(repository);
        parts.manifests().is_dir() || parts.blobs().is_dir()
    }

    /// The first `most` repositories after `after` that have manifests, in their order.
    pub async fn repositories(
        &self,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<String>, StorageError> {
        let root = self.repositories_folder();
        let mut page = Page::new(after.map(str::to_owned), most);
        durable::blocking(move || {
            collect(&root, &root, &mut page)?;
            Ok(page.into_values())
        })
        .await
    }

    pub(super) fn parts(&self, repository: &RepositoryName) -> Parts {
        Parts(self.repositories_folder().join(repository.as_str()))
    }
}

/// Offers the repositories at and below `folder` to a page.
fn collect(root: &Path, folder: &Path, page: &mut Page<String>) -> Result<(), StorageError> {
    for name in durable::each_name(folder)? {
        let name = name?;
        if name == "_manifests" {
            let own = folder.strip_prefix(root).ok().and_then(Path::to_str);
            if let Some(repository) = own.filter(|own| own.parse::<RepositoryName>().is_ok())
                && durable::each_name(&folder.join(name))?.next().is_some()
            {
                page.offer(repository.to_owned());
            }
        } else if !name.starts_with('_') {
            collect(root, &folder.join(name), page)?;
        }
    }
    Ok(())
}

/// The folder of one repository, and what is where in it.
#[derive(Debug, Clone)]
pub(super) struct Parts(PathBuf);

impl Parts {
    pub(super) fn blobs(&self) -> PathBuf {
        self.0.join("_blobs")
    }

    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    pub(super) fn manifests(&self) -> PathBuf {
        self.0.join("_manifests")
    }

    pub(super) fn manifest(&self, digest: &Digest) -> PathBuf {
        self.manifests().join(digest.hex())
    }

    pub(super) fn tags(&self) -> PathBuf {
        self.0.join("_tags")
    }

    pub(super) fn tag(&self, tag: &Tag) -> PathBuf {
        self.tags().join(tag.as_str())
    }

    pub(super) fn referrers(&self, subject: &Digest) -> PathBuf {
        self.0.join("_referrers").join(subject.hex())
    }

    pub(super) fn link_blobs(&self, digests: &[Digest]) -> Result<(), StorageError> {
        durable::make_folder(&self.blobs())?;
        digests.iter().try_for_each(|digest| durable::touch(&self.blob(digest)))?;
        durable::sync_folder(&self.blobs())
    }
}
