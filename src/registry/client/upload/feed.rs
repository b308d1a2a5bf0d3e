//! A blob on its way out of its source: read and hashed ahead of the link, in few buffers that are
//! used again and again.

use std::{
    io::{self, Read as _, Seek as _, SeekFrom},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender},
};

use crate::{
    image::{BlobReader, Descriptor, VerifyError},
    types::{Digest, DigestHasher},
};

/// How much is read and hashed at a time, in bytes.
const BUFFER: usize = 256 * 1024;
/// One is filled, one waits, one is on the wire.
const BUFFERS: usize = 3;
/// How far apart the marks are, in bytes: so much is hashed again after a break, at most.
const MARK: u64 = 1024 * 1024;

/// The hash of a blob at several places, so that reading can begin again at any of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks(Arc<Mutex<Vec<DigestHasher>>>);

impl Marks {
    /// The last mark that is not behind `position`.
    fn before(&self, position: u64) -> DigestHasher {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = marks.partition_point(|mark| mark.length() <= position);
        behind.checked_sub(1).map_or_else(DigestHasher::new, |last| marks[last].clone())
    }

    fn set(&self, hasher: &DigestHasher) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = marks.last().map_or(0, DigestHasher::length);
        if hasher.length() >= last + MARK {
            marks.push(hasher.clone());
        }
    }
}

/// The bytes of a blob from an offset on. They end with an error if they are not the ones that were
/// named; the last of them are handed out only after the digest of the whole has been compared.
#[derive(Debug)]
pub(super) struct Feed {
    chunks: Receiver<io::Result<Bytes>>,
    rest: Bytes,
    position: u64,
}

impl Feed {
    /// Begins to read `reader`, which has the whole blob, and hands out what is behind `from`.
    pub(super) async fn open(
        reader: BlobReader,
        descriptor: &Descriptor,
        marks: &Marks,
        from: u64,
    ) -> Self {
        let (out, chunks) = mpsc::channel(BUFFERS);
        let intake = Intake {
            expected: descriptor.digest,
            size: descriptor.size,
            hasher: marks.before(from),
            marks: marks.clone(),
            from,
        };
        let pool = Pool::new(descriptor.size);
        match reader {
            BlobReader::File(part) => {
                let limit = part.limit();
                let file = part.into_inner().into_std().await;
                tokio::task::spawn_blocking(move || read_file(file, limit, intake, pool, &out));
            }
            BlobReader::Stream(stream) => {
                tokio::spawn(read_stream(stream, intake, pool, out));
            }
        }
        Self { chunks, rest: Bytes::new(), position: from }
    }

    /// No bytes, behind all `size` of them.
    pub(super) fn nothing(size: u64) -> Self {
        let (_, chunks) = mpsc::channel(1);
        Self { chunks, rest: Bytes::new(), position: size }
    }

    /// The offset of what [`Feed::next`] gives.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// The next bytes, at most so many of them; none at the end.
    pub(super) async fn next(&mut self, at_most: usize) -> Option<io::Result<Bytes>> {
        if self.rest.is_empty() {
            match self.chunks.recv().await? {
                Ok(chunk) => self.rest = chunk,
                Err(error) => return Some(Err(error)),
            }
        }
        let next = self.rest.split_to(self.rest.len().min(at_most));
        self.position += next.len() as u64;
        Some(Ok(next))
    }
}

/// Buffers that come back when what they hold has been sent.
struct Pool {
    free: UnboundedReceiver<Vec<u8>>,
    home: UnboundedSender<Vec<u8>>,
}

impl Pool {
    /// Buffers for a blob of `size` bytes.
    fn new(size: u64) -> Self {
        let (home, free) = mpsc::unbounded_channel();
        let length = usize::try_from(size).unwrap_or(usize::MAX).min(BUFFER);
        let count = if length < BUFFER { 1 } else { BUFFERS };
        for _ in 0..count {
            // Cannot fail: the other end is here.
            let _ = home.send(vec![0; length]);
        }
        Self { free, home }
    }

    /// Hands out the first `length` bytes of `buffer`, until they have been sent.
    fn lend(&self, buffer: Vec<u8>, length: usize) -> Bytes {
        Bytes::from_owner(Lent { buffer, length, home: self.home.clone() })
    }
}

struct Lent {
    buffer: Vec<u8>,
    length: usize,
    home: UnboundedSender<Vec<u8>>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Nobody reads any more if this fails.
        let _ = self.home.send(std::mem::take(&mut self.buffer));
    }
}

/// Judges what is read.
struct Intake {
    expected: Digest,
    size: u64,
    hasher: DigestHasher,
    marks: Marks,
    from: u64,
}

impl Intake {
    fn left(&self) -> u64 {
        self.size - self.hasher.length()
    }

    /// How much of a buffer to fill next.
    fn room(&self, buffer: &[u8]) -> usize {
        buffer.len().min(usize::try_from(self.left()).unwrap_or(usize::MAX))
    }

    /// Takes in what was read; gives how many bytes at its beginning are not to be sent.
    fn take(&mut self, fresh: &[u8], wanted: usize) -> Result<usize, VerifyError> {
        let (expected, size) = (self.expected, self.size);
        let position = self.hasher.length();
        self.hasher.update(fresh);
        let received = self.hasher.length();
        if fresh.len() < wanted {
            return Err(VerifyError::Truncated { expected, size, received });
        }
        self.marks.set(&self.hasher);
        let skip = self.from.saturating_sub(position).min(fresh.len() as u64);
        Ok(usize::try_from(skip).unwrap_or(fresh.len()))
    }

    /// The verdict over the whole; `more`: there is something behind its end.
    fn verdict(&self, more: bool) -> Result<(), VerifyError> {
        let (expected, size) = (self.expected, self.size);
        if more {
            return Err(VerifyError::TooLong { expected, size });
        }
        let received = self.hasher.clone().finish();
        if received == expected {
            Ok(())
        } else {
            Err(VerifyError::WrongContent { expected, received })
        }
    }
}

fn invalid(error: VerifyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Reads a file to its end, on a thread of its own.
fn read_file(
    mut file: std::fs::File,
    limit: u64,
    mut intake: Intake,
    mut pool: Pool,
    out: &Sender<io::Result<Bytes>>,
) {
    let read = || -> io::Result<()> {
        let known = intake.hasher.length();
        file.seek(SeekFrom::Current(i64::try_from(known).map_err(io::Error::other)?))?;
        let mut file = file.take(limit.saturating_sub(known));
        if intake.left() == 0 {
            return intake.verdict(file.read(&mut [0])? > 0).map_err(invalid);
        }
        while intake.left() > 0 {
            let Some(mut buffer) = pool.free.blocking_recv() else { return Ok(()) };
            let wanted = intake.room(&buffer);
            let mut length = 0;
            while length < wanted {
                match file.read(&mut buffer[length..wanted]) {
                    Ok(0) => break,
                    Ok(read) => length += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                    Err(error) => return Err(error),
                }
            }
            let skip = intake.take(&buffer[..length], wanted).map_err(invalid)?;
            if intake.left() == 0 {
                intake.verdict(file.read(&mut [0])? > 0).map_err(invalid)?;
            }
            let chunk = pool.lend(buffer, length).split_off(skip);
            if !chunk.is_empty() && out.blocking_send(Ok(chunk)).is_err() {
                return Ok(()); // nobody wants it any more
            }
        }
        Ok(())
    };
    if let Err(error) = read() {
        // Nobody wants to know if this fails.
        let _ = out.blocking_send(Err(error));
    }
}

/// Reads a stream to its end.
async fn read_stream(
    mut stream: Box<dyn AsyncRead + Send + Unpin>,
    mut intake: Intake,
    mut pool: Pool,
    out: Sender<io::Result<Bytes>>,
) {
    let read = async {
        let known = intake.hasher.length();
        let passed =
            tokio::io::copy(&mut (&mut stream).take(known), &mut tokio::io::sink()).await?;
        if passed < known {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if intake.left() == 0 {
            return intake.verdict(stream.read(&mut [0]).await? > 0).map_err(invalid);
        }
        while intake.left() > 0 {
            let Some(mut buffer) = pool.free.recv().await else { return Ok(()) };
            let wanted = intake.room(&buffer);
            let mut length = 0;
            while length < wanted {
                match stream.read(&mut buffer[length..wanted]).await? {
                    0 => break,
                    read => length += read,
                }
            }
            let skip = intake.take(&buffer[..length], wanted).map_err(invalid)?;
            if intake.left() == 0 {
                intake.verdict(stream.read(&mut [0]).await? > 0).map_err(invalid)?;
            }
            let chunk = pool.lend(buffer, length).split_off(skip);
            if !chunk.is_empty() && out.send(Ok(chunk)).await.is_err() {
                return Ok(()); // nobody wants it any more
            }
        }
        Ok(())
    };
    // Whoever drops the feed ends the reading, also of a stream that says nothing.
    let outcome = tokio::select! {
        outcome = read => outcome,
        () = out.closed() => return,
    };
    if let Err(error) = outcome {
        // Nobody wants to know if this fails.
        let _ = out.send(Err(error)).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn content() -> Vec<u8> {
        (0..=250u8).cycle().take(3 * BUFFER + 17).collect()
    }

    fn file(bytes: &[u8]) -> BlobReader {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        BlobReader::file(file, u64::MAX)
    }

    async fn read(
        reader: BlobReader,
        named: &[u8],
        marks: &Marks,
        from: u64,
    ) -> (Vec<u8>, Option<VerifyError>) {
        let descriptor = Descriptor::of("text/plain", named);
        let mut feed = Feed::open(reader, &descriptor, marks, from).await;
        let mut bytes = Vec::new();
        while let Some(next) = feed.next(10_000).await {
            match next {
                Ok(next) => bytes.extend_from_slice(&next),
                Err(error) => return (bytes, VerifyError::inside(&error).cloned()),
            }
        }
        assert_eq!(feed.position(), from + bytes.len() as u64);
        (bytes, None)
    }

    #[tokio::test]
    async fn files_and_streams_are_handed_out_from_any_offset() {
        let content = content();
        let marks = Marks::default();
        for from in [0, 1, BUFFER, 2 * BUFFER + 5, content.len() - 1, content.len()] {
            for (reader, marks) in [
                (file(&content), marks.clone()),
                (file(&content), Marks::default()),
                (BlobReader::bytes(content.clone()), marks.clone()),
            ] {
                let (bytes, error) = read(reader, &content, &marks, from as u64).await;
                assert_eq!(error, None, "{from}");
                assert!(bytes == content[from..], "{from}");
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_a_blob_too() {
        assert_eq!(read(file(b""), b"", &Marks::default(), 0).await, (Vec::new(), None));
        let (_, error) = read(file(b"x"), b"", &Marks::default(), 0).await;
        assert!(matches!(error, Some(VerifyError::TooLong { .. })), "{error:?}");
    }

    #[tokio::test]
    async fn the_last_bytes_of_wrong_content_are_never_handed_out() {
        let right = content();
        let mut wrong = right.clone();
        wrong[5] ^= 1;
        let longer = [&right[..], b"x"].concat();
        for from in [0, BUFFER + 9] {
            for (came, is_it) in [
                (&wrong[..], "WrongContent"),
                (&longer[..], "TooLong"),
                (&right[..right.len() - 1], "Truncated"),
            ] {
                for reader in [file(came), BlobReader::bytes(came.to_vec())] {
                    let (bytes, error) = read(reader, &right, &Marks::default(), from as u64).await;
                    assert!(format!("{error:?}").contains(is_it), "{error:?}");
                    assert!(bytes.len() <= right.len() - 17 - from, "{}", bytes.len());
                }
            }
        }
    }

    #[tokio::test]
    async fn a_part_of_a_file_is_a_blob() {
        let mut archive = tempfile::tempfile().unwrap();
        archive.write_all(b"header").unwrap();
        archive.write_all(&content()).unwrap();
        archive.write_all(b"trailer").unwrap();
        archive.seek(SeekFrom::Start(6)).unwrap();
        let part = BlobReader::file(archive, content().len() as u64);
        let (bytes, error) = read(part, &content(), &Marks::default(), 7).await;
        assert_eq!(error, None);
        assert!(bytes == content()[7..]);
    }

    #[tokio::test]
    async fn what_was_hashed_before_is_hashed_again_only_from_the_last_mark() {
        let content = [content(), content()].concat();
        let marks = Marks::default();
        read(file(&content), &content, &marks, 0).await;
        let set = marks.0.lock().unwrap().len();
        assert_eq!(set, content.len() / usize::try_from(MARK).unwrap());
        assert_eq!(marks.before(MARK - 1).length(), 0);
        assert_eq!(marks.before(MARK).length(), MARK);
    }
}
