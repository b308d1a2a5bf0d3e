//! The OCI image layout: a folder of blobs named by their digests (OCI image-spec, "Image Layout").

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::{
    fs,
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
};

use crate::{
    image::{
        BlobReader, Descriptor, ImageError, ImageSource, Index, Manifest, RawManifest,
        VerifiedReader, VerifyError,
        manifest::{MAX_MANIFEST, ManifestError},
        media_type,
    },
    types::Digest,
};

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

/// One image of a layout folder.
#[derive(Debug)]
pub struct OciLayout {
    folder: PathBuf,
    root: Descriptor,
}

impl OciLayout {
    /// The image of the layout at `folder` that is called `name`: its tag, whole name or digest.
    /// Without a name the layout must have exactly one image.
    pub async fn open(folder: &Path, name: Option<&str>) -> Result<Self, ImageError> {
        let origin = origin(folder);
        let marker = read_bounded(&folder.join("oci-layout")).await?;
        let index = read_bounded(&folder.join("index.json")).await?;
        check_version(&origin, &marker)?;
        let index = read_index(&origin, index)?;
        let root = choose(&origin, &index, name)?.clone();
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

/// The image of a layout that has `name`, or its only one.
pub(super) fn choose<'a>(
    origin: &str,
    index: &'a Index,
    name: Option<&str>,
) -> Result<&'a Descriptor, ImageError> {
    let found = match name {
        Some(name) => index.manifests.iter().find(|image| is_called(image, name)),
        None => match index.manifests.as_slice() {
            [only] => Some(only),
            _ => None,
        },
    };
    found.ok_or_else(|| ImageError::NoSuchImage {
        origin: origin.to_owned(),
        wanted: name.unwrap_or("(the only one)").to_owned(),
        available: index.manifests.iter().map(name_of).collect(),
    })
}

fn is_called(image: &Descriptor, name: &str) -> bool {
    image.digest.to_string() == name
        || [REF_NAME, CONTAINERD_NAME]
            .iter()
            .any(|key| image.annotations.get(*key).is_some_and(|it| it == name))
}

fn name_of(image: &Descriptor) -> String {
    let named = image.annotations.get(REF_NAME).or_else(|| image.annotations.get(CONTAINERD_NAME));
    named.cloned().unwrap_or_else(|| image.digest.to_string())
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs").join("sha256").join(digest.hex())
}

async fn read_bounded(path: &Path) -> Result<Vec<u8>, ImageError> {
    let file = fs::File::open(path).await.map_err(ImageError::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(ImageError::io("read", path))?;
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
        match fs::File::open(&path).await {
            Ok(file) => Ok(BlobReader::file(file, u64::MAX)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ImageError::Missing { origin: self.describe(), digest: descriptor.digest })
            }
            Err(error) => Err(ImageError::io("open", path)(error)),
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

/// Fills a layout folder. It is a layout only once [`OciLayoutWriter::finish`] has been called.
#[derive(Debug)]
pub struct OciLayoutWriter {
    folder: PathBuf,
}

impl OciLayoutWriter {
    /// Begins to fill `folder`, which is made if it does not exist.
    pub async fn create(folder: &Path) -> Result<Self, ImageError> {
        let blobs = folder.join("blobs").join("sha256");
        fs::create_dir_all(&blobs).await.map_err(ImageError::io("create", blobs))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Whether the blob is there already.
    pub async fn has(&self, digest: &Digest) -> bool {
        fs::try_exists(blob_path(&self.folder, digest)).await.unwrap_or(false)
    }

    /// Adds what `reader` has, if it is what `descriptor` names.
    pub async fn add_blob(
        &mut self,
        descriptor: &Descriptor,
        reader: impl AsyncRead + Unpin,
    ) -> Result<(), ImageError> {
        let path = blob_path(&self.folder, &descriptor.digest);
        let (file, temporary) = self.temporary()?;
        let mut file = fs::File::from_std(file);
        let mut reader = VerifiedReader::new(reader, descriptor);
        tokio::io::copy(&mut reader, &mut file)
            .await
            .map_err(|error| read_error(&error, &descriptor.digest.to_string()))?;
        file.flush().await.map_err(ImageError::io("write", &path))?;
        temporary.persist(&path).map_err(|it| ImageError::io("write", &path)(it.error))
    }

    /// Adds small content that is at hand.
    pub async fn add_bytes(
        &mut self,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Descriptor, ImageError> {
        let descriptor = Descriptor::of(media_type, bytes);
        self.add_blob(&descriptor, bytes).await?;
        Ok(descriptor)
    }

    /// Adds a file whose digest its maker has computed; the file is moved.
    pub(super) async fn adopt(
        &mut self,
        digest: &Digest,
        file: tempfile::TempPath,
    ) -> Result<(), ImageError> {
        let path = blob_path(&self.folder, digest);
        let moved = path.clone();
        tokio::task::spawn_blocking(move || file.persist(&moved).map_err(|it| it.error))
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(ImageError::io("write", path))
    }

    /// Where to write a file that is to be adopted: in the layout, so that it can be renamed.
    pub(super) fn temporary(&self) -> Result<(std::fs::File, tempfile::TempPath), ImageError> {
        let file = tempfile::Builder::new()
            .prefix(".incoming-")
            .permissions(std::fs::Permissions::from_mode(0o666)) // the umask applies
            .tempfile_in(&self.folder)
            .map_err(ImageError::io("create a file in", &self.folder))?;
        Ok(file.into_parts())
    }

    /// Adds a manifest or index.
    pub async fn add_manifest(&mut self, raw: &RawManifest) -> Result<(), ImageError> {
        self.add_blob(&raw.descriptor(), &raw.bytes[..]).await
    }

    /// Adds everything that `source` has, but for foreign layers; what is there already is not
    /// read again. Returns the descriptor of its root.
    pub async fn add_image(&mut self, source: &dyn ImageSource) -> Result<Descriptor, ImageError> {
        let root = source.root().await?;
        let descriptor = root.descriptor();
        let mut open = vec![root];
        while let Some(raw) = open.pop() {
            match parse(&source.describe(), &raw)? {
                Manifest::Index(index) => {
                    for child in &index.manifests {
                        open.push(source.manifest(child).await?);
                    }
                }
                Manifest::Image(image) => {
                    for blob in image.blobs().filter(|blob| !blob.is_foreign_layer()) {
                        if !self.has(&blob.digest).await {
                            self.add_blob(blob, source.blob(blob).await?).await?;
                        }
                    }
                }
            }
            self.add_manifest(&raw).await?;
        }
        Ok(descriptor)
    }

    /// Makes the folder a layout with the image `root`, called `name`.
    pub async fn finish(
        self,
        mut root: Descriptor,
        name: Option<&str>,
    ) -> Result<OciLayout, ImageError> {
        if let Some(name) = name {
            root.annotations.insert(REF_NAME.to_owned(), name.to_owned());
        }
        let index = serde_json::to_vec(&Index::new(vec![root.clone()]))
            .map_err(|error| ImageError::io("write", &self.folder)(error.into()))?;
        self.write_file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#).await?;
        self.write_file("index.json", &index).await?;
        Ok(OciLayout { folder: self.folder, root })
    }

    async fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        let path = self.folder.join(name);
        let (file, temporary) = self.temporary()?;
        let mut file = fs::File::from_std(file);
        file.write_all(bytes).await.map_err(ImageError::io("write", &path))?;
        file.flush().await.map_err(ImageError::io("write", &path))?;
        temporary.persist(&path).map_err(|it| ImageError::io("write", &path)(it.error))
    }
}
