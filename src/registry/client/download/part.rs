//! The part of a blob that is here: a file, its blocks, and the digest of its beginning.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, IoSlice, Seek as _, SeekFrom, Write as _},
    ops::Range,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, fallocate, fstatvfs};

use super::blocks::{BLOCK, Blocks, Checkpoint, Record, no_follow};
use crate::{
    image::Descriptor,
    types::{Digest, DigestHasher},
};

/// How much is read back at once.
const BUFFER: usize = 256 << 10;
/// How much is written at once. Linux keeps longer pieces in larger pages, which a virtual machine often
/// has to get back from its host first: a gigabyte then takes two or three seconds, and not half a second.
const WRITE: usize = 64 << 10;

/// A blob on its way onto the disk. Whatever of it is written stays, until it is known to be wrong.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    file: File,
    /// Where the next write goes unless the file is told otherwise.
    position: u64,
    wanted: Descriptor,
    blocks: Blocks,
    /// None for what is not longer than a block.
    checkpoint: Option<Checkpoint>,
    /// Has seen everything from the start on that has come without a gap.
    hasher: DigestHasher,
}

impl Part {
    /// Opens what an earlier attempt left, with what holds of it; `None` while somebody else works
    /// on it. Room for the rest is set aside, so that a disk that is too small is noticed now.
    pub(super) fn open(path: &Path, wanted: &Descriptor) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let options = options.custom_flags(no_follow());
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => (),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Whoever had it may have moved it away.
        let here = file.metadata()?;
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (here.dev(), here.ino()) => (),
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut length = here.len();
        if length > wanted.size {
            file.set_len(0)?;
            length = 0;
        }
        check_room(&file, wanted.size)?;
        let mut part = Self {
            path: path.to_owned(),
            file,
            position: 0,
            wanted: wanted.clone(),
            blocks: Blocks::none(wanted.size),
            checkpoint: None,
            hasher: DigestHasher::new(),
        };
        part.recall(length)?;
        part.set_room_aside(length)?;
        Ok(Some(part))
    }

    /// Takes in what is in the file, as far as it is what was remembered.
    fn recall(&mut self, length: u64) -> io::Result<()> {
        let long = self.wanted.size > BLOCK;
        let kept = if long { Checkpoint::open(&self.path, &self.wanted)? } else { None };
        let (checkpoint, records) = match kept {
            Some((checkpoint, records)) => (Some(checkpoint), Some(records)),
            None => (None, None),
        };
        let mut damaged = 0;
        for block in 0..self.blocks.count() {
            let Range { start, end } = self.blocks.range(block);
            let in_file = length.saturating_sub(start).min(end - start);
            let record = records.as_ref().map(|all| all.get(block).copied().unwrap_or_default());
            // Without a checkpoint the file was written from its start on.
            let claimed = record.map_or(in_file, |(length, _)| length.into());
            if claimed > 0 && !(claimed <= in_file && self.recall_block(block, claimed, record)?) {
                damaged += 1;
            }
        }
        if damaged > 0 {
            let digest = self.wanted.digest;
            tracing::warn!(%digest, blocks = damaged, "what was kept of a blob was damaged");
        }
        if long {
            self.checkpoint = match checkpoint {
                Some(checkpoint) => {
                    checkpoint.write(&self.blocks, 0..self.blocks.count())?;
                    Some(checkpoint)
                }
                None => Some(Checkpoint::create(&self.path, &self.wanted, &self.blocks)?),
            };
        }
        Ok(())
    }

    /// Reads the first `length` bytes of a block again; says whether they are the ones on record.
    fn recall_block(
        &mut self,
        block: usize,
        length: u64,
        record: Option<Record>,
    ) -> io::Result<bool> {
        let start = self.blocks.range(block).start;
        let follows = (self.hasher.length() == start).then(|| self.hasher.clone());
        let mut buffer = vec![0; BUFFER];
        let mut at = start;
        while at < start + length {
            let room = usize::try_from(start + length - at).unwrap_or(BUFFER).min(BUFFER);
            let read = &mut buffer[..room];
            self.file.read_exact_at(read, at)?;
            self.blocks.extend(block, read);
            if follows.is_some() {
                self.hasher.update(read);
            }
            at += room as u64;
        }
        let holds = record.is_none_or(|record| record == self.blocks.record(block));
        if !holds {
            self.blocks.forget(block);
            if let Some(before) = follows {
                self.hasher = before;
            }
        }
        Ok(holds)
    }

    fn set_room_aside(&self, length: u64) -> io::Result<()> {
        if self.wanted.size <= BLOCK || length == self.wanted.size {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, 0, self.wanted.size) {
            Err(error)
                if error == rustix::io::Errno::NOSPC || error == rustix::io::Errno::DQUOT =>
            {
                // What was set aside before it was noticed goes back.
                self.file.set_len(length)?;
                Err(error.into())
            }
            // Some file systems cannot; then it is noticed later.
            _ => Ok(()),
        }
    }

    /// How much has come, in bytes.
    pub(super) fn received(&self) -> u64 {
        self.blocks.received()
    }

    /// What has not come yet.
    pub(super) fn missing(&self) -> Vec<Range<u64>> {
        self.blocks.missing()
    }

    /// Writes and remembers bytes that belong at `at`. Those that are here already are passed over.
    pub(super) fn write(&mut self, at: u64, chunks: &[Bytes]) -> io::Result<()> {
        let fresh = self.fresh(at, chunks)?;
        let (Some((first, _)), Some((last, bytes))) = (fresh.first(), fresh.last()) else {
            return Ok(());
        };
        let (first, until) = (*first, last + bytes.len() as u64);
        // One block's beginning may be here, and the next one's not: then there is a gap.
        for run in fresh.chunk_by(|(at, bytes), (next, _)| at + bytes.len() as u64 == *next) {
            let Some((at, _)) = run.first() else { continue };
            self.go_to(*at)?;
            self.write_in_pieces(run.iter().map(|(_, bytes)| *bytes))?;
        }
        for (at, bytes) in &fresh {
            self.blocks.extend(Blocks::place_of(*at).0, bytes);
            if *at == self.hasher.length() {
                self.hasher.update(bytes);
            }
        }
        if let Some(checkpoint) = &self.checkpoint {
            let changed = Blocks::place_of(first).0..Blocks::place_of(until - 1).0 + 1;
            checkpoint.write(&self.blocks, changed)?;
        }
        self.catch_up()
    }

    /// The bytes of `chunks` that are not here yet, cut at the bounds of the blocks.
    fn fresh<'a>(&self, at: u64, chunks: &'a [Bytes]) -> io::Result<Vec<(u64, &'a [u8])>> {
        let mut fresh = Vec::with_capacity(chunks.len() + 1);
        let mut at = at;
        let mut tail = None;
        for chunk in chunks {
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let (block, inside) = Blocks::place_of(at);
                let left = usize::try_from(BLOCK - inside).unwrap_or(usize::MAX);
                let (bytes, after) = rest.split_at(left.min(rest.len()));
                // Within one call a block goes on where the last slice of it ended.
                let have = match tail {
                    Some((known, have)) if known == block => have,
                    _ => self.blocks.have(block),
                };
                if inside > have {
                    return Err(io::Error::other("bytes came before those in front of them"));
                }
                let known = usize::try_from(have - inside).unwrap_or(usize::MAX);
                if known < bytes.len() {
                    fresh.push((at + known as u64, &bytes[known..]));
                }
                let end = inside + bytes.len() as u64;
                tail = Some((block, end.max(have)));
                at += bytes.len() as u64;
                rest = after;
            }
        }
        Ok(fresh)
    }

    fn go_to(&mut self, at: u64) -> io::Result<()> {
        if self.position != at {
            self.file.seek(SeekFrom::Start(at))?;
            self.position = at;
        }
        Ok(())
    }

    /// Writes where the file stands, [`WRITE`] bytes at once.
    fn write_in_pieces<'a>(&mut self, all: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let (mut group, mut length) = (Vec::new(), 0);
        for piece in all.flat_map(|bytes| bytes.chunks(WRITE)) {
            if length + piece.len() > WRITE {
                self.write_all(&mut group)?;
                group.clear();
                length = 0;
            }
            group.push(IoSlice::new(piece));
            length += piece.len();
        }
        self.write_all(&mut group)
    }

    fn write_all(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        while !slices.is_empty() {
            match self.file.write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.position += written as u64;
                    IoSlice::advance_slices(&mut slices, written);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Hashes what came earlier than what was in front of it; the system has it in memory still.
    fn catch_up(&mut self) -> io::Result<()> {
        let until = self.blocks.whole_until(self.hasher.length());
        if until == self.hasher.length() {
            return Ok(());
        }
        let mut buffer = vec![0; BUFFER];
        while self.hasher.length() < until {
            let left = usize::try_from(until - self.hasher.length()).unwrap_or(BUFFER);
            let read = &mut buffer[..left.min(BUFFER)];
            self.file.read_exact_at(read, self.hasher.length())?;
            self.hasher.update(read);
        }
        Ok(())
    }

    /// Compares the digest of the whole; what is wrong is removed. `Err` is the digest that came.
    pub(super) fn finish(self) -> io::Result<Result<(), Digest>> {
        if self.hasher.length() != self.wanted.size {
            return Err(io::Error::other("not all of it was written"));
        }
        let received = self.hasher.finish();
        let is_right = received == self.wanted.digest;
        if !is_right {
            fs::remove_file(&self.path)?;
        }
        drop(self.checkpoint);
        Checkpoint::remove(&self.path)?;
        Ok(if is_right { Ok(()) } else { Err(received) })
    }
}

/// Refuses a `size` that the disk has no room for, before memory is spent on it, or the last room of
/// others for a moment.
fn check_room(file: &File, size: u64) -> io::Result<()> {
    let here = file.metadata()?.blocks().saturating_mul(512);
    let disk = fstatvfs(file)?;
    let free = disk.f_bfree.saturating_mul(disk.f_frsize);
    if size.saturating_sub(here) > free {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = (3 << 20) + 1000;

    fn content() -> Vec<u8> {
        (0..SIZE).map(|at| u8::try_from(at / 7 % 251).unwrap()).collect()
    }

    fn wanted() -> Descriptor {
        Descriptor::of("application/octet-stream", &content())
    }

    fn chunks(range: Range<usize>) -> Vec<Bytes> {
        content()[range].chunks(100_000).map(Bytes::copy_from_slice).collect()
    }

    struct Place(tempfile::TempDir);

    impl Place {
        fn path(&self) -> PathBuf {
            self.0.path().join("p")
        }

        fn open(&self) -> Part {
            Part::open(&self.path(), &wanted()).unwrap().unwrap()
        }
    }

    fn place() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    #[test]
    fn a_planted_link_is_not_written_through() {
        let place = place();
        let victim = place.0.path().join("victim");
        File::create(&victim).unwrap().write_all(&vec![1; SIZE + 1]).unwrap();
        for link in [place.path(), Checkpoint::path(&place.path())] {
            std::os::unix::fs::symlink(&victim, &link).unwrap();
            assert!(Part::open(&place.path(), &wanted()).is_err());
            fs::remove_file(&link).unwrap();
        }
        assert_eq!(fs::read(&victim).unwrap(), vec![1; SIZE + 1]);
    }

    #[test]
    fn blocks_may_come_in_any_order() {
        let place = place();
        let mut part = place.open();
        part.write(2 << 20, &chunks(2 << 20..SIZE)).unwrap();
        part.write(0, &chunks(0..10)).unwrap();
        part.write(1 << 20, &chunks(1 << 20..2 << 20)).unwrap();
        assert_eq!(part.missing(), std::slice::from_ref(&(10..1 << 20)));
        part.write(10, &chunks(10..1 << 20)).unwrap();
        assert_eq!(part.finish().unwrap(), Ok(()));
        assert_eq!(fs::read(place.path()).unwrap(), content());
        assert!(!Checkpoint::path(&place.path()).exists());
    }

    #[test]
    fn what_lay_there_is_taken_in_again_to_the_byte() {
        let place = place();
        let mut part = place.open();
        part.write(0, &chunks(0..1_500_000)).unwrap();
        part.write(3 << 20, &chunks(3 << 20..(3 << 20) + 5)).unwrap();
        drop(part);
        let mut part = place.open();
        assert_eq!(part.received(), 1_500_005);
        assert_eq!(part.missing(), [1_500_000..3 << 20, (3 << 20) + 5..SIZE as u64]);
        // From the start again, as a server without ranges sends it.
        part.write(0, &chunks(0..SIZE)).unwrap();
        assert_eq!(part.finish().unwrap(), Ok(()));
        assert_eq!(fs::read(place.path()).unwrap(), content());
    }

    #[test]
    fn one_flipped_bit_costs_one_block() {
        for block in [0u64, 1, 3] {
            let place = place();
            let mut part = place.open();
            part.write(0, &chunks(0..SIZE)).unwrap();
            part.file.write_all_at(&[0xff], block * BLOCK + 999).unwrap();
            drop(part);
            let mut part = place.open();
            let range = part.blocks.range(usize::try_from(block).unwrap());
            assert_eq!(part.missing(), std::slice::from_ref(&range));
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            part.write(block * BLOCK, &chunks(range)).unwrap();
            assert_eq!(part.finish().unwrap(), Ok(()));
        }
    }

    #[test]
    fn what_a_power_cut_took_is_missing_and_nothing_else() {
        let place = place();
        let mut part = place.open();
        part.write(0, &chunks(0..SIZE)).unwrap();
        // The records reached the disk, the last bytes did not.
        part.file.set_len(2_500_000).unwrap();
        drop(part);
        assert_eq!(place.open().missing(), std::slice::from_ref(&(2 << 20..SIZE as u64)));
    }

    #[test]
    fn wrong_content_leaves_nothing_behind() {
        let place = place();
        let mut part = place.open();
        part.write(0, &[Bytes::from(vec![9; SIZE])]).unwrap();
        assert_eq!(part.finish().unwrap(), Err(Digest::of(&vec![9; SIZE])));
        assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 0);
    }

    #[test]
    fn two_do_not_write_one_file() {
        let place = place();
        let first = place.open();
        assert!(Part::open(&place.path(), &wanted()).unwrap().is_none());
        drop(first);
        place.open();
    }
}
