//! One image of the content store on loopback, from which the engine takes it.
//!
//! `127.0.0.0/8` needs no TLS in Docker, every engine speaks the protocol, and the engine checks
//! every digest a second time. Other users of the machine reach the port too, so that the path to the
//! image has 256 random bits, and nothing but that image is served, until the engine has it.

use crate::{
    agent::{outcome::ProvideError, pull::Stored, runtime::Runtime},
    registry::server::{SharedImage, storage::Folder},
    types::{PinnedImage, Registry, Repository},
};

/// Lets the engine take an image that is whole in the store.
///
/// # Errors
/// If the image cannot be served, or the engine does not take it.
pub(super) async fn hand_off(
    runtime: &dyn Runtime,
    store: &Folder,
    image: &Stored,
) -> Result<(), ProvideError> {
    let shared = SharedImage::open(store, &image.repository, image.manifest).await?;
    let outcome = match reference(&shared, image) {
        Some(reference) => runtime.pull(&reference).await.map_err(ProvideError::from),
        None => Err(ProvideError::Unnameable(image.repository.to_string())),
    };
    shared.close().await;
    outcome
}

/// What the engine is to pull; none if no engine takes such a name.
fn reference(shared: &SharedImage, image: &Stored) -> Option<PinnedImage> {
    let registry: Registry = shared.address().to_string().parse().ok()?;
    let repository = Repository::new(registry, &shared.repository()).ok()?;
    Some(PinnedImage { repository, digest: image.manifest })
}
