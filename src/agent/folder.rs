//! The node's folder: where its files are, and how they are written and read.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    private_file::{self, PrivateFileError},
    trust::TrustPin,
    types::JsonProblem,
};

/// The longest of the node's own files: identity, policy, user input, status.
const LONGEST: u64 = 4 << 20;

/// The folder in which a node keeps everything: one folder, one node.
#[derive(Debug, Clone)]
pub struct NodeFolder(PathBuf);

/// Why a file of the node's folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may read or change a file that holds secrets, or it is no plain file.
    #[error("{} must be a plain file that only its owner can read (mode 600), but {why}", path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// It is not the JSON that the agent wrote.
    #[error("{} is damaged", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: JsonProblem,
    },
    /// It is longer than any such file.
    #[error("{} is longer than {LONGEST} bytes", path.display())]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
}

impl FolderError {
    /// The file it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::Write { path, .. }
            | Self::Exposed { path, .. }
            | Self::Malformed { path, .. }
            | Self::TooLong { path } => path,
        }
    }

    /// The file at `path` is not the JSON that it should be. What is in it may be secret.
    pub(super) fn malformed(path: &Path, error: &serde_json::Error) -> Self {
        Self::Malformed { path: path.to_owned(), source: JsonProblem::of_secret(error) }
    }
}

impl NodeFolder {
    /// The folder at `path`, made with mode 0700 if it is missing.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FolderError> {
        let folder = Self::at(path);
        for path in [folder.0.clone(), folder.store(), folder.partial()] {
            make(&path).map_err(|source| FolderError::Write { path, source })?;
        }
        Ok(folder)
    }

    /// The folder at `path`, as it is.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Who the node is.
    pub fn identity(&self) -> PathBuf {
        self.0.join("node.json")
    }

    /// The node's own policy.
    pub fn policy(&self) -> PathBuf {
        self.0.join("policy.json")
    }

    /// The node's own user input.
    pub fn user_input(&self) -> PathBuf {
        self.0.join("input.json")
    }

    /// What the owner allows services beyond the default sandbox.
    pub fn allowances(&self) -> PathBuf {
        self.0.join("allowed.json")
    }

    /// The database of marks and accepted documents.
    pub fn marks(&self) -> PathBuf {
        self.0.join("marks.db")
    }

    /// The same of another organization, by the pin of its trust. The folder of them is made.
    pub(super) fn import(&self, pin: &TrustPin) -> Result<PathBuf, FolderError> {
        let path = self.0.join("imports");
        match make(&path) {
            Ok(()) => Ok(path.join(format!("{}.db", pin.0.hex()))),
            Err(source) => Err(FolderError::Write { path, source }),
        }
    }

    /// The agent's account of itself.
    pub fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }

    /// What became of the versions that are tried in turn.
    pub fn trials(&self) -> PathBuf {
        self.0.join("trials.json")
    }

    /// What would run if there were an engine.
    pub fn nothing(&self) -> PathBuf {
        self.0.join("would-run.json")
    }

    /// The content store.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Downloads that have not ended.
    pub fn partial(&self) -> PathBuf {
        self.0.join("partial")
    }

    /// Removes everything but the marks; who the node was last, so that it can be done again.
    pub(super) fn forget(&self) -> Result<(), FolderError> {
        for path in [self.store(), self.partial()] {
            match fs::remove_dir_all(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(FolderError::Write { path, source });
                }
                _ => {}
            }
        }
        let files =
            [self.policy(), self.user_input(), self.allowances(), self.nothing(), self.status()];
        files.iter().try_for_each(|it| remove(it))?;
        remove(&self.identity())
    }
}

/// A folder of mode 0700, with those above it; nothing if it is there.
fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a whole file of mode 0600: after a crash there is the old one or the new one.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| FolderError::Write { path: path.to_owned(), source })
}

/// Removes a file, if there is one.
pub(super) fn remove(path: &Path) -> Result<(), FolderError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FolderError::Write { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Reads a file of ours; nothing if there is none.
pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FolderError> {
    match File::open(path) {
        Ok(file) => read_open(path, file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FolderError::Read { path: path.to_owned(), source }),
    }
}

/// Reads a file with secrets, unless others could have read or changed it; nothing if there is none.
pub(super) fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, FolderError> {
    match private_file::open(path) {
        Ok(file) => read_open(path, file).map(Some),
        Err(PrivateFileError::Open(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(PrivateFileError::Open(source)) => {
            Err(FolderError::Read { path: path.to_owned(), source })
        }
        Err(exposed) => {
            Err(FolderError::Exposed { path: path.to_owned(), why: exposed.to_string() })
        }
    }
}

fn read_open(path: &Path, file: File) -> Result<Zeroizing<Vec<u8>>, FolderError> {
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LONGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| FolderError::Read { path: path.to_owned(), source })?;
    if bytes.len() as u64 > LONGEST {
        return Err(FolderError::TooLong { path: path.to_owned() });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn what_is_written_is_for_its_owner_alone_and_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_whole(&path, b"one").unwrap();
        write_whole(&path, b"two").unwrap();

        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(**read_private(&path).unwrap().unwrap(), *b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_whole(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(read_private(&path), Err(FolderError::Exposed { .. })));

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(read_private(&link), Err(FolderError::Exposed { .. })));
    }

    #[test]
    fn a_missing_file_is_none() {
        assert!(read_private(Path::new("/nowhere/x")).unwrap().is_none());
        assert!(read(Path::new("/nowhere/x")).unwrap().is_none());
    }
}
