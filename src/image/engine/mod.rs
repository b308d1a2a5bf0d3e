//! An image of the engine on this machine: Docker, or Podman through Docker's API.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt as _;
use tokio::io::AsyncWriteExt as _;

use crate::{
    image::{
        ImageError, Packing,
        archive::{self, ArchiveImage},
    },
    types::ImageRef,
};

/// How long an engine may be silent. It writes nothing while it gathers the layers of a large image.
const PATIENCE: Duration = Duration::from_mins(5);

/// Where an engine listens: `unix:///run/docker.sock`, or only the path, or `tcp://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineEndpoint {
    /// A socket of this machine.
    Unix(PathBuf),
    /// Plain TCP: whoever reaches it rules the machine, so it belongs on loopback.
    Tcp(String),
}

/// A text that names no engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an engine: expected unix:///path or tcp://host:port")]
pub struct ParseEndpointError(String);

impl FromStr for EngineEndpoint {
    type Err = ParseEndpointError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointError> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        let unix = path.starts_with('/').then_some(path);
        let tcp = text.strip_prefix("tcp://").map(|rest| rest.trim_end_matches('/'));
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
        };
        docker.negotiate_version().await
    }
}

/// Has the engine save `image`, into a file that goes with the result.
pub async fn export(
    endpoint: &EngineEndpoint,
    image: &ImageRef,
    packing: &Packing,
) -> Result<ArchiveImage, ImageError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| ImageError::Engine {
        endpoint: endpoint.to_string(),
        image: image.to_string(),
        source,
    };
    let name = local_name(image);
    let docker = endpoint.connect(PATIENCE).await.map_err(|error| failed(error.into()))?;
    if let Err(error) = docker.inspect_image(&name).await {
        return Err(match error {
            bollard::errors::Error::DockerResponseServerError { status_code: 404, .. } => {
                ImageError::NoSuchImage {
                    origin: format!("the engine at {endpoint}"),
                    wanted: name,
                    available: Vec::new(),
                }
            }
            error => failed(error.into()),
        });
    }

    let (file, path) = tempfile::NamedTempFile::new()
        .map_err(ImageError::io("create a file in", std::env::temp_dir()))?
        .into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut chunks = Box::pin(docker.export_image(&name));
    while let Some(chunk) =
        tokio::time::timeout(PATIENCE, chunks.next()).await.map_err(|late| failed(late.into()))?
    {
        let chunk = chunk.map_err(|error| failed(error.into()))?;
        file.write_all(&chunk).await.map_err(ImageError::io("write", &*path))?;
    }
    file.flush().await.map_err(ImageError::io("write", &*path))?;
    let origin = format!("the image {name} of the engine at {endpoint}");
    archive::open_temporary(path, origin, packing).await
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
        for text in ["unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"] {
            assert_eq!(text.parse::<EngineEndpoint>().unwrap().to_string(), text);
        }
        for text in ["", "unix://docker.sock", "tcp://", "ssh://host", "tcp://user@host"] {
            assert!(text.parse::<EngineEndpoint>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn an_engine_that_is_away_is_named() {
        let endpoint = "unix:///nowhere/docker.sock".parse().unwrap();
        let error =
            export(&endpoint, &"hello:1".parse().unwrap(), &Packing::default()).await.unwrap_err();
        assert!(error.to_string().contains("unix:///nowhere/docker.sock"), "{error}");
    }
}
