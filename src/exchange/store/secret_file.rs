//! Files that only their owner may read, made once.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

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
    /// What is in it is no such key.
    #[error("{} does not hold {expected}", path.display())]
    Content {
        /// Where it is.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
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

fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files have mode 0600 from the start.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => fs::File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
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
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
