//! One process, one folder: whoever works on a folder of data takes it for itself first.
//!
//! The system gives a lock back when its holder ends, however it ends, so that a kill or a power cut
//! leaves nothing to clean up.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    },
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

/// The file in the folder that is locked; it stays, and says nothing.
const LOCK: &str = ".lock";
/// The files by which a folder is known as one of ours: its lock, or that of the images in it.
const MARKS: [&str; 2] = [LOCK, "registry/.lock"];

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
    /// Others than its owner may enter it, and it is not changed here: it belongs to another user, or holds other
    /// things than data of this program.
    #[error("others may enter {} (mode {mode:03o})", folder.display())]
    Exposed {
        /// The folder.
        folder: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Whether it belongs to the user of this process.
        is_own: bool,
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
    /// hashes lie in such folders. One that others may enter is closed to them, if it is a data folder of ours.
    pub fn of(folder: &Path) -> Result<Self, ClaimError> {
        let unusable = |source| ClaimError::Unusable { folder: folder.to_owned(), source };
        secure_folder(folder)?;
        let mut options = fs::OpenOptions::new();
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.custom_flags(flags).open(folder.join(LOCK)).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(ClaimError::Taken { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}

/// Makes `folder` for its owner alone, if it is missing; sets the mode of one that others may enter to 0700.
///
/// # Errors
/// If it cannot be made; if others may enter it, and it belongs to another user, or holds things and was never a folder of ours: closing the system's folder of
/// temporary files or somebody's home would do more harm than good.
pub fn secure_folder(folder: &Path) -> Result<(), ClaimError> {
    let unusable = |source| ClaimError::Unusable { folder: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let found = fs::metadata(folder).map_err(unusable)?;
    let mode = found.mode() & 0o7777;
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    let is_own = found.uid() == rustix::process::geteuid().as_raw();
    let is_empty = || Ok(fs::read_dir(folder)?.next().is_none());
    let is_known = MARKS.iter().any(|it| folder.join(it).is_file());
    if !is_own || !(is_known || is_empty().map_err(unusable)?) {
        return Err(ClaimError::Exposed { folder: folder.to_owned(), mode, is_own });
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(unusable)?;
    let (folder, mode) = (folder.display(), format!("{mode:03o}"));
    tracing::warn!(event = "folder.mode_changed", %folder, mode, "others could enter this folder; its mode is 700 now");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_folder_of_ours_that_others_may_enter_is_closed_to_them() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        fs::create_dir(&folder).unwrap();
        for open in [0o755, 0o770, 0o701] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(open)).unwrap();
            drop(Claim::of(&folder).unwrap());
            assert_eq!(mode(&folder), 0o700, "{open:o}");
        }
    }

    #[test]
    fn a_folder_of_other_things_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("somebody")).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        let refused = Claim::of(folder.path()).unwrap_err();
        assert!(matches!(refused, ClaimError::Exposed { mode: 0o1777, is_own: true, .. }));
        assert_eq!(mode(folder.path()), 0o777);
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Claim::of(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_of_another_user_is_refused_if_others_may_enter_it() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(65534), None).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o750)).unwrap();
        let refused = Claim::of(folder.path()).unwrap_err();
        assert!(matches!(refused, ClaimError::Exposed { is_own: false, .. }), "{refused}");
        assert_eq!(mode(folder.path()), 0o750);
    }

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
