//! A reader that does not end well unless its bytes are the ones that were named.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

use crate::{
    image::Descriptor,
    types::{Digest, DigestHasher},
};

/// Why the bytes of a [`VerifiedReader`] are not the ones that were named; inside an [`io::Error`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// As many bytes as named, but other ones.
    #[error("expected {expected}, received {received}")]
    WrongContent {
        /// The digest that was named.
        expected: Digest,
        /// The digest of what came.
        received: Digest,
    },
    /// The bytes end early.
    #[error("expected {expected} of {size} bytes, received only {received} bytes")]
    Truncated {
        /// The digest that was named.
        expected: Digest,
        /// The length that was named.
        size: u64,
        /// The length of what came.
        received: u64,
    },
    /// The bytes go on; reading stopped one byte after the length that was named.
    #[error("expected {expected} of {size} bytes, received more")]
    TooLong {
        /// The digest that was named.
        expected: Digest,
        /// The length that was named.
        size: u64,
    },
}

impl VerifyError {
    /// The verdict inside an I/O error of a [`VerifiedReader`], if it is one.
    pub fn inside(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }
}

/// Hands on what `reader` has, and fails unless length and digest are those of a descriptor.
///
/// The last bytes are handed on only after the digest has been compared, so a taker that stops at
/// the named length has verified content too. At most one byte beyond that length is ever read.
#[derive(Debug)]
pub struct VerifiedReader<R> {
    reader: R,
    expected: Digest,
    size: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Reading(DigestHasher),
    Verified,
    Failed(VerifyError),
}

impl<R: AsyncRead + Unpin> VerifiedReader<R> {
    /// Verifies `reader` against what `descriptor` names.
    pub fn new(reader: R, descriptor: &Descriptor) -> Self {
        Self {
            reader,
            expected: descriptor.digest,
            size: descriptor.size,
            state: State::Reading(DigestHasher::new()),
        }
    }

    /// All of it, for what is small: refused beforehand if it is named longer than `limit` bytes.
    pub async fn into_bytes(mut self, limit: u64) -> io::Result<Vec<u8>> {
        if self.size > limit {
            return Err(invalid(VerifyError::TooLong { expected: self.expected, size: limit }));
        }
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    /// How many bytes may come, and one more by which too many are noticed.
    fn room(&self) -> usize {
        match &self.state {
            State::Reading(hasher) => {
                let left = self.size.saturating_sub(hasher.length()).saturating_add(1);
                usize::try_from(left).unwrap_or(usize::MAX)
            }
            State::Verified | State::Failed(_) => 1,
        }
    }

    /// Takes in the bytes that came, or the end if none came.
    fn take_in(&mut self, fresh: &[u8]) -> Result<(), VerifyError> {
        let (expected, size) = (self.expected, self.size);
        let outcome = match &mut self.state {
            State::Failed(error) => Err(error.clone()),
            State::Verified if fresh.is_empty() => Ok(()),
            State::Verified => Err(VerifyError::TooLong { expected, size }),
            State::Reading(hasher) => {
                hasher.update(fresh);
                let received = hasher.length();
                if received > size {
                    Err(VerifyError::TooLong { expected, size })
                } else if received == size {
                    let received = std::mem::take(hasher).finish();
                    self.state = State::Verified;
                    if received == expected {
                        Ok(())
                    } else {
                        Err(VerifyError::WrongContent { expected, received })
                    }
                } else if fresh.is_empty() {
                    Err(VerifyError::Truncated { expected, size, received })
                } else {
                    Ok(())
                }
            }
        };
        if let Err(error) = &outcome {
            self.state = State::Failed(error.clone());
        }
        outcome
    }
}

fn invalid(error: VerifyError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<R: AsyncRead + Unpin> AsyncRead for VerifiedReader<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let State::Failed(error) = &self.state {
            return Poll::Ready(Err(invalid(error.clone())));
        }
        let room = self.room().min(buffer.remaining());
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut space = ReadBuf::new(buffer.initialize_unfilled_to(room));
        ready!(Pin::new(&mut self.reader).poll_read(context, &mut space))?;
        self.take_in(space.filled()).map_err(invalid)?;
        let filled = space.filled().len();
        buffer.advance(filled);
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(named: &[u8], came: &[u8]) -> Result<Vec<u8>, VerifyError> {
        let descriptor = Descriptor::of("text/plain", named);
        VerifiedReader::new(came, &descriptor)
            .into_bytes(1000)
            .await
            .map_err(|error| VerifyError::inside(&error).cloned().unwrap())
    }

    #[tokio::test]
    async fn what_was_named_passes() {
        for bytes in [&b""[..], b"a", b"some bytes"] {
            assert_eq!(read(bytes, bytes).await.unwrap(), bytes);
        }
    }

    #[tokio::test]
    async fn other_shorter_and_longer_bytes_fail() {
        assert!(matches!(read(b"abc", b"abd").await, Err(VerifyError::WrongContent { .. })));
        assert!(matches!(read(b"abc", b"ab").await, Err(VerifyError::Truncated { .. })));
        assert!(matches!(read(b"abc", b"abcd").await, Err(VerifyError::TooLong { .. })));
        assert!(matches!(read(b"", b"a").await, Err(VerifyError::TooLong { .. })));
    }

    #[tokio::test]
    async fn the_last_byte_is_not_handed_on_before_the_verdict() {
        let descriptor = Descriptor::of("text/plain", b"abc");
        let mut reader = VerifiedReader::new(&b"abd"[..], &descriptor);
        let mut bytes = [0; 3];
        assert_eq!(reader.read(&mut bytes[..2]).await.unwrap(), 2);
        assert!(reader.read(&mut bytes[2..]).await.is_err());
    }

    #[tokio::test]
    async fn a_longer_source_is_left_one_byte_after_the_end() {
        let descriptor = Descriptor::of("text/plain", b"abc");
        let mut endless = tokio::io::repeat(b'a');
        let mut bytes = Vec::new();
        let mut reader = VerifiedReader::new(&mut endless, &descriptor);
        assert!(reader.read_to_end(&mut bytes).await.is_err());
        assert!(bytes.is_empty());
    }
}
