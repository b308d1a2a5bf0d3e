//! A small file system that can be filled.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use edgepost::disk_space::DiskSpace;

use super::peers::record_skip;

/// A tmpfs that is unmounted when it is dropped.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a file system of `kib` KiB at `path`; none where that is not allowed.
    pub fn at(path: &Path, kib: u64) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={kib}k,mode=700");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "none"]).arg(path);
        let mounted = mount.output().is_ok_and(|it| it.status.success());
        if !mounted {
            record_skip("no file system can be mounted here");
        }
        mounted.then(|| Self(path.to_owned()))
    }

    /// Changes its size.
    pub fn grow(&self, kib: u64) {
        let size = format!("remount,size={kib}k");
        let status = Command::new("mount").args(["-o", &size]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }

    /// Fills it but for `bytes`, rounded down to pages.
    pub fn fill_up_to(&self, bytes: u64) {
        self.free();
        let mut filler = fs::File::create(self.filler()).unwrap();
        let mut written = 0;
        loop {
            match filler.write(&vec![0; 65536]) {
                Ok(count) => written += count as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
        filler.set_len(written.saturating_sub(bytes)).unwrap();
    }

    /// Takes space, beside what is taken already, until no more than `bytes` are free: also under a server that runs.
    pub fn take_all_but(&self, bytes: u64) {
        let mut filler = fs::OpenOptions::new();
        let mut filler = filler.append(true).create(true).open(self.filler()).unwrap();
        loop {
            let excess = usize::try_from(self.free_bytes().saturating_sub(bytes)).unwrap();
            if excess == 0 || filler.write_all(&vec![1; excess.min(65536)]).is_err() {
                return;
            }
        }
    }

    /// How many bytes are free.
    pub fn free_bytes(&self) -> u64 {
        DiskSpace::of(&self.0).unwrap().free
    }

    /// Gives back what was filled.
    pub fn free(&self) {
        match fs::remove_file(self.filler()) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
