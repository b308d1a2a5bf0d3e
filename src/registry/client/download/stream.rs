//! A blob as a stream: from any offset, and, where it breaks off, taken up again.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;

use super::{
    Pace, Patience, Place, RegistryClient, RegistryError, Sources,
    body::{Body, wrong_size},
    is_worth_another_try,
};
use crate::{
    image::{Descriptor, VerifiedReader, VerifyError},
    types::Repository,
};

/// The bytes of a blob from an offset to its end: not verified, but never more than named.
///
/// Its I/O errors hold a [`RegistryError`], which `io::Error::downcast` gives back. Whoever keeps
/// what came before an error may go on from there by another [`RegistryClient::open_blob`].
pub struct BlobStream {
    reader: StreamReader<Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>, Bytes>,
}

impl fmt::Debug for BlobStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobStream").finish_non_exhaustive()
    }
}

impl AsyncRead for BlobStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}

impl BlobStream {
    fn new(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Self {
        Self { reader: StreamReader::new(Box::pin(chunks)) }
    }
}

impl RegistryClient {
    /// Opens a blob at the offset `from`, in bytes. A registry that knows no ranges sends the
    /// beginning too, which is then passed over.
    pub async fn open_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        from: u64,
    ) -> Result<BlobStream, RegistryError> {
        let size = descriptor.size;
        if from >= size && from > 0 {
            return if from == size {
                Ok(BlobStream::new(stream::empty()))
            } else {
                Err(wrong_size(&Place::from(repository), descriptor, from))
            };
        }
        let body = self.retry.run(|| self.open_range(repository, descriptor, from..size)).await?;
        let chunks = stream::try_unfold((body, self.pace.clone()), async |(mut body, pace)| {
            let chunk = next(&mut body, &pace).await.map_err(io::Error::other)?;
            Ok(chunk.map(|chunk| (chunk, (body, pace))))
        });
        Ok(BlobStream::new(chunks))
    }

    /// Opens a blob at its start. Where it breaks off it is taken up again, from the mirrors of its
    /// registry too, until it fails too often without a new byte.
    pub async fn follow_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
    ) -> Result<BlobStream, RegistryError> {
        let mut followed = Followed {
            client: self.clone(),
            sources: self.mirrors.sources(repository),
            descriptor: descriptor.clone(),
            at: 0,
            body: None,
            patience: Patience::new(self.retry, 0),
        };
        followed.open().await?;
        let chunks = stream::try_unfold(followed, async |mut followed| {
            let chunk = followed.next().await.map_err(io::Error::other)?;
            Ok(chunk.map(|chunk| (chunk, followed)))
        });
        Ok(BlobStream::new(chunks))
    }

    /// A small blob whole and verified: a configuration, say. Refused beyond `limit` bytes.
    pub async fn small_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let place = Place::from(repository);
        if descriptor.size > limit {
            return Err(RegistryError::TooLarge { place, limit });
        }
        self.retry
            .run(|| async {
                let stream = self.open_blob(repository, descriptor, 0).await?;
                let bytes = VerifiedReader::new(stream, descriptor).into_bytes(limit).await;
                bytes.map(Bytes::from).map_err(|error| read_error(error, &place))
            })
            .await
    }
}

async fn next(body: &mut Body, pace: &Pace) -> Result<Option<Bytes>, RegistryError> {
    let chunk = body.next().await?;
    if let Some(chunk) = &chunk {
        pace.take(chunk.len()).await;
    }
    Ok(chunk)
}

fn read_error(error: io::Error, place: &Place) -> RegistryError {
    match VerifyError::inside(&error) {
        Some(VerifyError::WrongContent { expected, received }) => RegistryError::WrongContent {
            place: place.clone(),
            expected: *expected,
            received: *received,
        },
        _ => error
            .downcast()
            .unwrap_or_else(|error| RegistryError::protocol(place, error.to_string())),
    }
}

/// A blob that is taken up again where it breaks off.
struct Followed {
    client: RegistryClient,
    sources: Sources,
    descriptor: Descriptor,
    /// How much has been handed on, in bytes.
    at: u64,
    body: Option<Body>,
    patience: Patience,
}

impl Followed {
    /// Opens the rest, from whoever gives it.
    async fn open(&mut self) -> Result<(), RegistryError> {
        while self.body.is_none() {
            let range = self.at..self.descriptor.size;
            let repository = self.sources.current().repository.clone();
            match self.client.open_range(&repository, &self.descriptor, range).await {
                Ok(body) => self.body = Some(body),
                Err(error) => self.recover(error).await?,
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            if self.at == self.descriptor.size && self.at > 0 {
                return Ok(None);
            }
            self.open().await?;
            let Some(body) = &mut self.body else { continue };
            match next(body, &self.client.pace).await {
                Ok(Some(chunk)) => {
                    self.at += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                // A server may send less at a time than it was asked for.
                Ok(None) if self.at < self.descriptor.size => self.body = None,
                Ok(None) => return Ok(None),
                Err(error) => self.recover(error).await?,
            }
        }
    }

    /// Waits until it may go on, or gives up.
    async fn recover(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        self.body = None;
        if self.sources.pass_over_mirror(&error) {
            return Ok(());
        }
        if !is_worth_another_try(&error) {
            return Err(error);
        }
        let Some(wait) = self.patience.after(&error, self.at) else { return Err(error) };
        tracing::info!(digest = %self.descriptor.digest, received = self.at, %error, "the blob is taken up again");
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
