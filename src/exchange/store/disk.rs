//! The disk under the database: its free space, a reserve for the time when there is none, and whether the
//! database can be written.
//!
//! A write-ahead log needs space even to delete. The reserve is a file whose space is given to deletions and
//! timestamps while the disk is full; everything else is refused until the reserve is there again.

use std::{
    error::Error,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

use super::StoreError;
use crate::disk_space::DiskSpace;

/// The name of the reserve in the data folder.
const FILE: &str = "disk.reserve";
/// How much of the reserve is written at a time, where it has to be written.
const BLOCK: usize = 16 << 10;
/// Whether the database can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Every write goes through.
    Normal,
    /// The disk is full: only deletions and timestamps go through, by the reserve.
    DiskFull,
    /// The last write failed for another reason than its content, such as an I/O error.
    Failing,
}

/// What a transaction is for, which decides whether it may use the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It adds or changes something.
    Change,
    /// It deletes something, or keeps nodes served.
    Essential,
}

/// The disk of one data folder.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    condition: Mutex<Condition>,
}

impl Disk {
    /// The disk of the data folder `folder`. The reserve is made if there is space for it, and given up if the
    /// disk is full, so that the database can be opened.
    pub(super) fn open(folder: &Path) -> Self {
        let disk = Self { folder: folder.to_owned(), condition: Mutex::new(Condition::Normal) };
        let space = disk.space();
        let has_reserve = disk.reserve().exists();
        if space.free < space.low() || (space.free < space.enough() && !has_reserve) {
            disk.give_up_reserve(&mut disk.lock(), space);
        } else if let Err(error) = allocate(&disk.reserve(), space.reserve()) {
            let error = &error as &dyn Error;
            tracing::warn!(event = "disk.reserve_failed", error, "the disk reserve cannot be made");
            disk.give_up_reserve(&mut disk.lock(), space);
        }
        disk
    }

    /// Whether the database can be written.
    pub(super) fn condition(&self) -> Condition {
        *self.lock()
    }

    /// Checks that a transaction may begin.
    ///
    /// # Errors
    /// If the disk is full, or its reserve is not there yet again, and the transaction may not use the reserve.
    pub(super) fn admit(&self, purpose: Purpose) -> Result<(), StoreError> {
        let mut condition = self.lock();
        let space = self.space();
        if space.free < space.low() && *condition != Condition::DiskFull {
            self.give_up_reserve(&mut condition, space);
        }
        match (*condition, purpose) {
            (Condition::DiskFull, Purpose::Change) if space.free >= space.enough() => {
                Err(StoreError::Recovering)
            }
            (Condition::DiskFull, Purpose::Change) => Err(StoreError::DiskFull),
            _ => Ok(()),
        }
    }

    /// Takes note of a transaction that the database rolled back by itself, or that could not begin or commit.
    pub(super) fn note_failure(&self, cause: Option<&(dyn Error + 'static)>) {
        let mut condition = self.lock();
        let space = self.space();
        match *condition {
            Condition::DiskFull => (),
            _ if space.free < space.low() => self.give_up_reserve(&mut condition, space),
            Condition::Failing => (),
            Condition::Normal => {
                *condition = Condition::Failing;
                tracing::error!(
                    event = "database.write_failed",
                    free = space.free,
                    error = cause,
                    "the database cannot be written"
                );
            }
        }
    }

    /// Takes note of a transaction that was committed.
    pub(super) fn note_commit(&self) {
        let mut condition = self.lock();
        if *condition == Condition::Failing {
            *condition = Condition::Normal;
            tracing::info!(event = "database.recovered", "the database can be written again");
        }
    }

    /// Makes the reserve again, if the disk was full and has space now.
    pub(super) fn restore_reserve(&self) {
        let mut condition = self.lock();
        let space = self.space();
        if *condition != Condition::DiskFull || space.free < space.enough() {
            return;
        }
        match allocate(&self.reserve(), space.reserve()) {
            Ok(()) => {
                *condition = Condition::Normal;
                let free = space.free;
                tracing::info!(event = "disk.recovered", free, "the disk has space again");
            }
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::debug!(
                    event = "disk.reserve_failed",
                    error,
                    "the disk reserve cannot be made"
                );
                // A part of it would take the space that deletions need.
                let _ = fs::remove_file(self.reserve());
            }
        }
    }

    fn give_up_reserve(&self, condition: &mut Condition, space: DiskSpace) {
        *condition = Condition::DiskFull;
        tracing::error!(
            event = "disk.full",
            folder = %self.folder.display(),
            free = space.free,
            needed = space.enough(),
            "the disk is full: only deletions and timestamps are written until there is space"
        );
        match fs::remove_file(self.reserve()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let error = &error as &dyn Error;
                tracing::error!(
                    event = "disk.reserve_failed",
                    error,
                    "the disk reserve cannot be removed"
                );
            }
            _ => (),
        }
    }

    /// A file system that does not answer counts as empty: its errors come with the writes.
    fn space(&self) -> DiskSpace {
        DiskSpace::of(&self.folder).unwrap_or(DiskSpace { free: u64::MAX, total: u64::MAX })
    }

    fn reserve(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    fn lock(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the file at `path` occupy `length` bytes of the disk; nothing changes if it does.
fn allocate(path: &Path, length: u64) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, length) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&file, length),
        done => Ok(done?),
    }
}

/// Writes the reserve where the file system cannot set space aside: with bytes that it cannot compress.
fn fill(mut file: &File, length: u64) -> io::Result<()> {
    if file.metadata()?.len() == length {
        return Ok(());
    }
    let mut block = [0; BLOCK];
    let mut left = usize::try_from(length).unwrap_or(usize::MAX);
    while left > 0 {
        let block = &mut block[..left.min(BLOCK)];
        getrandom::fill(block).map_err(io::Error::other)?;
        file.write_all(block)?;
        left -= block.len();
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_occupies_its_space_and_is_for_its_owner_alone() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path());
        let (reserve, length) = (fs::metadata(disk.reserve()).unwrap(), disk.space().reserve());
        assert_eq!(disk.condition(), Condition::Normal);
        assert_eq!((reserve.len(), reserve.mode() & 0o777), (length, 0o600));
        assert!(reserve.blocks() * 512 >= length);

        // The way of file systems that cannot set space aside takes as much.
        let path = folder.path().join("filled");
        fill(&File::create(&path).unwrap(), length).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), length);
    }

    #[test]
    fn a_failed_write_is_noted_until_one_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path());
        disk.note_failure(None);
        assert_eq!(disk.condition(), Condition::Failing);
        disk.admit(Purpose::Change).unwrap();
        disk.note_commit();
        assert_eq!(disk.condition(), Condition::Normal);
    }

    #[test]
    fn a_full_disk_admits_only_what_is_essential_until_the_reserve_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path());
        disk.give_up_reserve(&mut disk.lock(), disk.space());
        assert!(!disk.reserve().exists());
        disk.admit(Purpose::Essential).unwrap();
        // This disk has space, so that only the reserve is missing.
        assert!(matches!(disk.admit(Purpose::Change), Err(StoreError::Recovering)));
        disk.note_commit();
        assert_eq!(disk.condition(), Condition::DiskFull);
        disk.restore_reserve();
        assert_eq!(disk.condition(), Condition::Normal);
        disk.admit(Purpose::Change).unwrap();
        assert!(disk.reserve().exists());
    }
}
