//! Fills a layout folder.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use serde_json::{Map, Value, json};
use tempfile::TempPath;
use tokio::{
    fs,
    io::{AsyncRead, AsyncWriteExt as _, BufReader},
};

use super::{
    BLOBS, OciLayout, REF_NAME, blob_path, check_version, origin, read_bounded, read_error,
};
use crate::{
    image::{
        BlobReader, Descriptor, ImageError, ImageTarget, RawManifest, VerifiedReader, VerifyError,
        choice::ChosenRoot, media_type,
    },
    types::{Digest, JsonProblem},
};

/// Where downloads lie until they are whole.
const PARTIAL: &str = ".partial";
/// How much is read and written at a time.
const BUFFER: usize = 256 * 1024;

/// Fills a layout folder with one image. It is a layout only once [`OciLayoutWriter::finish`] has been called.
#[derive(Debug)]
pub struct OciLayoutWriter {
    folder: PathBuf,
}

impl OciLayoutWriter {
    /// Begins to fill `folder`, which is made if it does not exist.
    pub async fn create(folder: &Path) -> Result<Self, ImageError> {
        let blobs = folder.join(BLOBS);
        for folder in [blobs, folder.join(PARTIAL)] {
            fs::create_dir_all(&folder).await.map_err(ImageError::io("create", folder))?;
        }
        Ok(Self { folder: folder.to_owned() })
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
        let reader = VerifiedReader::new(reader, descriptor);
        tokio::io::copy_buf(&mut BufReader::with_capacity(BUFFER, reader), &mut file)
            .await
            .map_err(|error| match VerifyError::inside(&error) {
                None if matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
                {
                    ImageError::io("write", &path)(error)
                }
                _ => read_error(&error, &descriptor.digest.to_string()),
            })?;
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
    pub(in crate::image) async fn adopt_file(
        &mut self,
        digest: &Digest,
        file: TempPath,
    ) -> Result<(), ImageError> {
        let path = blob_path(&self.folder, digest);
        blocking(move || file.persist(&path).map_err(|it| ImageError::io("write", &path)(it.error)))
            .await
    }

    /// Where to write a file that is to be adopted: in the layout, so that it can be renamed.
    pub(in crate::image) fn temporary(&self) -> Result<(File, TempPath), ImageError> {
        temporary(&self.folder)
    }

    /// Adds a manifest or index.
    pub async fn add_manifest(&mut self, raw: &RawManifest) -> Result<(), ImageError> {
        self.add_blob(&raw.descriptor(), &raw.bytes[..]).await
    }

    /// Makes `root` an image of the layout, called `name`. What else the layout has stays, but for an
    /// image that had this name.
    pub async fn finish(
        self,
        mut root: Descriptor,
        name: Option<&str>,
    ) -> Result<OciLayout, ImageError> {
        if let Some(name) = name {
            root.annotations.insert(REF_NAME.to_owned(), name.to_owned());
        }
        let (folder, listed) = (self.folder.clone(), root.clone());
        blocking(move || list(&folder, &listed)).await?;
        // Where downloads lay is empty now, unless another one goes on.
        let _ = fs::remove_dir(self.folder.join(PARTIAL)).await;
        let root = ChosenRoot { descriptor: root, made: None, other_name: None };
        Ok(OciLayout { folder: self.folder, root })
    }
}

/// Runs `work`, which does blocking I/O.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    let stopped = |error| ImageError::malformed("the layout", format!("{error}"));
    tokio::task::spawn_blocking(work).await.map_err(stopped)?
}

/// Puts `root` on the list of the layout's images.
fn list(folder: &Path, root: &Descriptor) -> Result<(), ImageError> {
    // Two that write at once would each lose what the other adds.
    let held = File::open(folder).map_err(ImageError::io("open", folder))?;
    held.lock().map_err(ImageError::io("lock", folder))?;

    let path = folder.join("index.json");
    let mut index: Value = match read_bounded(&path) {
        Ok(bytes) => {
            check_version(&origin(folder), &read_bounded(&folder.join("oci-layout"))?)?;
            serde_json::from_slice(&bytes).map_err(|error| {
                let problem = JsonProblem::from(error);
                ImageError::malformed(origin(folder), format!("index.json: {problem}"))
            })?
        }
        Err(ImageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": []})
        }
        Err(error) => return Err(error),
    };
    if !index.is_object() {
        return Err(ImageError::malformed(origin(folder), "index.json is no JSON object"));
    }
    let is_empty = |list: &Value| list.is_null() || list.as_object().is_some_and(Map::is_empty);
    if is_empty(&index["manifests"]) {
        index["manifests"] = json!([]); // what Go writes for an empty list
    }
    let Some(images) = index["manifests"].as_array_mut() else {
        return Err(ImageError::malformed(origin(folder), "index.json lists no manifests"));
    };
    let name = root.annotations.get(REF_NAME);
    images.retain(|image| {
        let its_name = image["annotations"][REF_NAME].as_str();
        let is_root = image["digest"].as_str() == Some(&root.digest.to_string());
        match name {
            Some(name) => its_name != Some(name) && !(is_root && its_name.is_none()),
            None => !is_root,
        }
    });
    images.push(json!(root));
    write_file(folder, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    write_file(folder, "index.json", index.to_string().as_bytes())
}

/// Writes a file of the layout whole or not at all.
fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
    let path = folder.join(name);
    let (mut file, temporary) = temporary(folder)?;
    file.write_all(bytes).map_err(ImageError::io("write", &path))?;
    temporary.persist(&path).map_err(|it| ImageError::io("write", &path)(it.error))
}

/// A file of the layout that has no name yet.
fn temporary(folder: &Path) -> Result<(File, TempPath), ImageError> {
    let file = tempfile::Builder::new()
        .prefix(".incoming-")
        .permissions(std::fs::Permissions::from_mode(0o666)) // the umask applies
        .tempfile_in(folder)
        .map_err(ImageError::io("create a file in", folder))?;
    Ok(file.into_parts())
}

#[async_trait]
impl ImageTarget for OciLayoutWriter {
    async fn has(&self, descriptor: &Descriptor) -> bool {
        let there = fs::metadata(blob_path(&self.folder, &descriptor.digest)).await;
        there.is_ok_and(|it| it.len() == descriptor.size)
    }

    async fn put_blob(
        &mut self,
        descriptor: &Descriptor,
        reader: BlobReader,
    ) -> Result<(), ImageError> {
        self.add_blob(descriptor, reader).await
    }

    fn partial(&self, descriptor: &Descriptor) -> PathBuf {
        self.folder.join(PARTIAL).join(descriptor.digest.hex())
    }

    async fn adopt(&mut self, descriptor: &Descriptor, file: PathBuf) -> Result<(), ImageError> {
        let path = blob_path(&self.folder, &descriptor.digest);
        fs::rename(&file, &path).await.map_err(ImageError::io("write", path))
    }

    async fn put_manifest(&mut self, raw: &RawManifest) -> Result<(), ImageError> {
        self.add_manifest(raw).await
    }

    async fn finish(
        self: Box<Self>,
        root: &RawManifest,
        name: Option<&str>,
    ) -> Result<(), ImageError> {
        Self::finish(*self, root.descriptor(), name).await.map(|_| ())
    }

    fn describe(&self) -> String {
        origin(&self.folder)
    }
}
