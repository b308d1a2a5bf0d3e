//! The free space of a file system, and how much of it stays for what must always go through.

use std::{io, path::Path};

/// The largest reserve in bytes. A database grows by up to 4 MiB when its log is checkpointed, and the
/// transactions of deletions need log pages before that.
const LARGEST_RESERVE: u64 = 8 << 20;
/// The share of a small file system that is its reserve.
const SHARE: u64 = 8;

/// The space of the file system that a file or folder is on, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// What this process may still write.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

impl DiskSpace {
    /// The space of the file system that `path` is on.
    pub fn of(path: &Path) -> io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Self { free: bytes(found.f_bavail), total: bytes(found.f_blocks) })
    }

    /// What a database sets aside for deletions: an eighth of the file system, 8 MiB at most.
    pub fn reserve(self) -> u64 {
        (self.total / SHARE).min(LARGEST_RESERVE)
    }

    /// With less free than this the file system counts as full.
    pub fn low(self) -> u64 {
        self.reserve() / 8
    }

    /// With this much free a file system that was full has space again: for the reserve, and for writes beside it.
    pub fn enough(self) -> u64 {
        self.reserve() + 2 * self.low()
    }

    /// With less free than this, images are not written any more: a database beside them, whose reserve was given
    /// up, still finds its space.
    pub fn floor(self) -> u64 {
        self.enough() + 2 * self.low()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thresholds_are_in_order_on_disks_of_every_size() {
        for total in [1 << 20, 3 << 20, 64 << 20, 1 << 40] {
            let space = DiskSpace { free: total, total };
            assert!(0 < space.low() && space.low() < space.reserve());
            assert!(space.reserve() < space.enough() && space.enough() < space.floor());
            assert!(space.floor() < total / 4, "{total}");
        }
        assert_eq!(DiskSpace { free: 0, total: 1 << 40 }.reserve(), 8 << 20);
        assert!(DiskSpace::of(Path::new("/nowhere/at/all")).is_err());
    }
}
