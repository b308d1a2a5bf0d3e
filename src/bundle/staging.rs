//! Where images lie while a bundle is made: an OCI layout beside its file.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;

use crate::{
    image::{
        BlobReader, Descriptor, ImageError, ImageTarget, RawManifest,
        archive::staging_folder,
        layout::{OciLayoutWriter, blob_name},
    },
    types::Digest,
};

/// The folder that is filled. What a run that was broken off left there is not fetched again.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    held: Arc<BTreeSet<Digest>>,
}

impl Staging {
    /// The folder for `file`, without the list of images of an earlier run. Of what is in `held` only manifests
    /// are put there: a node has those repository by repository.
    pub(super) fn beside(file: &Path, held: BTreeSet<Digest>) -> Result<Self, ImageError> {
        let folder = staging_folder(file)?;
        let index = folder.join("index.json");
        match fs::remove_file(&index) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ImageError::io("replace", index)(error))
            }
            _ => Ok(Self { folder, held: Arc::new(held) }),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes one more image.
    pub(super) async fn target(&self) -> Result<Box<dyn ImageTarget>, ImageError> {
        let layout = Box::new(OciLayoutWriter::create(&self.folder).await?);
        Ok(Box::new(LessHeld { layout, held: Arc::clone(&self.held) }))
    }

    /// Whether this content lies here.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.folder.join(blob_name(digest)).is_file()
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

/// A layout that lacks what is held elsewhere.
#[derive(Debug)]
struct LessHeld {
    layout: Box<OciLayoutWriter>,
    held: Arc<BTreeSet<Digest>>,
}

#[async_trait]
impl ImageTarget for LessHeld {
    async fn has(&self, descriptor: &Descriptor) -> bool {
        self.held.contains(&descriptor.digest) || self.layout.has(descriptor).await
    }

    async fn put_blob(
        &mut self,
        descriptor: &Descriptor,
        reader: BlobReader,
    ) -> Result<(), ImageError> {
        self.layout.put_blob(descriptor, reader).await
    }

    fn partial(&self, descriptor: &Descriptor) -> PathBuf {
        self.layout.partial(descriptor)
    }

    async fn adopt(&mut self, descriptor: &Descriptor, file: PathBuf) -> Result<(), ImageError> {
        self.layout.adopt(descriptor, file).await
    }

    async fn put_manifest(&mut self, raw: &RawManifest) -> Result<(), ImageError> {
        self.layout.put_manifest(raw).await
    }

    async fn finish(
        self: Box<Self>,
        root: &RawManifest,
        name: Option<&str>,
    ) -> Result<(), ImageError> {
        ImageTarget::finish(self.layout, root, name).await
    }

    fn describe(&self) -> String {
        self.layout.describe()
    }
}
