//! The body of an upload: counted while it is sent, with the reason if it ends early.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use reqwest::Response;
use tokio::time::Instant;
use tokio_util::io::ReaderStream;

use super::{COMMIT, Place, RegistryError, blobs::Upload, tls::connection_error};
use crate::image::{BlobReader, Descriptor, ImageError, VerifiedReader, VerifyError};

/// How much of a blob is in memory at a time, in bytes.
const CHUNK: usize = 128 * 1024;
/// How often an upload is looked at: for silence, and to report progress.
const LOOK: Duration = Duration::from_millis(250);

/// What is known of a body that is being sent: how much of it, and why it ended.
#[derive(Debug, Clone, Default)]
pub(super) struct WatchedBody {
    sent: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl WatchedBody {
    pub(super) fn stream(
        &self,
        reader: VerifiedReader<BlobReader>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let (sent, failure) = (Arc::clone(&self.sent), Arc::clone(&self.failure));
        ReaderStream::with_capacity(reader, CHUNK)
            .inspect_ok(move |chunk| {
                sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            })
            .map(move |chunk| {
                chunk.map_err(|error| {
                    let kind = error.kind();
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    kind.into()
                })
            })
    }

    /// Sends a request with this body, gives up when nothing moves, and says how far it is.
    pub(super) async fn send(
        &self,
        upload: &Upload<'_>,
        request: reqwest::RequestBuilder,
        stall: Duration,
    ) -> Result<Response, RegistryError> {
        let registry = &upload.endpoint.registry;
        let mut sending = std::pin::pin!(request.send());
        let mut look = tokio::time::interval(LOOK.min(stall));
        let (mut sent, mut moved) = (0, Instant::now());
        loop {
            tokio::select! {
                answer = &mut sending => {
                    (upload.watch)(self.sent());
                    return answer.map_err(|error| match self.failure() {
                        Some(failure) => source_error(failure, &upload.place(), upload.descriptor),
                        None => connection_error(error, registry),
                    });
                }
                _ = look.tick() => {
                    if self.sent() != sent {
                        (sent, moved) = (self.sent(), Instant::now());
                        (upload.watch)(sent);
                    }
                    let waited = if sent < upload.descriptor.size { stall } else { COMMIT };
                    if moved.elapsed() > waited {
                        return Err(RegistryError::Timeout { registry: registry.clone(), waited });
                    }
                }
            }
        }
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    fn failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Why the source of an upload failed.
fn source_error(error: io::Error, place: &Place, descriptor: &Descriptor) -> RegistryError {
    let place = place.clone();
    match VerifyError::inside(&error) {
        Some(VerifyError::WrongContent { expected, received }) => {
            RegistryError::WrongContent { place, expected: *expected, received: *received }
        }
        Some(VerifyError::Truncated { expected, size, received }) => RegistryError::WrongSize {
            place,
            digest: *expected,
            expected: *size,
            received: *received,
        },
        Some(VerifyError::TooLong { expected, size }) => RegistryError::WrongSize {
            place,
            digest: *expected,
            expected: *size,
            received: size.saturating_add(1),
        },
        // The source may be a registry itself.
        None => error.downcast::<RegistryError>().unwrap_or_else(|error| {
            RegistryError::Source(ImageError::Source {
                origin: format!("the source of {}", descriptor.digest),
                source: error.into(),
            })
        }),
    }
}
