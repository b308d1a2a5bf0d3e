//! An archive that is filled: content lies in a folder beside it until it is whole, then it is
//! written at once. A copy that was broken off goes on with what lies there.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use serde_json::json;

use crate::image::{
    BlobReader, Descriptor, ImageError, ImageManifest, ImageTarget, Manifest, RawManifest,
    layout::{BLOBS, OciLayoutWriter},
};

/// How much is written at a time.
const BUFFER: usize = 256 * 1024;

/// Who is to read an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Whoever reads an OCI layout in a tar.
    Oci,
    /// `docker load` and `podman load`, of every version: an OCI layout in a tar that has a
    /// `manifest.json` as well. It takes the image for one platform.
    Docker,
}

/// A tar of one image.
#[derive(Debug)]
pub struct ArchiveTarget {
    staging: OciLayoutWriter,
    folder: PathBuf,
    file: PathBuf,
    form: Form,
}

impl ArchiveTarget {
    /// Begins to fill `file`, which is written over at the end, if it is there.
    pub async fn create(file: &Path, form: Form) -> Result<Self, ImageError> {
        let folder = staging_folder(file)?;
        let staging = OciLayoutWriter::create(&folder).await?;
        Ok(Self { staging, folder, file: file.to_owned(), form })
    }
}

#[async_trait]
impl ImageTarget for ArchiveTarget {
    async fn has(&self, descriptor: &Descriptor) -> bool {
        self.staging.has(descriptor).await
    }

    async fn put_blob(
        &mut self,
        descriptor: &Descriptor,
        reader: BlobReader,
    ) -> Result<(), ImageError> {
        self.staging.put_blob(descriptor, reader).await
    }

    fn partial(&self, descriptor: &Descriptor) -> PathBuf {
        self.staging.partial(descriptor)
    }

    async fn adopt(&mut self, descriptor: &Descriptor, file: PathBuf) -> Result<(), ImageError> {
        self.staging.adopt(descriptor, file).await
    }

    async fn put_manifest(&mut self, raw: &RawManifest) -> Result<(), ImageError> {
        self.staging.put_manifest(raw).await
    }

    async fn finish(
        self: Box<Self>,
        root: &RawManifest,
        name: Option<&str>,
    ) -> Result<(), ImageError> {
        let target = self.describe();
        let Self { staging, folder, file, form } = *self;
        let dockers = match form {
            Form::Oci => None,
            Form::Docker => Some(dockers_manifest(root, name, target)?),
        };
        // What an attempt left that wanted another image is not listed: only this one is packed.
        let index = folder.join("index.json");
        match fs::remove_file(&index) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ImageError::io("replace", index)(error));
            }
            _ => (),
        }
        let wanted = names(root, &folder)?;
        staging.finish(root.descriptor(), name).await?;
        let written = file.clone();
        let packed = tokio::task::spawn_blocking(move || {
            pack(&folder, &file, &wanted, dockers.as_deref())?;
            fs::remove_dir_all(&folder)
        });
        packed.await.map_err(io::Error::other).flatten().map_err(ImageError::io("write", written))
    }

    fn describe(&self) -> String {
        format!("the archive {}", self.file.display())
    }
}

/// The folder beside `file` in which its content is gathered: `.NAME.partial`, made for its owner alone.
///
/// # Errors
/// If there is something else of this name: a link that leads to other files, or a folder that another user may write
/// to, so that what is in it may lead there.
pub(crate) fn staging_folder(file: &Path) -> Result<PathBuf, ImageError> {
    let no_name = || ImageError::malformed(file.display().to_string(), "it names no file");
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().ok_or_else(no_name)?);
    name.push(".partial");
    let folder = file.with_file_name(name);
    let failed = || ImageError::io("use", &folder);
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(failed())?;
    }
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed()(error)),
        _ => (),
    }
    let found = fs::symlink_metadata(&folder).map_err(failed())?;
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    if !found.is_dir() || !is_own || found.mode() & 0o022 != 0 {
        let why = "it is no folder that only this user may write to; remove it first";
        return Err(failed()(io::Error::new(io::ErrorKind::PermissionDenied, why)));
    }
    Ok(folder)
}

/// The digests, in hex, of all that `root` needs, in the order in which they are packed.
pub(crate) fn names(root: &RawManifest, folder: &Path) -> Result<Vec<String>, ImageError> {
    let mut names = vec![root.digest.hex()];
    let mut add = |name: String| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    let mut waiting = vec![root.clone()];
    while let Some(raw) = waiting.pop() {
        let parsed = raw.parse().map_err(|source| ImageError::Manifest {
            origin: folder.display().to_string(),
            source,
        })?;
        match parsed {
            Manifest::Image(image) => {
                image.blobs().for_each(|blob| add(blob.digest.hex()));
            }
            Manifest::Index(index) => {
                for child in index.manifests {
                    let path = folder.join(BLOBS).join(child.digest.hex());
                    // What was left out of an index is not here.
                    if let Ok(bytes) = fs::read(&path) {
                        add(child.digest.hex());
                        waiting.push(RawManifest::new(child.media_type, bytes));
                    }
                }
            }
        }
    }
    Ok(names)
}

/// What `docker load` reads first.
fn dockers_manifest(
    root: &RawManifest,
    name: Option<&str>,
    target: String,
) -> Result<Vec<u8>, ImageError> {
    let Ok(Manifest::Image(ImageManifest { config, layers, .. })) = root.parse() else {
        let why = "it takes the image for one platform, and this is an index of several";
        return Err(ImageError::Unfit { target, why: why.to_owned() });
    };
    let path = |blob: &Descriptor| format!("{BLOBS}/{}", blob.digest.hex());
    let manifest = json!([{
        "Config": path(&config),
        "RepoTags": name.into_iter().collect::<Vec<_>>(),
        "Layers": layers.iter().map(path).collect::<Vec<_>>(),
    }]);
    Ok(manifest.to_string().into_bytes())
}

/// Writes an image's archive.
fn pack(folder: &Path, file: &Path, blobs: &[String], dockers: Option<&[u8]>) -> io::Result<()> {
    write_tar(file, |tar| {
        for name in ["oci-layout", "index.json"] {
            tar.add_file(name, &folder.join(name))?;
        }
        for blob in blobs {
            let name = format!("{BLOBS}/{blob}");
            match tar.add_file(&name, &folder.join(&name)) {
                // Layers that only their maker may serve.
                Err(error) if error.kind() == io::ErrorKind::NotFound => (),
                done => done?,
            }
        }
        dockers.map_or(Ok(()), |manifest| tar.add("manifest.json", manifest))
    })
}

/// Writes the tar `file`, whole or not at all. The same content gives the same bytes.
pub(crate) fn write_tar(
    file: &Path,
    write: impl FnOnce(&mut TarWriter<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let parent = file.parent().filter(|it| !it.as_os_str().is_empty());
    let temporary = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)) // the umask applies
        .tempfile_in(parent.unwrap_or_else(|| Path::new(".")))?;
    {
        let buffer = io::BufWriter::with_capacity(BUFFER, temporary.as_file());
        let mut tar = TarWriter(tar::Builder::new(buffer));
        write(&mut tar)?;
        tar.0.into_inner()?.flush()?;
    }
    temporary.persist(file).map(|_| ()).map_err(|error| error.error)
}

/// A tar that is being written.
pub(crate) struct TarWriter<'a>(tar::Builder<io::BufWriter<&'a File>>);

impl TarWriter<'_> {
    /// Adds content that is at hand.
    pub(crate) fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.append(name, content.len() as u64, content)
    }

    /// Adds the content of the file at `path`.
    pub(crate) fn add_file(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let content = File::open(path)?;
        self.append(name, content.metadata()?.len(), content)
    }

    fn append(&mut self, name: &str, size: u64, content: impl io::Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        self.0.append_data(&mut header, name, content)
    }
}
