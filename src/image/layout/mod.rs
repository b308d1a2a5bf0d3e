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
        choice::{self, ChosenRoot, SmallBlobs},
        manifest::{MAX_MANIFEST, ManifestError},
        media_type,
    },
    types::{Digest, JsonProblem, Platform},
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
    root: ChosenRoot,
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
        let candidates = choice::candidates(&read_index(&origin, index)?);
        let root = choice::choose_root(&origin, &candidates, wanted, &FolderBlobs(folder))?;
        Ok(Self { folder: folder.to_owned(), root })
    }

    /// The descriptor of the image's manifest or index.
    pub fn descriptor(&self) -> &Descriptor {
        &self.root.descriptor
    }
}

/// The blobs of a layout folder.
struct FolderBlobs<'a>(&'a Path);

impl SmallBlobs for FolderBlobs<'_> {
    fn small_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, ImageError> {
        read_at_most(&blob_path(self.0, digest), limit)
    }
}

fn origin(folder: &Path) -> String {
    format!("the OCI layout {}", folder.display())
}

/// Refuses a layout of a version that does not exist yet.
pub(super) fn check_version(origin: &str, marker: &[u8]) -> Result<(), ImageError> {
    let marker: LayoutFile = serde_json::from_slice(marker).map_err(|error| {
        ImageError::malformed(origin, format!("oci-layout: {}", JsonProblem::from(error)))
    })?;
    if marker.image_layout_version.starts_with("1.") {
        return Ok(());
    }
    let version = marker.image_layout_version;
    Err(ImageError::malformed(origin, format!("it is of the unknown layout version {version}")))
}

/// Reads the list of a layout's images.
pub(super) fn read_index(origin: &str, json: Vec<u8>) -> Result<Index, ImageError> {
    match parse(origin, &RawManifest::new(media_type::of_manifest(&json), json))? {
        Manifest::Index(index) => Ok(index),
        Manifest::Image(_) => Err(ImageError::malformed(origin, "index.json is no index")),
    }
}

/// Reads `raw`; an error names `origin`.
pub(super) fn parse(origin: &str, raw: &RawManifest) -> Result<Manifest, ImageError> {
    raw.parse()
        .map_err(|source: ManifestError| ImageError::Manifest { origin: origin.to_owned(), source })
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
    read_at_most(path, MAX_MANIFEST)
}

fn read_at_most(path: &Path, limit: u64) -> Result<Vec<u8>, ImageError> {
    let file = open_file(path)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(ImageError::io("read", path))?;
    if bytes.len() as u64 > limit {
        let why = format!("it has more than {limit} bytes");
        return Err(ImageError::malformed(path.display().to_string(), why));
    }
    Ok(bytes)
}

#[async_trait]
impl ImageSource for OciLayout {
    async fn root(&self) -> Result<RawManifest, ImageError> {
        match &self.root.made {
            Some(made) => Ok(made.clone()),
            None => self.manifest(&self.root.descriptor).await,
        }
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

    fn listed_platform(&self) -> Option<&Platform> {
        self.root.descriptor.platform.as_ref()
    }

    fn other_name(&self) -> Option<&str> {
        self.root.other_name.as_deref()
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;
    use crate::image::{
        Index, Parts, Platforms, layout::OciLayoutWriter, synthetic::SyntheticImage,
    };

    fn write(path: &Path, text: &str) {
        File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// A layout of an image for each of `arches`, which index.json lists itself, with `annotations`. Each entry names
    /// its platform if `is_listed`.
    async fn flat(
        folder: &Path,
        arches: &[&str],
        annotations: &serde_json::Value,
        is_listed: bool,
    ) -> Vec<Descriptor> {
        let mut layout = OciLayoutWriter::create(folder).await.unwrap();
        let mut images = Vec::new();
        for (seed, arch) in (1..).zip(arches) {
            let image = SyntheticImage::new(seed).layers(1, 1000).arch(arch.parse().unwrap());
            images.push(image.write(&mut layout).await.unwrap());
        }
        let listed = images.iter().map(|image| {
            let mut entry = json!(image);
            entry["annotations"] = annotations.clone();
            if !is_listed {
                entry["platform"] = json!({});
            }
            entry
        });
        let index = json!({"schemaVersion": 2, "manifests": listed.collect::<Vec<_>>()});
        write(&folder.join("index.json"), &index.to_string());
        write(&folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
        images
    }

    #[tokio::test]
    async fn one_manifest_for_each_platform_is_an_image_index() {
        for (annotations, is_listed) in
            [(json!(null), true), (json!({REF_NAME: "1.0"}), true), (json!(null), false)]
        {
            let folder = tempfile::tempdir().unwrap();
            let images = flat(folder.path(), &["amd64", "arm64"], &annotations, is_listed).await;
            let image = "registry.example/hello:1.0".parse().unwrap();
            for wanted in [Wanted::Only, Wanted::Image(&image)] {
                let layout = OciLayout::open_wanted(folder.path(), wanted).unwrap();
                let Ok(Manifest::Index(index)) = layout.root().await.unwrap().parse() else {
                    panic!("an index")
                };
                assert_eq!(index, Index::new(images.clone()));
                let arm = Platforms::Only(vec!["arm64".parse().unwrap()]);
                let parts = Parts::of(&layout, &arm).await.unwrap();
                assert_eq!(parts.root.digest, images[1].digest);
            }
        }
    }

    #[tokio::test]
    async fn an_index_that_is_listed_with_its_images_is_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let images = flat(folder.path(), &["amd64", "arm64"], &json!(null), true).await;
        let mut writer = OciLayoutWriter::create(folder.path()).await.unwrap();
        let index = RawManifest::encode(&Manifest::Index(Index::new(images))).unwrap();
        writer.add_manifest(&index).await.unwrap();
        writer.finish(index.descriptor(), None).await.unwrap();
        let layout = OciLayout::open(folder.path(), None).unwrap();
        assert_eq!(layout.root().await.unwrap(), index);
    }

    #[tokio::test]
    async fn two_images_for_one_platform_are_both_listed() {
        let folder = tempfile::tempdir().unwrap();
        let images = flat(folder.path(), &["amd64", "amd64"], &json!(null), true).await;
        let error = OciLayout::open(folder.path(), None).unwrap_err();
        assert!(matches!(error, ImageError::SeveralImages { .. }), "{error:?}");
        let text = error.to_string();
        assert!(images.iter().all(|image| text.contains(&image.digest.to_string())), "{text}");
        let second = images[1].digest.to_string();
        let layout = OciLayout::open(folder.path(), Some(&second)).unwrap();
        assert_eq!(layout.descriptor().digest, images[1].digest);
    }

    #[tokio::test]
    async fn an_index_json_without_manifests_has_no_image_and_takes_one() {
        let folder = tempfile::tempdir().unwrap();
        flat(folder.path(), &["amd64"], &json!(null), true).await;
        for none in ["null", "{}", "[]"] {
            let index = format!(r#"{{"schemaVersion":2,"manifests":{none},"annotations":null}}"#);
            write(&folder.path().join("index.json"), &index);
            let error = OciLayout::open(folder.path(), None).unwrap_err();
            assert!(matches!(error, ImageError::NoSuchImage { .. }), "{error:?}");
            let added = SyntheticImage::new(3).in_folder(folder.path(), Some("3")).await.unwrap();
            let found = OciLayout::open(folder.path(), Some("3")).unwrap();
            assert_eq!(found.descriptor().digest, added.descriptor().digest, "{none}");
        }
    }

    #[tokio::test]
    async fn a_manifest_with_another_number_of_layers_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let image = SyntheticImage::new(1).layers(2, 1000);
        let layout = image.in_folder(folder.path(), None).await.unwrap();
        let raw = layout.root().await.unwrap();
        for count in [0, 1, 3] {
            let Ok(Manifest::Image(mut image)) = raw.parse() else { panic!("an image") };
            let first = image.layers[0].clone();
            image.layers.resize(count, first);
            let damaged = RawManifest::encode(&Manifest::Image(image)).unwrap();
            let mut writer = OciLayoutWriter::create(folder.path()).await.unwrap();
            writer.add_manifest(&damaged).await.unwrap();
            let name = count.to_string();
            let layout = writer.finish(damaged.descriptor(), Some(&name)).await.unwrap();
            let error = Parts::of(&layout, &Platforms::All).await.unwrap_err();
            let ImageError::Layers { mismatch, .. } = error else { panic!("{error:?}") };
            assert_eq!((mismatch.layers, mismatch.diff_ids), (count, 2));
        }
    }
}
