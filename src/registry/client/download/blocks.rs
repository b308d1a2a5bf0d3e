//! What has come of a blob, block by block, and the small file that remembers it.
//!
//! ```text
//! "edgepost parts 1" · digest (32) · size (u64) · block size (u64) · then per block: length (u32) · CRC-32 (u32)
//! ```
//!
//! Numbers are little-endian. A record is written in place, after the bytes that it speaks of. One that
//! a power cut tore, or whose bytes it took, does not fit its block any more: then that block is
//! fetched again, and no other. The checksum finds damage; who sent the bytes is found out by the
//! digest of the whole.

use std::{
    fs::{File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use flate2::Crc;
use rustix::fs::OFlags;

use crate::image::Descriptor;

/// The length of a block in bytes: what is fetched again when one bit of it is wrong.
pub(super) const BLOCK: u64 = 1 << 20;

const MAGIC: &[u8; 16] = b"edgepost parts 1";
const HEADER: usize = MAGIC.len() + 32 + 8 + 8;
const RECORD: usize = 8;

/// The flag that opens no link: in a folder that others may write to, one could be planted that leads to a file which
/// is not part of a download.
pub(super) fn no_follow() -> i32 {
    i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default()
}

/// What has come of each block: always its beginning, up to some length.
#[derive(Debug)]
pub(super) struct Blocks {
    size: u64,
    /// The checksum of what has come of each block; its amount is how much that is.
    sums: Vec<Crc>,
}

/// What is remembered of a block: length and checksum of its beginning.
pub(super) type Record = (u32, u32);

impl Blocks {
    /// None of the blocks of a blob of `size` bytes.
    pub(super) fn none(size: u64) -> Self {
        let sums = (0..size.div_ceil(BLOCK)).map(|_| Crc::new()).collect();
        Self { size, sums }
    }

    pub(super) fn count(&self) -> usize {
        self.sums.len()
    }

    /// Which block `at` lies in, and how far behind its beginning.
    pub(super) fn place_of(at: u64) -> (usize, u64) {
        // Files on this machine have fewer blocks than memory has bytes.
        (usize::try_from(at / BLOCK).unwrap_or(usize::MAX), at % BLOCK)
    }

    /// Where a block lies in the blob.
    pub(super) fn range(&self, block: usize) -> Range<u64> {
        let start = block as u64 * BLOCK;
        start..(start + BLOCK).min(self.size)
    }

    /// How much of a block has come, in bytes.
    pub(super) fn have(&self, block: usize) -> u64 {
        self.sums.get(block).map_or(0, |sum| sum.amount().into())
    }

    /// Takes in the next bytes of a block.
    pub(super) fn extend(&mut self, block: usize, bytes: &[u8]) {
        if let Some(sum) = self.sums.get_mut(block) {
            sum.update(bytes);
        }
    }

    /// Forgets what has come of a block.
    pub(super) fn forget(&mut self, block: usize) {
        if let Some(sum) = self.sums.get_mut(block) {
            sum.reset();
        }
    }

    pub(super) fn record(&self, block: usize) -> Record {
        self.sums.get(block).map_or((0, 0), |sum| (sum.amount(), sum.sum()))
    }

    /// How much has come in all, in bytes.
    pub(super) fn received(&self) -> u64 {
        self.sums.iter().map(|sum| u64::from(sum.amount())).sum()
    }

    /// Up to where everything from `at` on has come.
    pub(super) fn whole_until(&self, at: u64) -> u64 {
        let (first, _) = Self::place_of(at);
        for block in first..self.count() {
            let range = self.range(block);
            let until = range.start + self.have(block);
            if until < range.end {
                return until.max(at);
            }
        }
        self.size
    }

    /// What has not come yet, in order; neighbours are one range.
    pub(super) fn missing(&self) -> Vec<Range<u64>> {
        let mut missing: Vec<Range<u64>> = Vec::new();
        for block in 0..self.count() {
            let Range { start, end } = self.range(block);
            let start = start + self.have(block);
            match missing.last_mut() {
                _ if start == end => (),
                Some(last) if last.end == start => last.end = end,
                _ => missing.push(start..end),
            }
        }
        missing
    }
}

/// The file that lies beside a partial one, and remembers its blocks.
#[derive(Debug)]
pub(super) struct Checkpoint {
    file: File,
}

impl Checkpoint {
    /// Where it lies.
    pub(super) fn path(partial: &Path) -> PathBuf {
        let mut name = partial.as_os_str().to_owned();
        name.push(".parts");
        PathBuf::from(name)
    }

    /// Opens what an earlier attempt left, with its records; none if there is nothing, or if it is of
    /// another blob.
    pub(super) fn open(
        partial: &Path,
        wanted: &Descriptor,
    ) -> io::Result<Option<(Self, Vec<Record>)>> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).custom_flags(no_follow());
        let file = match options.open(Self::path(partial)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let count = Blocks::none(wanted.size).count();
        let mut content = vec![0; HEADER + count * RECORD];
        let length = read_as_far_as_it_goes(&file, &mut content)?;
        if length < HEADER || content[..HEADER] != header(wanted) {
            return Ok(None);
        }
        let records = content[HEADER..].chunks_exact(RECORD).map(|record| {
            let number = |at: usize| {
                u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]])
            };
            (number(0), number(4))
        });
        let records = records.collect();
        Ok(Some((Self { file }, records)))
    }

    /// Makes a new one, with room for all records, so that a disk that fills up later does not
    /// stop it.
    pub(super) fn create(partial: &Path, wanted: &Descriptor, blocks: &Blocks) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options.custom_flags(no_follow()).open(Self::path(partial))?;
        let mut content = header(wanted).to_vec();
        content.extend((0..blocks.count()).flat_map(|block| encode(blocks.record(block))));
        file.write_all_at(&content, 0)?;
        Ok(Self { file })
    }

    /// Writes down what has come of some neighbouring blocks.
    pub(super) fn write(&self, blocks: &Blocks, changed: Range<usize>) -> io::Result<()> {
        let at = (HEADER + changed.start * RECORD) as u64;
        let records: Vec<u8> = changed.flat_map(|block| encode(blocks.record(block))).collect();
        self.file.write_all_at(&records, at)
    }

    /// Removes the one of `partial`, if there is one.
    pub(super) fn remove(partial: &Path) -> io::Result<()> {
        match std::fs::remove_file(Self::path(partial)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn header(wanted: &Descriptor) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..16].copy_from_slice(MAGIC);
    header[16..48].copy_from_slice(wanted.digest.as_bytes());
    header[48..56].copy_from_slice(&wanted.size.to_le_bytes());
    header[56..].copy_from_slice(&BLOCK.to_le_bytes());
    header
}

fn encode((length, sum): Record) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    record[..4].copy_from_slice(&length.to_le_bytes());
    record[4..].copy_from_slice(&sum.to_le_bytes());
    record
}

fn read_as_far_as_it_goes(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_in_the_longest_ranges() {
        let mut blocks = Blocks::none(4 * BLOCK + 10);
        assert_eq!(blocks.missing(), std::slice::from_ref(&(0..4 * BLOCK + 10)));
        blocks.extend(0, &[0; 7]);
        blocks.extend(2, &vec![0; 1 << 20]);
        blocks.extend(4, &[0; 10]);
        assert_eq!(blocks.missing(), [7..2 * BLOCK, 3 * BLOCK..4 * BLOCK]);
        assert_eq!(blocks.whole_until(0), 7);
        assert_eq!(blocks.whole_until(2 * BLOCK), 3 * BLOCK);
        assert_eq!(blocks.whole_until(4 * BLOCK), 4 * BLOCK + 10);
        assert_eq!(blocks.received(), BLOCK + 17);
    }

    #[test]
    fn a_checkpoint_remembers_and_is_no_other_blobs() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("p");
        let wanted = Descriptor::of("x/y", &vec![1; 3 << 20]);
        let mut blocks = Blocks::none(wanted.size);
        blocks.extend(1, b"abc");
        let checkpoint = Checkpoint::create(&partial, &wanted, &blocks).unwrap();
        blocks.extend(2, b"d");
        checkpoint.write(&blocks, 2..3).unwrap();

        let (_, records) = Checkpoint::open(&partial, &wanted).unwrap().unwrap();
        assert_eq!(records, [(0, 0), blocks.record(1), blocks.record(2)]);
        let other = Descriptor::of("x/y", &vec![2; 3 << 20]);
        assert!(Checkpoint::open(&partial, &other).unwrap().is_none());
    }

    #[test]
    fn a_torn_checkpoint_counts_as_far_as_it_goes() {
        let folder = tempfile::tempdir().unwrap();
        let partial = folder.path().join("p");
        let wanted = Descriptor::of("x/y", &vec![1; 2 << 20]);
        let mut blocks = Blocks::none(wanted.size);
        blocks.extend(0, b"abc");
        let checkpoint = Checkpoint::create(&partial, &wanted, &blocks).unwrap();
        checkpoint.file.set_len((HEADER + RECORD) as u64).unwrap();
        let (_, records) = Checkpoint::open(&partial, &wanted).unwrap().unwrap();
        assert_eq!(records, [blocks.record(0), (0, 0)]);
        checkpoint.file.set_len(10).unwrap();
        assert!(Checkpoint::open(&partial, &wanted).unwrap().is_none());
    }
}
