//! The images of a service into the engine: what it holds is not fetched, what it lacks comes
//! through the content store.

use std::collections::BTreeMap;

use crate::{
    agent::{
        Agent,
        credentials::LoginsError,
        hand_off::hand_off,
        outcome::ProvideError,
        plan::WantedService,
        pull::{Origin, PullError, PullProgress, Stored},
    },
    registry::client::RegistryClient,
    types::{Digest, PinnedImage, Platform},
};

impl Agent {
    /// Makes sure that the engine holds the images of `service`, and lets its containers name them
    /// as the engine does: by the manifest for this platform.
    pub(super) async fn provide(
        &mut self,
        service: &mut WantedService,
        progress: &PullProgress,
    ) -> Result<(), ProvideError> {
        let mut manifests = BTreeMap::new();
        for image in service.images.clone() {
            let manifest = self.provide_image(service, &image, progress).await?;
            manifests.insert(image.digest, manifest);
        }
        for container in &mut service.containers {
            if let Some(manifest) = manifests.get(&container.image) {
                container.image = *manifest;
            }
        }
        Ok(())
    }

    async fn provide_image(
        &mut self,
        service: &WantedService,
        image: &PinnedImage,
        progress: &PullProgress,
    ) -> Result<Digest, ProvideError> {
        if self.runtime.has_image(&image.digest).await? {
            return Ok(image.digest);
        }
        let platform = Platform::linux(self.identity.arch.clone());
        if let Some(manifest) = self.images.known(image, &platform).await?
            && self.runtime.has_image(&manifest).await?
        {
            return Ok(manifest);
        }
        let stored = self.store(service, image, &platform, progress).await?;
        hand_off(&*self.runtime, self.images.store(), &stored).await?;
        Ok(stored.manifest)
    }

    /// Brings an image into the store. A login that is not accepted is fetched anew, once: it may
    /// have been replaced.
    async fn store(
        &mut self,
        service: &WantedService,
        image: &PinnedImage,
        platform: &Platform,
        progress: &PullProgress,
    ) -> Result<Stored, ProvideError> {
        if let Some(stored) = self.images.whole(image, platform).await? {
            return Ok(stored);
        }
        if let Some(carried) = &self.carried {
            let origin = Origin::Bundle(&carried.bundle);
            return Ok(self.images.ensure(image, platform, origin, progress).await?);
        }
        match self.pull(service, image, platform, progress).await {
            Err(ProvideError::Pull(error)) if error.is_unauthorized() => {
                self.credentials.forget(&service.id);
                match self.pull(service, image, platform, progress).await {
                    Err(ProvideError::Pull(error)) => Err(self.explained(error, service, image)),
                    outcome => outcome,
                }
            }
            outcome => outcome,
        }
    }

    /// Pulls an image with the credentials of the exchange, or with the operator's login files and anonymously where
    /// the exchange gives none. If the registry then refuses, the error is why there are no credentials.
    async fn pull(
        &mut self,
        service: &WantedService,
        image: &PinnedImage,
        platform: &Platform,
        progress: &PullProgress,
    ) -> Result<Stored, ProvideError> {
        let (registry, failure) = self.registry_for(service).await;
        let origin = Origin::Registry(&registry);
        let outcome = self.images.ensure(image, platform, origin, progress).await;
        match (outcome, failure) {
            (Err(error), Some(failure)) if error.is_hidden() => Err(failure.into()),
            (Err(error), _) => Err(error.into()),
            (Ok(stored), Some(failure)) => {
                let error: &dyn std::error::Error = &failure;
                tracing::warn!(
                    event = "pull.without_credentials",
                    service = %service.id,
                    %image,
                    error,
                    "an image is pulled without credentials of the exchange"
                );
                Ok(stored)
            }
            (Ok(stored), None) => Ok(stored),
        }
    }

    /// Explains a refusal of the registry: the login has ended, or the exchange gave none.
    fn explained(
        &self,
        error: PullError,
        service: &WantedService,
        image: &PinnedImage,
    ) -> ProvideError {
        let (registry, now) = (image.repository.registry(), self.config.clock.now());
        let own = &self.identity.node;
        let none = service.id.org == own.org && self.credentials.has_none(&service.id);
        if none && error.is_unauthorized() {
            return ProvideError::NoCredentials { node: own.clone(), source: error };
        }
        let ended = self.credentials.ended(&service.id, registry, now);
        match ended.filter(|_| error.is_unauthorized()) {
            Some((username, ended)) => {
                let registry = registry.clone();
                ProvideError::LoginEnded { username, registry, ended, source: error }
            }
            None => error.into(),
        }
    }

    async fn registry_for(
        &mut self,
        service: &WantedService,
    ) -> (RegistryClient, Option<LoginsError>) {
        let authorities = self
            .known()
            .service(&service.id)
            .map(|document| document.body().registry_ca.clone())
            .unwrap_or_default();
        let (node, operator) = (&self.identity, &self.config.registries);
        let first_wait = self.config.first_wait;
        self.credentials
            .client_for(&service.id, authorities, node, &self.exchange, operator, first_wait)
            .await
    }
}
