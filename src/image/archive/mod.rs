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
        BlobReader, Compression, Descriptor, ImageError, ImageSource, Manifest, Packing,
        RawManifest, Wanted,
        choice::{self, ImageCandidate, ImageChoice, SmallBlobs},
        layout::blob_name,
        media_type,
    },
    types::{Digest, JsonProblem, Platform},
};

use docker::SavedImage;

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
    contents: Contents,
    /// Holds the files among the blobs, and goes with this image.
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

/// The image of an archive.
#[derive(Debug)]
struct Contents {
    root: RawManifest,
    /// The manifests below the root.
    manifests: HashMap<Digest, RawManifest>,
    blobs: HashMap<Digest, Place>,
    /// What `index.json` says about the platform of the root.
    platform: Option<Platform>,
    /// The name of the image, where it was taken as the only one under another name.
    other_name: Option<String>,
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

    fn encode(&self, manifest: &Manifest) -> Result<RawManifest, ImageError> {
        RawManifest::encode(manifest)
            .map_err(|error| self.malformed(JsonProblem::from(error).to_string()))
    }

    /// A file of the archive, whole.
    fn small(&self, name: &str, limit: u64) -> Result<Vec<u8>, ImageError> {
        let slice = self.slice(name)?;
        if slice.size > limit {
            let name = shown(name);
            return Err(self.malformed(format!("`{name}` has more than {limit} bytes")));
        }
        self.tar.read(slice).map_err(|error| self.malformed(format!("`{}`: {error}", shown(name))))
    }

    fn slice(&self, name: &str) -> Result<Slice, ImageError> {
        self.tar
            .find(name)
            .ok_or_else(|| self.malformed(format!("it has no file `{}`", shown(name))))
    }
}

/// A name that an archive chose, as a message shows it.
fn shown(name: &str) -> String {
    const MAX_SHOWN: usize = 200;
    name.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect()
}

impl SmallBlobs for Reading {
    fn small_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, ImageError> {
        self.small(&blob_name(digest), limit)
    }
}

/// Where an archive lists an image.
#[derive(Debug, Clone)]
enum ArchiveEntry {
    /// In `index.json`.
    Layout(Descriptor),
    /// In `manifest.json` alone.
    Saved(SavedImage),
}

/// The image of an archive that is meant by `wanted`. What `index.json` lists may have several platforms; what it lacks
/// or has wrong is taken from `manifest.json`, as `docker load` does.
async fn contents(reading: &Reading, wanted: Wanted<'_>) -> Result<Contents, ImageError> {
    let listed = oci::read_list(reading)?;
    let saved = docker::read_list(reading)?;
    if [oci::LIST, docker::LIST].iter().all(|list| reading.tar.find(list).is_none()) {
        let why = "it is neither an OCI layout nor an archive as `docker save` writes it: it has no index.json and no \
                   manifest.json";
        return Err(reading.malformed(why));
    }
    let candidates = merge(reading, listed.clone(), &saved);
    let choice = match choice::choose(&reading.origin, &candidates, wanted) {
        Ok(choice) => choice,
        Err(absent) => {
            let Some(root) = choice::nested(&listed, wanted, reading) else { return Err(absent) };
            return oci::read(reading, root, &saved).await;
        }
    };
    if let [ImageCandidate { item: ArchiveEntry::Saved(image), .. }] = choice.meant.as_slice() {
        let mut blobs = HashMap::new();
        let root = image.pack(reading, media_type::DOCKER_CONFIG, &mut blobs).await?;
        let manifests = HashMap::new();
        let other_name = choice.other_name;
        return Ok(Contents { root, manifests, blobs, platform: None, other_name });
    }
    let meant: Option<Vec<_>> = choice.meant.iter().map(|it| it.in_layout()).collect();
    let Some(meant) = meant else {
        return Err(choice::undecided(&reading.origin, &choice.meant));
    };
    let meant = ImageChoice { meant: meant.iter().collect(), other_name: choice.other_name };
    let root = choice::root_of(&reading.origin, meant, reading)?;
    oci::read(reading, root, &saved).await
}

impl ImageCandidate<ArchiveEntry> {
    /// The same candidate as the layout in the archive has it, if it does.
    fn in_layout(&self) -> Option<ImageCandidate<Descriptor>> {
        let ArchiveEntry::Layout(descriptor) = &self.item else { return None };
        let (names, digests) = (self.names.clone(), self.digests.clone());
        Some(ImageCandidate { names, digests, is_beside: self.is_beside, item: descriptor.clone() })
    }
}

/// Every image of the archive once: what the layout lists, and what `manifest.json` lists besides.
fn merge(
    reading: &Reading,
    listed: Vec<ImageCandidate<Descriptor>>,
    saved: &[SavedImage],
) -> Vec<ImageCandidate<ArchiveEntry>> {
    let mut candidates: Vec<ImageCandidate<ArchiveEntry>> = Vec::new();
    let mut by_config: HashMap<Slice, usize> = HashMap::new();
    for ImageCandidate { names, digests, is_beside, item } in listed {
        if !saved.is_empty() {
            for config in oci::configs(reading, &item) {
                by_config.entry(config).or_insert(candidates.len());
            }
        }
        candidates.push(ImageCandidate {
            names,
            digests,
            is_beside,
            item: ArchiveEntry::Layout(item),
        });
    }
    for image in saved {
        let config = image.config(reading);
        let known = config.and_then(|config| by_config.get(&config).copied());
        if let Some(candidate) = known.and_then(|at| candidates.get_mut(at)) {
            candidate.names.extend(image.names());
            candidate.digests.extend(image.id());
        } else {
            if let Some(config) = config {
                by_config.insert(config, candidates.len());
            }
            candidates.push(image.candidate(ArchiveEntry::Saved(image.clone())));
        }
    }
    candidates
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
    let contents = contents(&reading, wanted).await?;
    let origin = reading.origin;
    Ok(ArchiveImage { archive, origin, contents, _compressed: folder })
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
        Ok(self.contents.root.clone())
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, ImageError> {
        let missing = || ImageError::Missing { origin: self.describe(), digest: descriptor.digest };
        self.contents.manifests.get(&descriptor.digest).cloned().ok_or_else(missing)
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, ImageError> {
        let digest = descriptor.digest;
        match self.contents.blobs.get(&digest) {
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

    fn listed_platform(&self) -> Option<&Platform> {
        self.contents.platform.as_ref()
    }

    fn other_name(&self) -> Option<&str> {
        self.contents.other_name.as_deref()
    }

    fn describe(&self) -> String {
        self.origin.clone()
    }
}

#[cfg(test)]
mod tests;
