//! The content store as a read-only registry on loopback, from which the engine takes images.
//!
//! `127.0.0.0/8` needs no TLS in Docker, every engine speaks the protocol, and the engine checks
//! every digest a second time. It listens only while something is handed over.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{
    agent::pull::Stored,
    registry::server::{Access, RegistryServer, StartRegistryError, storage::Folder},
    types::{PinnedImage, Registry, Repository},
};

/// A registry of this process alone.
#[derive(Debug)]
pub(super) struct HandOff {
    server: RegistryServer,
}

impl HandOff {
    /// Opens it on a free port.
    pub(super) fn open(store: &Folder) -> Result<Self, StartRegistryError> {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = RegistryServer::serve(store.clone(), listen, None, Access::ReadOnly)?;
        Ok(Self { server })
    }

    /// What the engine is to pull for `image`; none if its name does not fit a registry's path.
    pub(super) fn reference(&self, image: &Stored) -> Option<PinnedImage> {
        let registry: Registry = self.server.address().to_string().parse().ok()?;
        let repository = Repository::new(registry, image.repository.as_str()).ok()?;
        Some(PinnedImage { repository, digest: image.manifest })
    }

    /// Closes it.
    pub(super) async fn close(self) {
        self.server.shutdown().await;
    }
}
