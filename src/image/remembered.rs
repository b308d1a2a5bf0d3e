//! What images of engines became when they were packed, so that one that was pushed before need not
//! leave its engine again. A memory that is wrong costs an export, never correctness: content is
//! still taken by its digest.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Manifest, RawManifest, config::MAX_CONFIG, manifest::MAX_MANIFEST};
use crate::types::Digest;

/// How many images are remembered; the oldest are forgotten.
const MOST: usize = 500;

/// What packed images are, by what their engine calls them; a clone shares it.
#[derive(Debug, Clone, Default)]
pub struct Remembered(Option<PathBuf>);

/// An image as it was packed.
#[derive(Debug, Clone)]
pub(super) struct Packed {
    pub(super) root: RawManifest,
    pub(super) config: Bytes,
}

/// A file of the memory. Manifests and configurations are JSON texts.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    media_type: String,
    digest: Digest,
    manifest: String,
    config: String,
}

impl Remembered {
    /// Nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// What lies in `folder`, which is made when something is first kept.
    pub fn at(folder: PathBuf) -> Self {
        Self(Some(folder))
    }

    /// What the image that its engine calls `id` was packed to, in the form that `form` names.
    pub(super) fn recall(&self, id: &str, form: &str) -> Option<Packed> {
        let file = fs::File::open(self.path(id, form)?).ok()?;
        let mut bytes = Vec::new();
        file.take((MAX_MANIFEST + MAX_CONFIG) * 2).read_to_end(&mut bytes).ok()?;
        let Record { media_type, digest, manifest, config } =
            serde_json::from_slice(&bytes).ok()?;
        let (root, config) = (RawManifest::new(media_type, manifest), Bytes::from(config));
        let Ok(Manifest::Image(image)) = root.parse() else { return None };
        let holds = root.digest == digest && image.config.digest == Digest::of(&config);
        holds.then_some(Packed { root, config })
    }

    /// Keeps what an image was packed to. A memory that cannot be written is no memory.
    pub(super) fn keep(&self, id: &str, form: &str, packed: &Packed) {
        let Some(path) = self.path(id, form) else { return };
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).ok();
        let (Some(manifest), Some(config)) = (text(&packed.root.bytes), text(&packed.config))
        else {
            return;
        };
        let media_type = packed.root.media_type.clone();
        let record = Record { media_type, digest: packed.root.digest, manifest, config };
        if let Err(error) = write(&path, &record) {
            tracing::debug!(%error, path = %path.display(), "what was packed is not remembered");
        }
    }

    /// Forgets what turned out to be wrong.
    pub(super) fn forget(&self, id: &str, form: &str) {
        if let Some(path) = self.path(id, form) {
            // What is not there is forgotten.
            let _ = fs::remove_file(path);
        }
    }

    fn path(&self, id: &str, form: &str) -> Option<PathBuf> {
        // An engine may call an image anything.
        let name = Digest::of(format!("{id} {form}").as_bytes());
        self.0.as_ref().map(|folder| folder.join(name.hex()))
    }
}

fn write(path: &Path, record: &Record) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    make_room(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, record)?;
    file.flush()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Removes the oldest files until there is room for one more.
fn make_room(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        files.push((entry.metadata()?.modified()?, entry.path()));
    }
    files.sort();
    let surplus = (files.len() + 1).saturating_sub(MOST);
    for (_, path) in files.into_iter().take(surplus) {
        fs::remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Descriptor, ImageManifest, media_type};

    fn packed() -> Packed {
        let config = Bytes::from_static(br#"{"os":"linux"}"#);
        let manifest =
            ImageManifest::new(Descriptor::of(media_type::OCI_CONFIG, &config), Vec::new());
        Packed { root: RawManifest::encode(&Manifest::Image(manifest)).unwrap(), config }
    }

    #[test]
    fn what_was_packed_is_remembered_byte_for_byte_by_its_name_and_form() {
        let folder = tempfile::tempdir().unwrap();
        let remembered = Remembered::at(folder.path().join("packed"));
        assert!(remembered.recall("sha256:1", "gzip 3").is_none());
        remembered.keep("sha256:1", "gzip 3", &packed());
        let found = remembered.recall("sha256:1", "gzip 3").unwrap();
        assert_eq!((found.root, found.config), (packed().root, packed().config));
        assert!(remembered.recall("sha256:1", "zstd 3").is_none());
        remembered.forget("sha256:1", "gzip 3");
        assert!(remembered.recall("sha256:1", "gzip 3").is_none());
        assert!(Remembered::none().recall("sha256:1", "gzip 3").is_none());
    }

    #[test]
    fn a_memory_that_was_changed_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let remembered = Remembered::at(folder.path().to_owned());
        remembered.keep("i", "f", &packed());
        let path = remembered.path("i", "f").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        for changed in [text.replace("linux", "other"), text[..text.len() / 2].to_owned()] {
            fs::File::create(&path).unwrap().write_all(changed.as_bytes()).unwrap();
            assert!(remembered.recall("i", "f").is_none());
        }
    }

    #[test]
    fn the_oldest_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let remembered = Remembered::at(folder.path().to_owned());
        for at in 0..MOST + 3 {
            fs::File::create(folder.path().join(at.to_string())).unwrap();
        }
        remembered.keep("i", "f", &packed());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), MOST);
        assert!(remembered.recall("i", "f").is_some());
    }
}
