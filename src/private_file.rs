//! Files that only their owner may read: keys, tokens, logins.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno};

/// Why a file with a secret is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PrivateFileError {
    /// It is not there, or cannot be opened.
    #[error("it cannot be opened")]
    Open(#[source] io::Error),
    /// It is a link, a folder, a pipe or a device: what it leads to can be exchanged.
    #[error("it is no plain file")]
    NotPlain,
    /// Others may read or change it.
    #[error("its mode is {mode:03o}")]
    Mode {
        /// Its permissions.
        mode: u32,
    },
    /// It belongs to somebody else.
    #[error("it belongs to user {owner}")]
    Owner {
        /// Whose it is.
        owner: u32,
    },
}

/// Opens a file that only its owner may read or change: the user of this process, or whoever root
/// trusts. The open file is what is judged, so that it cannot be exchanged in between.
pub fn open(path: &Path) -> Result<File, PrivateFileError> {
    let OpenFile { file, mode } = inspect(path)?;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Mode { mode });
    }
    Ok(file)
}

/// Opens a file with a secret that is about to be copied to a private one, with its permissions: others may read it,
/// as `hzn` leaves its keys, and may not change it.
pub fn open_readable(path: &Path) -> Result<OpenFile, PrivateFileError> {
    let opened = inspect(path)?;
    if opened.mode & 0o022 != 0 {
        return Err(PrivateFileError::Mode { mode: opened.mode });
    }
    Ok(opened)
}

/// A plain file that belongs to the user of this process, or to anybody if that is root.
#[derive(Debug)]
pub struct OpenFile {
    /// The file, open for reading.
    pub file: File,
    /// Its permissions.
    pub mode: u32,
}

fn inspect(path: &Path) -> Result<OpenFile, PrivateFileError> {
    // A named pipe would wait for its writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(PrivateFileError::NotPlain);
        }
        other => other.map_err(PrivateFileError::Open)?,
    };
    let opened = file.metadata().map_err(PrivateFileError::Open)?;
    if !opened.is_file() {
        return Err(PrivateFileError::NotPlain);
    }
    let mode = opened.mode() & 0o777;
    let (owner, user) = (opened.uid(), user());
    if user != Some(owner) && user != Some(0) {
        return Err(PrivateFileError::Owner { owner });
    }
    Ok(OpenFile { file, mode })
}

/// Makes the database at `path`, if there is none, for its owner alone, whatever the umask; takes one that others
/// may read from them, with a warning. SQLite gives its log the mode of the database.
pub fn secure_database(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    match options.write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => (),
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        take_from_others(Path::new(&name))?;
    }
    Ok(())
}

/// Sets the mode of a file to 0600, if others may read or write it; nothing if there is no file.
fn take_from_others(path: &Path) -> io::Result<()> {
    let mode = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?.mode() & 0o777,
    };
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let (path, mode) = (path.display(), format!("{mode:03o}"));
        tracing::warn!(event = "file.mode_changed", %path, mode, "others could read this file; its mode is 600 now");
    }
    Ok(())
}

/// The user of this process.
fn user() -> Option<u32> {
    Some(fs::metadata("/proc/self").ok()?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_file_of_ones_own_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let mut secret = tempfile::NamedTempFile::new_in(folder.path()).unwrap();
        io::Write::write_all(&mut secret, b"s").unwrap();
        secret.persist(&path).unwrap();
        assert!(open(&path).is_ok());

        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(open(&link), Err(PrivateFileError::NotPlain)));
        assert!(matches!(open(folder.path()), Err(PrivateFileError::NotPlain)));
        assert!(matches!(open(Path::new("/dev/null")), Err(PrivateFileError::NotPlain)));
        let missing = open(&folder.path().join("none")).unwrap_err();
        assert!(
            matches!(missing, PrivateFileError::Open(it) if it.kind() == io::ErrorKind::NotFound)
        );
        for mode in [0o640, 0o602, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(open(&path), Err(PrivateFileError::Mode { mode: it }) if it == mode));
        }
        for (mode, is_taken) in [(0o600, true), (0o644, true), (0o664, false), (0o602, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let opened = open_readable(&path);
            assert_eq!(opened.is_ok_and(|it| it.mode == mode), is_taken, "{mode:o}");
        }
    }
}
