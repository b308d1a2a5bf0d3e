//! Changes that a power cut leaves done or undone: files written whole, folders synced after it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use tempfile::NamedTempFile;

use crate::registry::server::storage::StorageError;

/// Runs `work`, which waits for the disk, where waiting harms nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StorageError::Stopping),
    }
}

/// Makes a folder and those above it that do not exist yet.
pub(super) fn make_folder(path: &Path) -> Result<(), StorageError> {
    if path.is_dir() {
        return Ok(());
    }
    let Some(parent) = path.parent() else { return Ok(()) };
    make_folder(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StorageError::io("create", path)(error))
        }
        _ => sync_folder(parent),
    }
}

/// Makes the names in a folder last.
pub(super) fn sync_folder(path: &Path) -> Result<(), StorageError> {
    // The parent of a relative path of one component is the empty path.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|folder| folder.sync_all()).map_err(StorageError::io("sync", path))
}

/// Writes a small file; `temporary` is a folder on the same file system.
pub(super) fn write(temporary: &Path, to: &Path, bytes: &[u8]) -> Result<(), StorageError> {
    let failed = || StorageError::io("write", to);
    let mut file = NamedTempFile::new_in(temporary).map_err(failed())?;
    file.write_all(bytes).map_err(failed())?;
    file.as_file().sync_all().map_err(failed())?;
    make_parent(to)?;
    file.persist(to).map_err(|error| failed()(error.error))?;
    sync_parent(to)
}

/// Gives a written file its name; it is synced first.
pub(super) fn move_in(from: &Path, to: &Path) -> Result<(), StorageError> {
    File::open(from).and_then(|file| file.sync_all()).map_err(StorageError::io("sync", from))?;
    make_parent(to)?;
    fs::rename(from, to).map_err(StorageError::io("rename to", to))?;
    sync_parent(to)
}

/// Makes an empty file whose name is all there is to it; the caller syncs the folder.
pub(super) fn touch(path: &Path) -> Result<(), StorageError> {
    File::create(path).map(drop).map_err(StorageError::io("create", path))
}

/// Removes a file; `false` if there was none.
pub(super) fn remove(path: &Path) -> Result<bool, StorageError> {
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path).map(|()| true),
        Err(error) if is_absent(&error) => Ok(false),
        Err(error) => Err(StorageError::io("remove", path)(error)),
    }
}

/// The names in a folder; none if there is no folder.
pub(super) fn names(path: &Path) -> Result<Vec<String>, StorageError> {
    each_name(path)?.collect()
}

/// The names in a folder, read while they are taken; none if there is no folder.
pub(super) fn each_name(
    path: &Path,
) -> Result<impl Iterator<Item = Result<String, StorageError>>, StorageError> {
    let entries = match fs::read_dir(path) {
        Err(error) if is_absent(&error) => None,
        entries => Some(entries.map_err(StorageError::io("list", path))?),
    };
    let path = path.to_owned();
    Ok(entries.into_iter().flatten().filter_map(move |entry| match entry {
        Ok(entry) => entry.file_name().into_string().ok().map(Ok),
        Err(error) => Some(Err(StorageError::io("list", &path)(error))),
    }))
}

/// The text of a small file of ours; nothing if it does not exist.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, StorageError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(StorageError::io("read", path)(error)),
    }
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn make_parent(path: &Path) -> Result<(), StorageError> {
    path.parent().map_or(Ok(()), make_folder)
}

fn sync_parent(path: &Path) -> Result<(), StorageError> {
    path.parent().map_or(Ok(()), sync_folder)
}
