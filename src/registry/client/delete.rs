//! What is to go from a registry: tags, manifests, blobs.
//!
//! Registries differ much here. Docker Distribution deletes nothing unless it is told to by
//! `REGISTRY_STORAGE_DELETE_ENABLED=true`, and its versions before 3 delete no tag by itself; with a
//! manifest go all tags that name it, everywhere.

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Method, StatusCode};

use super::{
    ListedBy, Place, RegistryClient, RegistryError, api_path,
    auth::{Scope, Scopes},
    http::Call,
    manifests::subject_of,
};
use crate::{
    image::RawManifest,
    registry::protocol::{Reference, path},
    types::{Digest, Repository, Tag},
};

impl RegistryClient {
    /// Deletes a tag, and nothing else: the manifest and its other tags stay.
    ///
    /// # Errors
    /// [`RegistryError::NoTagDeletion`] from a registry that cannot; nothing has been changed then.
    pub async fn delete_tag(
        &self,
        repository: &Repository,
        tag: &Tag,
    ) -> Result<(), RegistryError> {
        let what = format!("tag {tag}");
        let path = path::manifest(&api_path(repository), &Reference::Tag(tag.clone()));
        match self.delete(repository, &path, what).await {
            Err(error) if means_unsupported(&error) => {
                Err(RegistryError::NoTagDeletion { place: Place::from(repository) })
            }
            deleted => deleted,
        }
    }

    /// Deletes a manifest and all tags that name it, and takes it from the list of its subject's
    /// referrers, where the registry keeps no such list itself. Gives what was deleted.
    ///
    /// # Errors
    /// [`RegistryError::NoDeletion`] from a registry that deletes nothing.
    pub async fn delete_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<RawManifest, RegistryError> {
        let reference = Reference::Digest(*digest);
        let raw = self.manifest(repository, &reference).await?;
        let path = path::manifest(&api_path(repository), &reference);
        self.delete_or_explain(repository, &path, format!("manifest {digest}")).await?;
        if let Some(subject) = subject_of(&raw) {
            let referrers = self.referrers(repository, &subject, None).await?;
            let is_listed = referrers.manifests.iter().any(|it| it.digest == *digest);
            if referrers.listed_by == ListedBy::Tag && is_listed {
                self.unlist_referrer(repository, &subject, digest).await?;
            }
        }
        Ok(raw)
    }

    /// Deletes a blob from a repository. A manifest that names it can then not be pulled any more.
    ///
    /// # Errors
    /// [`RegistryError::NoDeletion`] from a registry that deletes nothing.
    pub async fn delete_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<(), RegistryError> {
        let path = path::blob(&api_path(repository), digest);
        self.delete_or_explain(repository, &path, format!("blob {digest}")).await
    }

    async fn delete_or_explain(
        &self,
        repository: &Repository,
        path: &str,
        what: String,
    ) -> Result<(), RegistryError> {
        match self.delete(repository, path, what).await {
            Err(error) if means_unsupported(&error) => {
                Err(RegistryError::NoDeletion { place: Place::from(repository) })
            }
            deleted => deleted,
        }
    }

    async fn delete(
        &self,
        repository: &Repository,
        path: &str,
        what: String,
    ) -> Result<(), RegistryError> {
        let endpoint = self.connections.endpoint(repository.registry())?;
        let call = Call::new(repository.into(), &endpoint, Method::DELETE, path)?
            .asking_for(what, Scopes::from([Scope::delete(repository)]));
        let tries = AtomicU32::new(0);
        self.retry
            .run(|| async {
                let try_before = tries.fetch_add(1, Ordering::Relaxed);
                let response = self.send(&endpoint, &call).await?;
                match response.status() {
                    status if status.is_success() => Ok(()),
                    // The answer to the first try was lost, and the try was not.
                    StatusCode::NOT_FOUND if try_before > 0 => Ok(()),
                    _ => Err(self.refusal(&call.place, &call.what, response).await),
                }
            })
            .await
    }
}

/// Distribution answers 405 `UNSUPPORTED`, and its version 2 to a tag 400 `DIGEST_INVALID`.
fn means_unsupported(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Refused { status: 400 | 405 | 501, .. })
}
