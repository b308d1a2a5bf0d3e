//! The OCI image layout: a folder of blobs named by their digests (OCI image-spec, "Image Layout").

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::fs;

use crate::{
    image::{
        BlobReader, Descriptor, ImageError, ImageSource, Index, Manifest, RawManifest,
        VerifiedReader, VerifyError, Wanted,
        manifest::{MAX_MANIFEST, ManifestError},
        media_type,
    },
    types::{Digest, ImageRef},
};

mod writer;

pub use writer::OciLayoutWriter;

/// The annotation that gives an image of a layout its name.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation by which containerd and Docker give the whole name.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// The file that says that a folder is a layout.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayoutFile {
    image_layout_version: String,
}

/// Where the content of a layout lies in it.
pub(in crate::image) const BLOBS: &str = "blobs/sha256";

/// One image of a layout folder.
#[derive(Debug)]
pub struct OciLayout {
    folder: PathBuf,
    root: Descriptor,
}

impl OciLayout {
    /// The image of the layout at `folder` that is called `name`: its tag, whole name or digest.
    /// Without a name the layout must have exactly one image.
    pub fn open(folder: &Path, name: Option<&str>) -> Result<Self, ImageError> {
        Self::open_wanted(folder, name.map_or(Wanted::Only, Wanted::Name))
    }

    /// The image of the layout at `folder` that is meant by `wanted`.
    pub fn open_wanted(folder: &Path, wanted: Wanted<'_>) -> Result<Self, ImageError> {
        let origin = origin(folder);
        let marker = read_bounded(&folder.join("oci-layout"))?;
        let index = read_bounded(&folder.join("index.json"))?;
        check_version(&origin, &marker)?;
        let index = read_index(&origin, index)?;
        let root = choose(&origin, &index, wanted)?.clone();
        Ok(Self { folder: folder.to_owned(), root })
    }

    /// The descriptor of the image's manifest or index.
    pub fn descriptor(&self) -> &Descriptor {
        &self.root
    }
}

fn origin(folder: &Path) -> String {
    format!("the OCI layout {}", folder.display())
}

/// Refuses a layout of a version that does not exist yet.
pub(super) fn check_version(origin: &str, marker: &[u8]) -> Result<(), ImageError> {
    let marker: LayoutFile = serde_json::from_slice(marker)
        .map_err(|error| ImageError::malformed(origin, format!("oci-layout: {error}")))?;
    if marker.image_layout_version.starts_with("1.") {
        return Ok(());
    }
    let version = marker.image_layout_version;
    Err(ImageError::malformed(origin, format!("it is of the unknown layout version {version}")))
}

/// Reads the list of a layout's images.
pub(super) fn read_index(origin: &str, json: Vec<u8>) -> Result<Index, ImageError> {
    match parse(origin, &RawManifest::new(media_type::OCI_INDEX, json))? {
        Manifest::Index(index) => Ok(index),
        Manifest::Image(_) => Err(ImageError::malformed(origin, "index.json is no index")),
    }
}

/// Reads `raw`; an error names `origin`.
pub(super) fn parse(origin: &str, raw: &RawManifest) -> Result<Manifest, ImageError> {
    raw.parse()
        .map_err(|source: ManifestError| ImageError::Manifest { origin: origin.to_owned(), source })
}

/// The image of a layout that is wanted.
pub(super) fn choose<'a>(
    origin: &str,
    index: &'a Index,
    wanted: Wanted<'_>,
) -> Result<&'a Descriptor, ImageError> {
    let images = &index.manifests;
    // Docker lists an image once for each of its tags.
    let only = images.first().filter(|first| images.iter().all(|it| it.digest == first.digest));
    let found = match wanted {
        Wanted::Only => only,
        Wanted::Name(name) => images.iter().find(|image| is_called(image, name)).or_else(|| {
            let wanted = name.parse().ok()?;
            images.iter().find(|image| means_image(image, &wanted))
        }),
        Wanted::Image(wanted) => images
            .iter()
            .find(|image| means_image(image, wanted))
            .or_else(|| only.filter(|image| !has_name(image))),
    };
    found.ok_or_else(|| ImageError::NoSuchImage {
        origin: origin.to_owned(),
        wanted: wanted.to_string(),
        available: index.manifests.iter().map(name_of).collect(),
    })
}

fn is_called(image: &Descriptor, name: &str) -> bool {
    image.digest.to_string() == name
        || [REF_NAME, CONTAINERD_NAME]
            .iter()
            .any(|key| image.annotations.get(*key).is_some_and(|it| it == name))
}

fn has_name(image: &Descriptor) -> bool {
    [REF_NAME, CONTAINERD_NAME].iter().any(|key| image.annotations.contains_key(*key))
}

/// Whether an image of a layout is `wanted`, by its whole name or by its tag alone.
fn means_image(image: &Descriptor, wanted: &ImageRef) -> bool {
    match (image.annotations.get(CONTAINERD_NAME), image.annotations.get(REF_NAME)) {
        (Some(whole), _) => means(whole, wanted),
        (None, Some(short)) => {
            means(short, wanted) || wanted.tag.as_ref().is_some_and(|tag| tag.as_str() == short)
        }
        (None, None) => false,
    }
}

/// Whether `saved`, a name in a layout or archive, means the image `wanted`. Engines write Docker
/// Hub's images and their own local ones (`localhost/…`) in several ways.
pub(super) fn means(saved: &str, wanted: &ImageRef) -> bool {
    fn key(image: &ImageRef) -> (String, String) {
        let name = image.repository.to_string();
        let name = ["docker.io/library/", "docker.io/localhost/", "docker.io/"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(&name);
        let tag = image.tag.as_ref().map_or("latest", |tag| tag.as_str());
        (name.to_owned(), tag.to_owned())
    }
    saved.parse::<ImageRef>().is_ok_and(|saved| key(&saved) == key(wanted))
}

fn name_of(image: &Descriptor) -> String {
    let named = image.annotations.get(REF_NAME).or_else(|| image.annotations.get(CONTAINERD_NAME));
    named.cloned().unwrap_or_else(|| image.digest.to_string())
}

/// Where a layout has this content, as a path in it.
pub fn blob_name(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join(blob_name(digest))
}

/// Opens a file, and nothing else that has a name: a pipe would never end, nor ever be opened.
fn open_file(path: &Path) -> Result<File, ImageError> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(ImageError::io("open", path))?;
    if file.metadata().map_err(ImageError::io("read", path))?.is_file() {
        Ok(file)
    } else {
        Err(ImageError::malformed(path.display().to_string(), "it is no file"))
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, ImageError> {
    let file = open_file(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST + 1).read_to_end(&mut bytes).map_err(ImageError::io("read", path))?;
    if bytes.len() as u64 > MAX_MANIFEST {
        let why = format!("it has more than {MAX_MANIFEST} bytes");
        return Err(ImageError::malformed(path.display().to_string(), why));
    }
    Ok(bytes)
}

#[async_trait]
impl ImageSource for OciLayout {
    async fn root(&self) -> Result<RawManifest, ImageError> {
        self.manifest(&self.root).await
    }

    async fn manifest(&self, descriptor: &Descriptor) -> Result<RawManifest, ImageError> {
        let reader = self.blob(descriptor).await?;
        read_manifest(reader, descriptor, &self.describe()).await
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<BlobReader, ImageError> {
        let path = blob_path(&self.folder, &descriptor.digest);
        let opened = tokio::task::spawn_blocking(move || open_file(&path)).await;
        let stopped = |error| ImageError::malformed("the layout", format!("{error}"));
        match opened.map_err(stopped)? {
            Ok(file) => Ok(BlobReader::file(fs::File::from_std(file), u64::MAX)),
            Err(ImageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Err(ImageError::Missing { origin: self.describe(), digest: descriptor.digest })
            }
            Err(error) => Err(error),
        }
    }

    fn describe(&self) -> String {
        origin(&self.folder)
    }
}

/// Reads a manifest whole and verified.
pub(super) async fn read_manifest(
    reader: BlobReader,
    descriptor: &Descriptor,
    origin: &str,
) -> Result<RawManifest, ImageError> {
    let bytes = VerifiedReader::new(reader, descriptor)
        .into_bytes(MAX_MANIFEST)
        .await
        .map_err(|error| read_error(&error, origin))?;
    Ok(RawManifest::new(&descriptor.media_type, bytes))
}

/// What a failed read of a verified blob means.
pub(super) fn read_error(error: &io::Error, origin: &str) -> ImageError {
    match VerifyError::inside(error) {
        Some(VerifyError::WrongContent { expected, received }) => {
            ImageError::WrongContent { expected: *expected, received: *received }
        }
        _ => ImageError::malformed(origin, error.to_string()),
    }
}
