//! The folder, and the content in it.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk_space::DiskSpace,
    registry::server::storage::{StorageError, durable, uploads::Sessions},
    types::Digest,
};

/// A folder of content. Clones are the same folder; only one process may have it open.
#[derive(Debug, Clone)]
pub struct Folder {
    root: Arc<Path>,
    pub(super) sessions: Arc<Sessions>,
}

impl Folder {
    /// Opens the folder at `path`, or makes it; what a crash left half written is swept away.
    /// Uploads under way stay.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StorageError> {
        let root: Arc<Path> = path.as_ref().into();
        let folder = Self { root, sessions: Arc::default() };
        for part in ["blobs/sha256", "repositories", "uploads", "temporary"] {
            durable::make_folder(&folder.root.join(part))?;
        }
        let temporary = folder.temporary();
        for name in durable::names(&temporary)? {
            let path = temporary.join(name);
            fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
        }
        Ok(folder)
    }

    /// Where the content `digest` is, or would be. A file there is complete and has that digest.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    /// The length in bytes of the content `digest`, if it is here, whatever repository has it.
    pub fn has_blob(&self, digest: &Digest) -> Option<u64> {
        fs::metadata(self.blob_path(digest)).ok().filter(fs::Metadata::is_file).map(|it| it.len())
    }

    /// All content of the folder at `root`, which may be open elsewhere.
    pub fn blobs_in(root: &Path) -> Result<BTreeSet<Digest>, StorageError> {
        let blobs = root.join("blobs/sha256");
        let mut all = BTreeSet::new();
        for shard in durable::names(&blobs)? {
            let names = durable::names(&blobs.join(shard))?;
            all.extend(names.iter().filter_map(|name| Digest::from_hex(name).ok()));
        }
        Ok(all)
    }

    /// Checks that the disk has space for more images.
    ///
    /// # Errors
    /// If less is free than a database on the same disk may need to delete by.
    pub(super) fn check_space(&self) -> Result<(), StorageError> {
        match DiskSpace::of(&self.root) {
            Ok(space) if space.free < space.floor() => {
                Err(StorageError::io("write to", &*self.root)(io::ErrorKind::StorageFull.into()))
            }
            // Where the file system does not say it, its errors come with the writes.
            _ => Ok(()),
        }
    }

    /// Takes over a file whose content the caller has verified to be `digest`; it must be on the
    /// same file system. It is synced before it can be seen.
    pub async fn adopt(&self, digest: &Digest, file: PathBuf) -> Result<(), StorageError> {
        let to = self.blob_path(digest);
        durable::blocking(move || durable::move_in(&file, &to)).await
    }

    /// A folder on the same file system for files that become content later; it is emptied when
    /// the folder is opened.
    pub fn temporary(&self) -> PathBuf {
        self.root.join("temporary")
    }

    pub(super) fn repositories_folder(&self) -> PathBuf {
        self.root.join("repositories")
    }

    pub(super) fn uploads_folder(&self) -> PathBuf {
        self.root.join("uploads")
    }
}
