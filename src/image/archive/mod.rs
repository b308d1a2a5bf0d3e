//! What `docker save` and `podman save` write: a tar of layers, in Docker's own form or, since
//! Docker 25, as an OCI layout in a tar. A tar of any other OCI layout is read too.
//!
//! Content is read where it lies in the tar; only layers that are not compressed are written anew.

use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use tempfile::{TempDir, TempPath};
use tokio::io::AsyncSeekExt as _;

use crate::{
    image::{
        BlobReader, Compression, Descriptor, ImageError, ImageSource, Packing, RawManifest, Wanted,
    },
    types::Digest,
};

mod compress;
mod docker;
mod headers;
mod oci;
mod tar_index;
mod target;

pub(crate) use tar_index::{Slice, TarIndex};
pub use target::{ArchiveTarget, Form};
pub(crate) use target::{names, staging_folder, write_tar};

/// One image of an archive.
#[derive(Debug)]
pub struct ArchiveImage {
    archive: Held,
    origin: String,
    root: RawManifest,
    /// The manifests below the root.
    manifests: HashMap<Digest, RawManifest>,
    blobs: HashMap<Digest, Place>,
    /// Holds the files among `blobs`, and goes with this image.
    _compressed: TempDir,
}

/// The archive, which may be a temporary file that goes with the image.
#[derive(Debug)]
enum Held {
    Kept(PathBuf),
    Temporary(TempPath),
}

impl Held {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(path) => path,
        }
    }
}

/// Where a blob lies.
#[derive(Debug, Clone)]
enum Place {
    /// In the archive, as it is.
    Slice(Slice),
    /// In a file that was compressed from the archive.
    File(PathBuf),
}

/// The image of the archive at `path` that is meant by `wanted`.
pub async fn open(
    path: &Path,
    wanted: Wanted<'_>,
    packing: &Packing,
) -> Result<ArchiveImage, ImageError> {
    let origin = format!("the archive {}", path.display());
    read(Held::Kept(path.to_owned()), origin, wanted, packing).await
}

/// The only image of a temporary archive, which goes with the image; errors name `origin`.
pub(super) async fn open_temporary(
    path: TempPath,
    origin: String,
    packing: &Packing,
) -> Result<ArchiveImage, ImageError> {
    read(Held::Temporary(path), origin, Wanted::Only, packing).await
}

/// What an archive turned out to hold.
struct Contents {
    root: RawManifest,
    manifests: HashMap<Digest, RawManifest>,
    blobs: HashMap<Digest, Place>,
}

/// An archive being read: where it is, and where compressed layers are put.
struct Reading {
    origin: String,
    tar: Arc<TarIndex>,
    folder: PathBuf,
    compression: Compression,
}

impl Reading {
    fn malformed(&self, why: impl Into<String>) -> ImageError {
        ImageError::malformed(&self.origin, why)
    }

    /// A file of the archive, whole.
    fn small(&self, name: &str, limit: u64) -> Result<Vec<u8>, ImageError> {
        let slice = self.slice(name)?;
        if slice.size > limit {
            return Err(self.malformed(format!("`{name}` has more than {limit} bytes")));
        }
        self.tar.read(slice).map_err(|error| self.malformed(format!("`{name}`: {error}")))
    }

    fn slice(&self, name: &str) -> Result<Slice, ImageError> {
        self.tar.find(name).ok_or_else(|| self.malformed(format!("it has no file `{name}`")))
    }
}

async fn read(
    mut archive: Held,
    origin: String,
    wanted: Wanted<'_>,
    packing: &Packing,
) -> Result<ArchiveImage, ImageError> {
    let folder = tempfile::tempdir().map_err(ImageError::io("create", std::env::temp_dir()))?;
    if let Some(plain) = inflated(archive.path(), &origin).await? {
        archive = Held::Temporary(plain);
    }
    let path = archive.path().to_owned();
    let tar = {
        let origin = origin.clone();
        tokio::task::spawn_blocking(move || TarIndex::scan(&path, &origin))
            .await
            .map_err(|error| ImageError::malformed("the archive", error.to_string()))??
    };
    let reading = Reading {
        origin,
        tar: Arc::new(tar),
        folder: folder.path().to_owned(),
        compression: packing.compression,
    };
    let contents = if reading.tar.find("oci-layout").is_some() {
        oci::read(&reading, wanted).await?
    } else {
        docker::read(&reading, wanted).await?
    };
    let Contents { root, manifests, blobs } = contents;
    let origin = reading.origin;
    Ok(ArchiveImage { archive, origin, root, manifests, blobs, _compressed: folder })
}

/// The archive in plain, if it is compressed with gzip or zstd.
async fn inflated(path: &Path, origin: &str) -> Result<Option<TempPath>, ImageError> {
    let (path, origin) = (path.to_owned(), origin.to_owned());
    tokio::task::spawn_blocking(move || {
        let file = File::open(&path).map_err(ImageError::io("open", &path))?;
        compress::inflate_archive(&file)
            .map_err(|error| ImageError::malformed(&origin, error.to_string()))
    })
    .await
    .map_err(|error| ImageError::malformed("the archive", error.to_string()))?
}

#[async_trait]
impl ImageSource for ArchiveImage {
    async fn root(&self) -> Result<RawManifest, ImageError> {
        Ok(self.root.clone())
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, ImageError> {
        let missing = || ImageError::Missing { origin: self.describe(), digest: descriptor.digest };
        self.manifests.get(&descriptor.digest).cloned().ok_or_else(missing)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, ImageError> {
        let digest = descriptor.digest;
        match self.blobs.get(&digest) {
            None => Err(ImageError::Missing { origin: self.describe(), digest }),
            Some(Place::File(path)) => {
                let file =
                    tokio::fs::File::open(path).await.map_err(ImageError::io("open", path))?;
                Ok(BlobReader::file(file, u64::MAX))
            }
            Some(Place::Slice(slice)) => {
                let path = self.archive.path();
                let mut file =
                    tokio::fs::File::open(path).await.map_err(ImageError::io("open", path))?;
                file.seek(std::io::SeekFrom::Start(slice.offset))
                    .await
                    .map_err(ImageError::io("read", path))?;
                Ok(BlobReader::file(file, slice.size))
            }
        }
    }

    fn describe(&self) -> String {
        self.origin.clone()
    }
}

#[cfg(test)]
mod tests;
