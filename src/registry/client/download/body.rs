//! The body of an answer to a request for a blob: bounded in length, never waiting for ever.

use std::ops::Range;

use bytes::{Buf as _, Bytes};
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, RANGE},
};
use tokio::time::Instant;

use super::{
    Call, Place, RegistryClient, RegistryError, Watch, api_path,
    auth::{Scope, Scopes},
    connection_error, content_length,
};
use crate::{image::Descriptor, registry::protocol::path, types::Repository};

/// The least that is taken as an answer to a request for a range, in bytes, unless less was asked for.
/// At the longest silence for each it is what a link must bring that is not stalled.
const LEAST: u64 = 64 << 10;

/// Some bytes of a blob on their way down: not verified, but never more than named.
#[derive(Debug)]
pub(in crate::registry::client) struct Body {
    response: Response,
    descriptor: Descriptor,
    place: Place,
    watch: Watch,
    /// How many bytes to pass over.
    skip: u64,
    /// How many bytes are still to come after those.
    left: u64,
    /// Whether more than those may come, which is left alone then.
    goes_on: bool,
    /// Whether the server sent what it was asked for, not the whole.
    pub(super) has_ranges: bool,
}

impl RegistryClient {
    /// Asks `repository` for a range of a blob, once. A registry that knows no ranges sends the
    /// beginning too, which is then passed over.
    pub(in crate::registry::client) async fn open_range(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        range: Range<u64>,
    ) -> Result<Body, RegistryError> {
        let size = descriptor.size;
        let endpoint = self.connections.endpoint(repository.registry())?;
        let path = path::blob(&api_path(repository), &descriptor.digest);
        let mut call = Call::new(Place::from(repository), &endpoint, Method::GET, &path)?
            .asking_for(
                format!("blob {}", descriptor.digest),
                Scopes::from([Scope::pull(repository)]),
            )
            .header(ACCEPT_ENCODING.as_str(), "identity");
        if range.end < size {
            let last = range.end.saturating_sub(1);
            call = call.header(RANGE.as_str(), &format!("bytes={}-{last}", range.start));
        } else if range.start > 0 {
            call = call.header(RANGE.as_str(), &format!("bytes={}-", range.start));
        }
        let response = self.send_following(&endpoint, &call).await?;
        let wrong_size = |received| wrong_size(&call.place, descriptor, received);
        let (skip, until, has_ranges) = match response.status() {
            StatusCode::OK => {
                if let Some(length) = content_length(&response).filter(|it| *it != size) {
                    return Err(wrong_size(length));
                }
                (range.start, range.end, false)
            }
            StatusCode::PARTIAL_CONTENT if call.headers.contains_key(RANGE) => {
                let Some(sent) = Sent::of(&response).filter(|it| it.first == range.start) else {
                    let why = "it sent another range than it was asked for";
                    return Err(RegistryError::protocol(&call.place, why));
                };
                if let Some(total) = sent.total.filter(|it| *it != size) {
                    return Err(wrong_size(total));
                }
                // It may send less at a time.
                let until = range.end.min(sent.last.saturating_add(1));
                if until.saturating_sub(range.start) < LEAST && until < range.end {
                    let why = "it sends less of a blob at a time than would ever end";
                    return Err(RegistryError::protocol(&call.place, why));
                }
                (0, until, true)
            }
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(wrong_size(range.start)),
            _ => return Err(self.refusal(&call.place, &call.what, response).await),
        };
        Ok(Body {
            response,
            descriptor: descriptor.clone(),
            place: call.place,
            watch: Watch::new(self.stall),
            skip,
            left: until.saturating_sub(range.start),
            goes_on: !has_ranges && until < size,
            has_ranges,
        })
    }
}

impl Body {
    /// Takes in everything up to the end of the blob, where it comes anyway.
    pub(super) fn read_to_the_end(&mut self, from: u64) {
        if self.goes_on {
            self.left = self.descriptor.size.saturating_sub(from);
            self.goes_on = false;
        }
    }

    /// The next bytes; `None` at the end. Whoever stops waiting loses nothing.
    pub(in crate::registry::client) async fn next(
        &mut self,
    ) -> Result<Option<Bytes>, RegistryError> {
        loop {
            if self.goes_on && self.left == 0 {
                return Ok(None);
            }
            let registry = self.place.registry();
            let deadline = self.watch.deadline(Instant::now());
            let chunk = tokio::time::timeout_at(deadline, self.response.chunk())
                .await
                .map_err(|_| self.watch.silent(registry))?
                .map_err(|error| connection_error(error, registry))?;
            let size = self.descriptor.size;
            let Some(mut chunk) = chunk else {
                return match self.left + self.skip {
                    0 => Ok(None),
                    lacking => {
                        let received = size.saturating_sub(lacking);
                        Err(wrong_size(&self.place, &self.descriptor, received))
                    }
                };
            };
            self.watch.came(chunk.len(), Instant::now(), registry)?;
            let skipped = self.skip.min(chunk.len() as u64);
            self.skip -= skipped;
            chunk.advance(usize::try_from(skipped).unwrap_or(chunk.len()));
            if chunk.is_empty() {
                continue;
            }
            match self.left.checked_sub(chunk.len() as u64) {
                Some(left) => self.left = left,
                None if self.goes_on => {
                    chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                    self.left = 0;
                }
                None => {
                    let received = size.saturating_add(1);
                    return Err(wrong_size(&self.place, &self.descriptor, received));
                }
            }
            return Ok(Some(chunk));
        }
    }
}

pub(super) fn wrong_size(place: &Place, descriptor: &Descriptor, received: u64) -> RegistryError {
    RegistryError::WrongSize {
        place: place.clone(),
        digest: descriptor.digest,
        expected: descriptor.size,
        received,
    }
}

/// What a partial answer has: `bytes 5-9/10`.
struct Sent {
    first: u64,
    last: u64,
    total: Option<u64>,
}

impl Sent {
    fn of(response: &Response) -> Option<Self> {
        let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some(Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            total: total.parse().ok(),
        })
    }
}
