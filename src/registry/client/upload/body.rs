//! The body of an upload request: taken from a feed at the pace that is allowed, counted, and given
//! up when nothing moves.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::stream;
use reqwest::{Body, RequestBuilder, Response};
use tokio::time::Instant;

use super::{Upload, feed::Feed};
use crate::{
    image::{Descriptor, ImageError, VerifyError},
    registry::client::{COMMIT, Pace, Place, RegistryError, tls::connection_error},
};

/// How often an upload is looked at: for silence, and to say how far it is.
const LOOK: Duration = Duration::from_millis(20);

/// What is known of a body that is being sent: how far it is, and why it ended.
#[derive(Debug, Clone)]
pub(super) struct Sending {
    feed: Arc<tokio::sync::Mutex<Feed>>,
    /// The offset of the next byte.
    position: Arc<AtomicU64>,
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Sending {
    pub(super) fn new(feed: Feed) -> Self {
        Self {
            position: Arc::new(AtomicU64::new(feed.position())),
            feed: Arc::new(tokio::sync::Mutex::new(feed)),
            failure: Arc::default(),
        }
    }

    /// The offset of the first byte that has not been taken from the feed.
    pub(super) fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// A body of all that comes before the offset `end`.
    pub(super) fn until(&self, end: u64, pace: Pace) -> Body {
        let (sending, feed) = (self.clone(), Arc::clone(&self.feed));
        Body::wrap_stream(stream::try_unfold(sending, move |sending| {
            let (pace, feed) = (pace.clone(), Arc::clone(&feed));
            async move {
                let mut feed = feed.lock().await;
                let left = end.saturating_sub(feed.position());
                if left == 0 {
                    return Ok(None);
                }
                let slice = usize::try_from(left).unwrap_or(usize::MAX).min(pace.slice());
                match feed.next(slice).await {
                    Some(Ok(bytes)) => {
                        pace.take(bytes.len()).await;
                        sending.position.store(feed.position(), Ordering::Relaxed);
                        drop(feed);
                        Ok(Some((bytes, sending)))
                    }
                    Some(Err(error)) => Err(sending.failed(error)),
                    None => Err(sending.failed(io::ErrorKind::UnexpectedEof.into())),
                }
            }
        }))
    }

    /// Sends a request whose body ends at the offset `end`, gives up when nothing moves, and says
    /// how far it is.
    pub(super) async fn send(
        &self,
        upload: &Upload<'_>,
        request: RequestBuilder,
        end: u64,
        stall: Duration,
    ) -> Result<Response, RegistryError> {
        let registry = &upload.endpoint.registry;
        let mut sending = std::pin::pin!(request.send());
        let mut look = tokio::time::interval(LOOK.min(stall));
        let (mut sent, mut moved) = (self.position(), Instant::now());
        loop {
            tokio::select! {
                answer = &mut sending => {
                    upload.watch.moved(self.position());
                    return answer.map_err(|error| match self.failure() {
                        Some(failure) => source_error(failure, &upload.place(), upload.descriptor),
                        None => connection_error(error, registry),
                    });
                }
                _ = look.tick() => {
                    if self.position() != sent {
                        (sent, moved) = (self.position(), Instant::now());
                        upload.watch.moved(sent);
                    }
                    let waited = if sent < end { stall } else { COMMIT };
                    if moved.elapsed() > waited {
                        return Err(RegistryError::Timeout { registry: registry.clone(), waited });
                    }
                }
            }
        }
    }

    /// Keeps why the source failed; what the connection is told says nothing.
    fn failed(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        kind.into()
    }

    fn failure(&self) -> Option<io::Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why the source has no content to send, where nothing needs to be sent.
    pub(super) async fn check_end(&self, upload: &Upload<'_>) -> Result<(), RegistryError> {
        match self.feed.lock().await.next(1).await {
            Some(Err(error)) => Err(source_error(error, &upload.place(), upload.descriptor)),
            _ => Ok(()),
        }
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
