//! An image of the engine on this machine: Docker, or Podman through Docker's API.

mod ssh;
mod target;

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use async_trait::async_trait;
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::OnceCell,
    time::timeout,
};

use crate::{
    image::{
        BlobReader, Descriptor, ImageError, ImageSource, Manifest, Packing, RawManifest,
        VerifiedReader,
        archive::{self, ArchiveImage},
        remembered::Packed,
    },
    types::{Digest, ImageRef, escape_foreign},
};

pub use ssh::Destination;
pub use target::EngineTarget;

/// How long an engine may be silent. It writes nothing while it gathers the layers of a large image.
const PATIENCE: Duration = Duration::from_mins(5);
/// The longest text of ssh that is repeated, in characters.
const LONGEST_CAUSE: usize = 500;
/// How much of a saved image is written at a time.
const BUFFER: usize = 256 * 1024;

/// Where an engine listens: `unix:///run/docker.sock`, or only the path, `tcp://host:port`, or
/// `ssh://[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineEndpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Plain TCP: whoever reaches it rules the machine, so it belongs on loopback.
    Tcp(String),
    /// A machine that ssh reaches.
    Ssh(Destination),
}

/// A text that names no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an engine: expected unix:///path, tcp://host:port or ssh://[user@]host[:port]"
)]
pub struct ParseEndpointError(String);

impl FromStr for EngineEndpoint {
    type Err = ParseEndpointError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        let unix = path.starts_with('/').then_some(path);
        let tcp = text.strip_prefix("tcp://").map(|rest| rest.trim_end_matches('/'));
        if let Ok(destination) = text.parse() {
            return Ok(Self::Ssh(destination));
        }
        match (unix, tcp) {
            (Some(path), _) => Ok(Self::Unix(PathBuf::from(path))),
            (_, Some(host)) if !host.is_empty() && !host.contains(['/', '@']) => {
                Ok(Self::Tcp(host.to_owned()))
            }
            _ => Err(ParseEndpointError(text.to_owned())),
        }
    }
}

impl fmt::Display for EngineEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::Ssh(destination) => destination.fmt(f),
        }
    }
}

impl EngineEndpoint {
    /// Connects, and agrees with the engine on a version of its API.
    /// One answer may take `patience`.
    pub(crate) async fn connect(
        &self,
        patience: Duration,
    ) -> Result<Docker, bollard::errors::Error> {
        let seconds = patience.as_secs();
        let docker = match self {
            Self::Unix(path) => {
                Docker::connect_with_unix(&path.to_string_lossy(), seconds, API_DEFAULT_VERSION)?
            }
            Self::Tcp(host) => {
                let address = format!("http://{host}");
                Docker::connect_with_http(&address, seconds, API_DEFAULT_VERSION)?
            }
            Self::Ssh(destination) => ssh::connect(destination, seconds)?,
        };
        docker.negotiate_version().await
    }
}

/// One image of an engine. The engine saves it when something of it is first asked for that was not
/// packed before.
#[derive(Debug)]
pub struct EngineImage {
    docker: Docker,
    endpoint: EngineEndpoint,
    name: String,
    /// What the engine calls its content.
    id: String,
    packing: Packing,
    /// What it was packed to before.
    known: Option<Packed>,
    saved: OnceCell<ArchiveImage>,
}

/// The image that the engine knows as `image`.
pub async fn open(
    endpoint: &EngineEndpoint,
    image: &ImageRef,
    packing: &Packing,
) -> Result<EngineImage, ImageError> {
    let name = local_name(image);
    let docker = endpoint.connect(PATIENCE).await.map_err(|error| away(endpoint, &error))?;
    let inspected = docker.inspect_image(&name).await.map_err(|error| match error {
        bollard::errors::Error::DockerResponseServerError { status_code: 404, .. } => {
            ImageError::NoSuchImage {
                origin: format!("the engine at {endpoint}"),
                wanted: name.clone(),
                available: Vec::new(),
            }
        }
        error => failed(endpoint, &name, error),
    })?;
    let id = inspected.id.unwrap_or_default();
    let known = packing.remembered.recall(&id, &packing.compression.form());
    Ok(EngineImage {
        docker,
        endpoint: endpoint.clone(),
        name,
        id,
        packing: packing.clone(),
        known,
        saved: OnceCell::new(),
    })
}

/// That no engine answers at `endpoint`, with what the system says of the connection, if it says anything.
fn away(endpoint: &EngineEndpoint, error: &(dyn std::error::Error + 'static)) -> ImageError {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let kind = causes
        .clone()
        .find_map(|cause| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind));
    let why = match (endpoint, kind) {
        // The last cause is what ssh says, such as that it does not know the host.
        (EngineEndpoint::Ssh(_), _) => {
            let said = causes.last().map(ToString::to_string).unwrap_or_default();
            escape_foreign(&said, LONGEST_CAUSE)
        }
        (EngineEndpoint::Unix(socket), _) if !socket.exists() => {
            "there is no such socket".to_owned()
        }
        (_, Some(kind)) => kind.to_string(),
        _ => "the connection failed".to_owned(),
    };
    ImageError::EngineAway { endpoint: endpoint.to_string(), why }
}

fn failed(
    endpoint: &EngineEndpoint,
    name: &str,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ImageError {
    ImageError::Engine {
        endpoint: endpoint.to_string(),
        image: name.to_owned(),
        source: error.into(),
    }
}

impl EngineImage {
    /// The image as the engine saves it.
    async fn saved(&self) -> Result<&ArchiveImage, ImageError> {
        self.saved.get_or_try_init(|| Box::pin(self.save())).await
    }

    async fn save(&self) -> Result<ArchiveImage, ImageError> {
        let (file, path) = tempfile::NamedTempFile::new()
            .map_err(ImageError::io("create a file in", std::env::temp_dir()))?
            .into_parts();
        let mut file = tokio::fs::File::from_std(file);
        file.set_max_buf_size(BUFFER);
        let mut chunks = Box::pin(self.docker.export_image(&self.name));
        while let Some(chunk) =
            timeout(PATIENCE, chunks.next()).await.map_err(|late| self.failed(late))?
        {
            let chunk = chunk.map_err(|error| self.failed(error))?;
            file.write_all(&chunk).await.map_err(ImageError::io("write", &*path))?;
        }
        file.flush().await.map_err(ImageError::io("write", &*path))?;
        let saved = archive::open_temporary(path, self.describe(), &self.packing).await?;
        self.compare(&saved).await?;
        Ok(saved)
    }

    /// Remembers what was saved, or forgets what it should have been.
    async fn compare(&self, saved: &ArchiveImage) -> Result<(), ImageError> {
        let (remembered, form) = (&self.packing.remembered, self.packing.compression.form());
        let root = saved.root().await?;
        match &self.known {
            Some(known) if known.root.digest != root.digest => {
                remembered.forget(&self.id, &form);
                let why = "it is packed otherwise now than it was; the same command begins anew";
                Err(ImageError::malformed(self.describe(), why))
            }
            Some(_) => Ok(()),
            None => {
                let Ok(Manifest::Image(image)) = root.parse() else { return Ok(()) };
                let mut config = Vec::new();
                let reader = saved.blob(&image.config).await?;
                VerifiedReader::new(reader, &image.config)
                    .read_to_end(&mut config)
                    .await
                    .map_err(|error| ImageError::malformed(self.describe(), error.to_string()))?;
                remembered.keep(&self.id, &form, &Packed { root, config: config.into() });
                Ok(())
            }
        }
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ImageError {
        failed(&self.endpoint, &self.name, error)
    }
}

#[async_trait]
impl ImageSource for EngineImage {
    async fn root(&self) -> Result<RawManifest, ImageError> {
        match &self.known {
            Some(known) => Ok(known.root.clone()),
            None => self.saved().await?.root().await,
        }
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, ImageError> {
        self.saved().await?.manifest(descriptor).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, ImageError> {
        match &self.known {
            Some(known) if Digest::of(&known.config) == descriptor.digest => {
                Ok(BlobReader::bytes(known.config.clone()))
            }
            _ => self.saved().await?.blob(descriptor).await,
        }
    }

    fn describe(&self) -> String {
        format!("the image {} of the engine at {}", self.name, self.endpoint)
    }
}

/// The name by which an engine knows the image: without Docker Hub's, which Docker leaves out and
/// Podman does not put before its own.
fn local_name(image: &ImageRef) -> String {
    let name = image.to_string();
    name.strip_prefix("docker.io/").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_prints_what_it_reads() {
        for text in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375", "ssh://me@host:22"] {
            assert_eq!(text.parse::<EngineEndpoint>().unwrap().to_string(), text);
        }
        for text in ["", "unix://docker.sock", "tcp://", "ssh://-host", "tcp://user@host"] {
            assert!(text.parse::<EngineEndpoint>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_away_is_named() {
        let endpoint = "unix:///nowhere/docker.sock".parse().unwrap();
        let error =
            open(&endpoint, &"hello:1".parse().unwrap(), &Packing::default()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "no container engine answers at unix:///nowhere/docker.sock: there is no such socket"
        );
    }
}
