//! Files that only their owner may read, made once and replaced whole.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::{sign::KeyError, text_file::TextFileError};

/// More than any of the keys kept this way.
const LARGEST: u64 = 64 << 10;

/// Why a file with a key could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// It is there, and cannot be read.
    #[error("failed to read the key file {}", path.display())]
    Read {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was not there, and cannot be made.
    #[error("failed to create the key file {}", path.display())]
    Create {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be replaced; what was there stays.
    #[error("failed to replace the key file {}", path.display())]
    Replace {
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds no text, where a key in PEM is expected.
    #[error("failed to read the key file {}", path.display())]
    Text {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: TextFileError,
    },
    /// It holds no key in PEM that can be used.
    #[error("{} does not hold an Ed25519 private key in PEM", path.display())]
    Pem {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// What is in it is no such key.
    #[error("{} does not hold {expected}", path.display())]
    Content {
        /// Where it is.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
}

impl SecretFileError {
    /// Whether there is no space left for the file.
    pub(super) fn is_disk_full(&self) -> bool {
        let (Self::Create { source, .. } | Self::Replace { source, .. }) = self else {
            return false;
        };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// Reads the file at `path`. If there is none, it is made, with mode 0600, of what `make` gives:
/// whole or not at all, and never over another's that came first.
pub(super) fn load_or_create(
    path: &Path,
    make: impl FnOnce() -> io::Result<Zeroizing<Vec<u8>>>,
) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let failed_to_read = |source| SecretFileError::Read { path: path.to_owned(), source };
    if let Some(content) = read(path).map_err(failed_to_read)? {
        return Ok(content);
    }
    make()
        .and_then(|content| create(path, &content))
        .map_err(|source| SecretFileError::Create { path: path.to_owned(), source })?;
    read(path)
        .and_then(|content| content.ok_or_else(|| io::ErrorKind::NotFound.into()))
        .map_err(failed_to_read)
}

fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    warn_if_shared(path, &file.metadata()?);
    let mut content = Zeroizing::new(Vec::new());
    file.take(LARGEST).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Puts `content` into the file at `path`: after a crash it holds all of what it held, or all of this.
/// Nobody else may do so at the same time.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), SecretFileError> {
    let replace = || {
        forget_unfinished(path)?;
        let new = unfinished(path);
        let options = &mut fs::OpenOptions::new();
        let mut file = private(options).write(true).create_new(true).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(new, path)?;
        fs::File::open(folder_of(path))?.sync_all()
    };
    replace().map_err(|source| {
        // A part of it takes space, and may hold keys; the next start removes it as well.
        let _ = forget_unfinished(path);
        SecretFileError::Replace { path: path.to_owned(), source }
    })
}

/// Removes what a crash has left of a replacement: there may be keys in it.
pub(super) fn forget_unfinished(path: &Path) -> io::Result<()> {
    match fs::remove_file(unfinished(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where the content of `path` is written before it takes its place.
fn unfinished(path: &Path) -> PathBuf {
    path.with_added_extension("new")
}

#[cfg(unix)]
fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut fs::OpenOptions) -> &mut fs::OpenOptions {
    options
}

fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    // Temporary files have mode 0600 from the start.
    let mut file = NamedTempFile::new_in(folder_of(path))?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(folder_of(path))?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Only a warning: Kubernetes widens the modes of a volume's files by itself.
#[cfg(unix)]
fn warn_if_shared(path: &Path, metadata: &fs::Metadata) {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others may read this key file; chmod 600 keeps them out");
    }
}

#[cfg(not(unix))]
fn warn_if_shared(_: &Path, _: &fs::Metadata) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let make = |text: &'static [u8]| move || Ok(Zeroizing::new(text.to_vec()));
        assert_eq!(*load_or_create(&path, make(b"first")).unwrap(), b"first");
        assert_eq!(*load_or_create(&path, make(b"second")).unwrap(), b"first");
        replace(&unfinished(&path), b"half of the th").unwrap();
        replace(&path, b"third").unwrap();
        assert_eq!(*load_or_create(&path, make(b"second")).unwrap(), b"third");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
