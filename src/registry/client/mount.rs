//! Blobs from other repositories of the same registry, without a transfer.

use super::{
    RegistryClient, RegistryError, api_path,
    auth::Scope,
    upload::{Begun, Session, Upload},
};
use crate::{registry::protocol::path, types::Repository};

/// The most repositories that are asked for one blob.
const MAX_TRIES: usize = 3;

/// Whether a blob could be had from another repository.
pub(super) enum Mounted {
    /// It is there now.
    From(Repository),
    /// Nobody gave it; the registry may have begun an upload instead.
    No(Option<Session>),
}

impl RegistryClient {
    /// Asks for the blob of `first`, then of the repositories that earlier transfers showed to have
    /// it. That one of them does not is no error: registries also refuse what may not be read.
    pub(super) async fn mount(
        &self,
        upload: &Upload<'_>,
        first: Option<&Repository>,
    ) -> Result<Mounted, RegistryError> {
        let (repository, digest) = (upload.repository, &upload.descriptor.digest);
        let known = self.memory.repositories_with(repository.registry(), digest);
        let mut candidates: Vec<Repository> = Vec::new();
        for from in first.cloned().into_iter().chain(known) {
            let is_other = from.registry() == repository.registry() && from != *repository;
            if is_other && !candidates.contains(&from) && candidates.len() < MAX_TRIES {
                candidates.push(from);
            }
        }
        let mut begun: Option<Session> = None;
        for from in candidates {
            match self.mount_from(upload, &from).await {
                Ok(Begun::There) => {
                    if let Some(session) = begun {
                        self.cancel_upload(upload, &session).await;
                    }
                    return Ok(Mounted::From(from));
                }
                // One upload is enough.
                Ok(Begun::Session(session)) if begun.is_some() => {
                    self.memory.forget(&from, digest);
                    self.cancel_upload(upload, &session).await;
                }
                Ok(Begun::Session(session)) => {
                    self.memory.forget(&from, digest);
                    begun = Some(session);
                }
                // The retries of the upload are the place for patience.
                Err(error) if error.may_pass() => return Ok(Mounted::No(begun)),
                Err(error) => {
                    self.memory.forget(&from, digest);
                    tracing::debug!(%from, %error, "not mounted");
                }
            }
        }
        Ok(Mounted::No(begun))
    }

    async fn mount_from(
        &self,
        upload: &Upload<'_>,
        from: &Repository,
    ) -> Result<Begun, RegistryError> {
        let repository = api_path(upload.repository);
        let path = path::mount(&repository, &upload.descriptor.digest, &api_path(from));
        let mut scopes = upload.scopes.clone();
        scopes.insert(Scope::pull(from));
        self.begin_upload(&Upload { scopes, ..upload.clone() }, &path).await
    }
}
