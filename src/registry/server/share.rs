//! One image of a folder under an unguessable path, for a reader on this machine that can carry a path but
//! no credentials: a container engine.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Weak},
};

use axum::{
    Router,
    extract::{Request, State},
    http::Method,
    response::{IntoResponse as _, Response},
};
use subtle::ConstantTimeEq as _;

use super::{Access, Registry, blobs, error::ApiError, manifests, routes::Target};
use crate::{
    image::{Manifest, ManifestError},
    listener::{ListenError, Listener, ListenerLimits},
    login::Authenticator,
    registry::{
        protocol::{Reference, RepositoryName},
        server::storage::{Folder, StorageError},
    },
    types::Digest,
};

/// The random bytes of a path: 256 bits.
const PATH_BYTES: usize = 32;

/// The longest repository name that Docker and Podman accept, with the registry's address before it.
const LONGEST_NAME: usize = 255;

/// One image, served on a free loopback port while this value lives.
///
/// Every path but `/v2/` begins with 256 random bits. Beyond the one manifest and its blobs nothing is
/// served: no catalog, no tags, no other image of the folder. All else is the same 404.
#[derive(Debug)]
pub struct SharedImage {
    listener: Listener,
    image: Arc<Image>,
}

/// What is served, and the path to it.
#[derive(Debug)]
struct Image {
    registry: Registry,
    /// Random, so that it cannot be guessed by other users of the machine.
    path: String,
    repository: RepositoryName,
    manifest: Digest,
    blobs: BTreeSet<Digest>,
}

/// Errors of sharing one image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShareError {
    /// The folder cannot be read.
    #[error("failed to read manifest {manifest}")]
    Read {
        /// The manifest of the image.
        manifest: Digest,
        /// The cause.
        source: Box<StorageError>,
    },
    /// The folder has no such manifest, or it is an index.
    #[error("failed to share {manifest}: the folder has no image of this digest")]
    NoImage {
        /// The manifest that was asked for.
        manifest: Digest,
    },
    /// The manifest cannot be parsed.
    #[error("failed to parse manifest {manifest}")]
    Manifest {
        /// The manifest of the image.
        manifest: Digest,
        /// The cause.
        source: Box<ManifestError>,
    },
    /// The system has no random bytes.
    #[error("failed to make an unguessable path")]
    Random(#[source] getrandom::Error),
    /// No loopback port is free.
    #[error("failed to listen on loopback")]
    Listen(#[source] ListenError),
}

impl SharedImage {
    /// Serves the image with this manifest of a repository of `folder`.
    ///
    /// # Errors
    /// If the folder has no such image, or no loopback port is free.
    pub async fn open(
        folder: &Folder,
        repository: &RepositoryName,
        manifest: Digest,
    ) -> Result<Self, ShareError> {
        let read = folder.manifest(repository, &Reference::Digest(manifest)).await;
        let raw = read.map_err(|source| ShareError::Read { manifest, source: Box::new(source) })?;
        let parsed = raw.ok_or(ShareError::NoImage { manifest })?.parse();
        let parsed =
            parsed.map_err(|source| ShareError::Manifest { manifest, source: Box::new(source) })?;
        let Manifest::Image(content) = parsed else {
            return Err(ShareError::NoImage { manifest });
        };
        let mut random = [0; PATH_BYTES];
        getrandom::fill(&mut random).map_err(ShareError::Random)?;
        let (logins, audit) = (Authenticator::default(), Arc::default());
        let image = Arc::new(Image {
            registry: Registry::new(folder.clone(), Access::ReadOnly, logins, audit),
            path: hex::encode(random),
            repository: repository.clone(),
            manifest,
            blobs: content.blobs().map(|it| it.digest).collect(),
        });
        // The router does not keep the image: what is dropped is not served any more.
        let router = Router::new().fallback(answer).with_state(Arc::downgrade(&image));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = Listener::bind(address, None, router, ListenerLimits::default())
            .map_err(ShareError::Listen)?;
        Ok(Self { listener, image })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The name of the repository under which the image is served, with the random path in it. The
    /// repository's own name stands behind the path for people, unless the whole becomes too long.
    pub fn repository(&self) -> String {
        let Image { path, repository, .. } = &*self.image;
        let name = format!("{path}/{repository}");
        if self.address().to_string().len() + 1 + name.len() > LONGEST_NAME {
            return path.clone();
        }
        name
    }

    /// Ends it: requests under way have a few seconds.
    pub async fn close(self) {
        self.listener.shutdown().await;
    }
}

impl Image {
    /// What a path without `/v2/` names, if it is part of the image.
    fn find(&self, path: &str) -> Option<Target> {
        let (secret, rest) = path.split_once('/')?;
        if !bool::from(secret.as_bytes().ct_eq(self.path.as_bytes())) {
            return None;
        }
        let own_name = format!("{}/", self.repository);
        let rest = rest.strip_prefix(&own_name).unwrap_or(rest);
        let digest = |text: &str| text.parse::<Digest>().ok();
        match rest.split_once('/')? {
            ("manifests", text) if digest(text)? == self.manifest => {
                let reference = Reference::Digest(self.manifest);
                Some(Target::Manifest(self.repository.clone(), reference))
            }
            ("blobs", text) => {
                let blob = digest(text).filter(|it| self.blobs.contains(it))?;
                Some(Target::Blob(self.repository.clone(), blob))
            }
            _ => None,
        }
    }
}

/// Sends a part of the image. `/v2/` says that this is a registry, since engines ask for it first.
async fn answer(State(image): State<Weak<Image>>, request: Request) -> Result<Response, ApiError> {
    let unknown = ApiError::path_unknown;
    let image = image.upgrade().ok_or_else(unknown)?;
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(unknown());
    }
    let (parts, _) = request.into_parts();
    let path = parts.uri.path().strip_prefix("/v2").ok_or_else(unknown)?;
    if matches!(path, "" | "/") {
        return Ok(axum::Json(serde_json::json!({})).into_response());
    }
    match image.find(path.trim_start_matches('/')).ok_or_else(unknown)? {
        Target::Manifest(name, reference) => {
            manifests::get(&image.registry, &name, &reference).await
        }
        Target::Blob(name, digest) => blobs::get(&image.registry, &name, &digest, &parts),
        _ => Err(unknown()),
    }
}
