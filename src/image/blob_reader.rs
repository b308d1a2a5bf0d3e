//! The bytes of a blob as its source has them.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _, ReadBuf, Take},
};

/// The bytes of a blob as its source has them: not yet verified.
///
/// Anybody may read it as a stream. Whoever moves much takes a [`BlobReader::File`] apart and reads
/// the file on a thread of its own, which costs a fraction.
pub enum BlobReader {
    /// A file, or a part of one: from where it stands, as many bytes as the limit says.
    File(Take<File>),
    /// What comes from elsewhere.
    Stream(Box<dyn AsyncRead + Send + Unpin>),
}

impl BlobReader {
    /// The bytes of `file` from where it stands, at most `length` of them.
    pub fn file(file: impl Into<File>, length: u64) -> Self {
        Self::File(file.into().take(length))
    }

    /// What `reader` gives.
    pub fn stream(reader: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self::Stream(Box::new(reader))
    }

    /// What is in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::stream(io::Cursor::new(bytes.into()))
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Stream(_) => f.debug_struct("Stream").finish_non_exhaustive(),
        }
    }
}

impl AsyncRead for BlobReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::File(file) => Pin::new(file).poll_read(context, buffer),
            Self::Stream(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use super::*;

    #[tokio::test]
    async fn a_part_of_a_file_is_read_and_nothing_else() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before-wanted-behind").unwrap();
        file.seek(io::SeekFrom::Start(7)).unwrap();
        let mut text = String::new();
        BlobReader::file(file, 6).read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "wanted");
    }
}
