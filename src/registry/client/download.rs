//! Blobs down: from any offset, bounded in length, never waiting for ever.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, stream};
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE},
};
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::StreamReader;

use super::{
    Pace, Place, RegistryClient, RegistryError, api_path,
    auth::{Scope, Scopes},
    blobs::content_length,
    http::Call,
    tls::connection_error,
};
use crate::{
    image::{Descriptor, VerifiedReader, VerifyError},
    registry::protocol::path,
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

impl RegistryClient {
    /// Opens a blob at the offset `from`, in bytes. A registry that knows no ranges sends the
    /// beginning too, which is then passed over.
    pub async fn open_blob(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        from: u64,
    ) -> Result<BlobStream, RegistryError> {
        let place = Place::from(repository);
        let size = descriptor.size;
        if from >= size && from > 0 {
            return if from == size {
                Ok(nothing())
            } else {
                Err(wrong_size(&place, descriptor, from))
            };
        }
        let endpoint = self.connections.endpoint(repository.registry())?;
        let path = path::blob(&api_path(repository), &descriptor.digest);
        let mut call = Call::new(place, &endpoint, Method::GET, &path)?
            .asking_for(
                format!("blob {}", descriptor.digest),
                Scopes::from([Scope::pull(repository)]),
            )
            .header(ACCEPT_ENCODING.as_str(), "identity");
        if from > 0 {
            call = call.header(RANGE.as_str(), &format!("bytes={from}-"));
        }
        let (response, skip) = self
            .retry
            .run(|| async {
                let response = self.send_following(&endpoint, &call).await?;
                match response.status() {
                    StatusCode::OK => {
                        match content_length(&response) {
                            Some(length) if length != size => {
                                return Err(wrong_size(&call.place, descriptor, length));
                            }
                            _ => (),
                        }
                        Ok((response, from))
                    }
                    StatusCode::PARTIAL_CONTENT if from > 0 => {
                        match content_range(&response) {
                            Some((first, total)) if first == from => {
                                if total.is_some_and(|total| total != size) {
                                    let total = total.unwrap_or_default();
                                    return Err(wrong_size(&call.place, descriptor, total));
                                }
                            }
                            _ => {
                                let why = "it sent another range than it was asked for";
                                return Err(RegistryError::protocol(&call.place, why));
                            }
                        }
                        Ok((response, 0))
                    }
                    StatusCode::RANGE_NOT_SATISFIABLE => {
                        Err(wrong_size(&call.place, descriptor, from))
                    }
                    _ => Err(self.refusal(&call.place, &call.what, response).await),
                }
            })
            .await?;
        let download = Download {
            response,
            skip,
            left: size - from,
            descriptor: descriptor.clone(),
            place: call.place,
            stall: self.stall,
            pace: self.pace.clone(),
        };
        let chunks = stream::try_unfold(download, async |mut download| {
            let chunk = download.next().await.map_err(io::Error::other)?;
            Ok(chunk.map(|chunk| (chunk, download)))
        });
        Ok(BlobStream { reader: StreamReader::new(Box::pin(chunks)) })
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

fn nothing() -> BlobStream {
    BlobStream { reader: StreamReader::new(Box::pin(stream::empty())) }
}

fn wrong_size(place: &Place, descriptor: &Descriptor, received: u64) -> RegistryError {
    RegistryError::WrongSize {
        place: place.clone(),
        digest: descriptor.digest,
        expected: descriptor.size,
        received,
    }
}

/// The first byte and the whole length of a partial answer: `bytes 5-9/10`.
fn content_range(response: &Response) -> Option<(u64, Option<u64>)> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, _) = range.split_once('-')?;
    Some((first.parse().ok()?, total.parse().ok()))
}

/// A body on its way down.
struct Download {
    response: Response,
    /// How many bytes to pass over.
    skip: u64,
    /// How many bytes are still to come after those.
    left: u64,
    descriptor: Descriptor,
    place: Place,
    stall: Duration,
    pace: Pace,
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        loop {
            let registry = self.place.registry();
            let timeout =
                || RegistryError::Timeout { registry: registry.clone(), waited: self.stall };
            let chunk = tokio::time::timeout(self.stall, self.response.chunk())
                .await
                .map_err(|_| timeout())?
                .map_err(|error| connection_error(error, registry))?;
            let size = self.descriptor.size;
            let Some(mut chunk) = chunk else {
                return match self.left + self.skip {
                    0 => Ok(None),
                    lacking => {
                        Err(wrong_size(&self.place, &self.descriptor, size.saturating_sub(lacking)))
                    }
                };
            };
            let skipped = self.skip.min(chunk.len() as u64);
            self.skip -= skipped;
            chunk.advance(usize::try_from(skipped).unwrap_or(chunk.len()));
            if chunk.is_empty() {
                continue;
            }
            let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
                return Err(wrong_size(&self.place, &self.descriptor, size.saturating_add(1)));
            };
            self.left = left;
            self.pace.take(chunk.len()).await;
            return Ok(Some(chunk));
        }
    }
}
