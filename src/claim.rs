//! One process, one folder: whoever works on a folder of data takes it for itself first.
//!
//! The system gives a lock back when its holder ends, however it ends, so that a kill or a power cut
//! leaves nothing to clean up.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

/// The file in the folder that is locked; it stays, and says nothing.
const LOCK: &str = ".lock";

/// A folder that belongs to this process, for as long as this lives.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

/// Why a folder could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process works on it.
    #[error("another process uses {}", folder.display())]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// It can be neither made nor locked.
    #[error("cannot use the folder {}", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Claim {
    /// Takes `folder`, which is made if it is missing: for its owner alone, since keys and password
    /// hashes lie in such folders.
    pub fn of(folder: &Path) -> Result<Self, ClaimError> {
        let unusable = |source| ClaimError::Unusable { folder: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(folder.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ClaimError::Taken { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_until_its_claim_ends() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        let claim = Claim::of(&folder).unwrap();
        assert!(matches!(Claim::of(&folder), Err(ClaimError::Taken { .. })));
        drop(claim);
        Claim::of(&folder).unwrap();
    }

    #[test]
    fn a_file_is_no_folder() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Claim::of(file.path()), Err(ClaimError::Unusable { .. })));
    }
}
