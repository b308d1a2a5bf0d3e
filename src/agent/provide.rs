//! The images of a service into the engine: what it holds is not fetched, what it lacks comes
//! through the content store.

use std::collections::BTreeMap;

use crate::{
    agent::{
        Agent,
        hand_off::hand_off,
        outcome::ProvideError,
        plan::WantedService,
        pull::{Origin, PullError, Stored},
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
    ) -> Result<(), ProvideError> {
        let mut manifests = BTreeMap::new();
        for image in service.images.clone() {
            let manifest = self.provide_image(service, &image).await?;
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
        let stored = self.store(service, image, &platform).await?;
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
    ) -> Result<Stored, ProvideError> {
        if let Some(stored) = self.images.whole(image, platform).await? {
            return Ok(stored);
        }
        if let Some(carried) = &self.carried {
            let origin = Origin::Bundle(&carried.bundle);
            return Ok(self.images.ensure(image, platform, origin).await?);
        }
        let registry = self.registry_for(service).await?;
        match self.images.ensure(image, platform, Origin::Registry(&registry)).await {
            Err(error) if error.is_unauthorized() => {
                self.credentials.forget(&service.id);
                let registry = self.registry_for(service).await?;
                let origin = Origin::Registry(&registry);
                let outcome = self.images.ensure(image, platform, origin).await;
                outcome.map_err(|error| self.explained(error, service, image))
            }
            outcome => Ok(outcome?),
        }
    }

    /// Says of a login that was not accepted that it has ended, if it has.
    fn explained(
        &self,
        error: PullError,
        service: &WantedService,
        image: &PinnedImage,
    ) -> ProvideError {
        let (registry, now) = (image.repository.registry(), self.config.clock.now());
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
    ) -> Result<RegistryClient, ProvideError> {
        let authorities = self
            .known()
            .service(&service.id)
            .map(|document| document.body().registry_ca.clone())
            .unwrap_or_default();
        let (node, operator) = (&self.identity, &self.config.registries);
        let first_wait = self.config.first_wait;
        let client = self
            .credentials
            .client_for(&service.id, authorities, node, &self.exchange, operator, first_wait)
            .await?;
        Ok(client)
    }
}
