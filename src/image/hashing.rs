//! A writer that computes a digest on the way.

use std::io;

use crate::types::{Digest, DigestHasher};

/// Writes on what it is given, and keeps its digest.
pub(super) struct HashingWriter<W> {
    writer: W,
    hasher: DigestHasher,
}

impl<W: io::Write> HashingWriter<W> {
    pub(super) fn new(writer: W) -> Self {
        Self { writer, hasher: DigestHasher::new() }
    }

    /// The digest and length of what was written, and the writer, flushed.
    pub(super) fn finish(mut self) -> io::Result<(Digest, u64, W)> {
        self.writer.flush()?;
        let length = self.hasher.length();
        Ok((self.hasher.finish(), length, self.writer))
    }
}

impl<W: io::Write> io::Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
