//! An engine that is given an image, as `docker load` does it.

use std::path::PathBuf;

use async_trait::async_trait;
use bollard::{body_try_stream, query_parameters::ImportImageOptionsBuilder};
use futures_util::StreamExt as _;
use tokio::time::timeout;
use tokio_util::io::ReaderStream;

use super::{BUFFER, EngineEndpoint, PATIENCE, failed, local_name};
use crate::{
    image::{
        BlobReader, Descriptor, ImageError, ImageTarget, RawManifest,
        archive::{ArchiveTarget, Form},
    },
    types::ImageRef,
};

/// An engine that is to know an image by a name.
#[derive(Debug)]
pub struct EngineTarget {
    endpoint: EngineEndpoint,
    name: String,
    archive: ArchiveTarget,
    file: PathBuf,
}

impl EngineTarget {
    /// Begins to gather what `endpoint` shall know as `image`, beside `file`, which is made for it and
    /// removed again.
    pub async fn create(
        endpoint: &EngineEndpoint,
        image: &ImageRef,
        file: PathBuf,
    ) -> Result<Self, ImageError> {
        let name = local_name(image);
        // Asked for now, so that nothing is fetched for an engine that is away.
        endpoint.connect(PATIENCE).await.map_err(|error| failed(endpoint, &name, error))?;
        let archive = ArchiveTarget::create(&file, Form::Docker).await?;
        Ok(Self { endpoint: endpoint.clone(), name, archive, file })
    }
}

#[async_trait]
impl ImageTarget for EngineTarget {
    async fn has(&self, descriptor: &Descriptor) -> bool {
        self.archive.has(descriptor).await
    }

    async fn put_blob(
        &mut self,
        descriptor: &Descriptor,
        reader: BlobReader,
    ) -> Result<(), ImageError> {
        self.archive.put_blob(descriptor, reader).await
    }

    fn partial(&self, descriptor: &Descriptor) -> PathBuf {
        self.archive.partial(descriptor)
    }

    async fn adopt(&mut self, descriptor: &Descriptor, file: PathBuf) -> Result<(), ImageError> {
        self.archive.adopt(descriptor, file).await
    }

    async fn put_manifest(&mut self, raw: &RawManifest) -> Result<(), ImageError> {
        self.archive.put_manifest(raw).await
    }

    async fn finish(
        self: Box<Self>,
        root: &RawManifest,
        _name: Option<&str>,
    ) -> Result<(), ImageError> {
        let Self { endpoint, name, archive, file } = *self;
        Box::new(archive).finish(root, Some(&name)).await?;
        let loaded = load(&endpoint, &name, &file).await;
        // Nobody else knows of it.
        let _ = tokio::fs::remove_file(&file).await;
        loaded
    }

    fn describe(&self) -> String {
        format!("the engine at {}", self.endpoint)
    }
}

async fn load(
    endpoint: &EngineEndpoint,
    name: &str,
    file: &std::path::Path,
) -> Result<(), ImageError> {
    let docker = endpoint.connect(PATIENCE).await.map_err(|error| failed(endpoint, name, error))?;
    let content = tokio::fs::File::open(file).await.map_err(ImageError::io("open", file))?;
    let options = ImportImageOptionsBuilder::new().quiet(true).build();
    let body = body_try_stream(ReaderStream::with_capacity(content, BUFFER));
    let mut answers = Box::pin(docker.import_image(options, body, None));
    while let Some(answer) =
        timeout(PATIENCE, answers.next()).await.map_err(|late| failed(endpoint, name, late))?
    {
        let answer = answer.map_err(|error| failed(endpoint, name, error))?;
        if let Some(why) = answer.error_detail.and_then(|it| it.message) {
            return Err(failed(endpoint, name, why));
        }
    }
    Ok(())
}
