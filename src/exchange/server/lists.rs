//! Long lists, written to the client while they are read from the database.
//!
//! A list is never in memory as a whole: a batch is read, filtered, encoded and sent, and the next is read
//! when the client has taken it. Between two batches no statement of the database is open, so that a client
//! that reads slowly does not keep the write-ahead log from being emptied.

use std::io;

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde::Serialize;

use super::{
    ApiError, AppState,
    budget::{Budget, Reservation},
    caller::Caller,
};
use crate::exchange::store::{RowKey, Usage};

/// The longest list, in bytes of its documents. One that is longer is refused before its first byte: a
/// client that cannot page would get half of it.
const LONGEST_LIST: i64 = 64 << 20;
/// A list of nodes may be longer: it is what 150,000 nodes need.
const LONGEST_NODE_LIST: i64 = 128 << 20;
/// What an entry has beside its document: name, owner, times.
const ENTRY_OVERHEAD: i64 = 256;
/// A list that is no longer is answered at once, in bytes.
const SHORT: i64 = 256 << 10;
/// What a list that is being sent holds in memory, in bytes: a batch as rows, decoded and encoded. A batch
/// is one document of 1 MiB at most, or several that are shorter.
pub(super) const STREAM: usize = 3 << 20;
/// The parts in which a whole answer is handed to the connection, in bytes.
const PART: usize = 64 << 10;

/// What all answers that are being sent may hold in memory, in bytes.
const ALL_ANSWERS: usize = 48 << 20;
/// The part of it that one caller may have.
const ANSWERS_OF_CALLER: usize = 12 << 20;

/// The budget of large answers.
pub(super) fn answers() -> Budget {
    Budget::new(ALL_ANSWERS, ANSWERS_OF_CALLER)
}

/// A list that is read a batch at a time.
pub(super) trait Batches: Send + 'static {
    /// The next batch, encoded by [`members`]: empty if nothing in it fits the filters, `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, ApiError>> + Send;
}

/// How far a list has been read.
#[derive(Debug)]
pub(super) enum Position {
    Start,
    After(RowKey),
    End,
}

impl From<Option<RowKey>> for Position {
    fn from(next: Option<RowKey>) -> Self {
        next.map_or(Self::End, Self::After)
    }
}

/// A list as Horizon has it: `{"name": {…}, "lastIndex": 0}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    /// The field with the entries.
    pub(super) name: &'static str,
    /// The status of an empty list: clients of some lists take no 404.
    pub(super) empty: StatusCode,
    /// The longest that is answered, in bytes.
    longest: i64,
}

impl List {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, empty: StatusCode::NOT_FOUND, longest: LONGEST_LIST }
    }

    pub(super) fn of_nodes() -> Self {
        Self { longest: LONGEST_NODE_LIST, ..Self::new("nodes") }
    }

    pub(super) fn empty_is_ok(self) -> Self {
        Self { empty: StatusCode::OK, ..self }
    }

    /// Whether a list of this size is too long for one answer.
    pub(super) fn is_too_long(self, size: Usage) -> bool {
        weight(size) > self.longest
    }

    /// Answers with the list of `batches`, whose documents are no larger than `size`.
    ///
    /// # Errors
    /// If the list is too long, and whatever happens before the first byte; later the connection breaks.
    pub(super) async fn answer(
        self,
        state: &AppState,
        caller: &Caller,
        size: Usage,
        mut batches: impl Batches,
    ) -> Result<Response, ApiError> {
        let weight = weight(size);
        if self.is_too_long(size) {
            let msg = format!(
                "Access denied: the list has {weight} bytes, over the limit of {} for one answer; \
                 narrow it with filters, or read it in pages under edgepost/",
                self.longest
            );
            return Err(ApiError::AccessDenied(msg));
        }
        let reservation = match weight {
            ..=SHORT => None,
            _ => Some(state.answers.reserve(&caller.name(), STREAM).await?),
        };
        let Some(first) = next_members(&mut batches).await? else {
            let body = format!("{{\"{}\":{{}},\"lastIndex\":0}}", self.name);
            return Ok((self.empty, json_type(), body).into_response());
        };
        let mut start = format!("{{\"{}\":{{", self.name).into_bytes();
        start.extend(first);
        let body = match reservation {
            None => Body::from(whole(start, batches).await?),
            Some(reservation) => streamed(start, batches, reservation),
        };
        Ok((json_type(), body).into_response())
    }
}

/// The end of every list.
const END: &[u8] = b"},\"lastIndex\":0}";

fn weight(size: Usage) -> i64 {
    size.bytes.saturating_add(size.count.saturating_mul(ENTRY_OVERHEAD))
}

fn json_type() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]
}

/// The next batch with something in it.
async fn next_members(batches: &mut impl Batches) -> Result<Option<Vec<u8>>, ApiError> {
    loop {
        match batches.next().await? {
            Some(members) if members.is_empty() => (),
            other => return Ok(other),
        }
    }
}

async fn whole(start: Vec<u8>, mut batches: impl Batches) -> Result<Vec<u8>, ApiError> {
    let mut body = start;
    while let Some(members) = next_members(&mut batches).await? {
        body.push(b',');
        body.extend(members);
    }
    body.extend(END);
    Ok(body)
}

/// Which part of a list is sent next.
enum Next {
    Start(Vec<u8>),
    Batch,
    Nothing,
}

fn streamed(start: Vec<u8>, batches: impl Batches, reservation: Reservation) -> Body {
    let state = (Next::Start(start), batches, reservation);
    Body::from_stream(stream::try_unfold(state, async |(next, mut batches, reservation)| {
        let (part, next) = match next {
            Next::Start(start) => (start, Next::Batch),
            Next::Batch => match next_members(&mut batches).await {
                Ok(Some(mut members)) => {
                    members.insert(0, b',');
                    (members, Next::Batch)
                }
                Ok(None) => (END.to_vec(), Next::Nothing),
                Err(error) => {
                    // The client sees that the connection breaks: no half of a list looks whole.
                    tracing::error!(event = "list.aborted", %error, "a list was not sent to its end");
                    return Err(io::Error::other(error));
                }
            },
            Next::Nothing => return Ok(None),
        };
        Ok(Some((Bytes::from(part), (next, batches, reservation))))
    }))
}

impl AppState {
    /// Reserves memory for an answer that is made as a whole, of `usage`: its rows, the values that they
    /// are decoded to, and their encoding. A short answer needs none.
    pub(super) async fn reserve_whole(
        &self,
        caller: &Caller,
        usage: Usage,
    ) -> Result<Option<Reservation>, ApiError> {
        let weight = usize::try_from(weight(usage)).unwrap_or(usize::MAX);
        if weight <= PART {
            return Ok(None);
        }
        self.answers.reserve(&caller.name(), weight.saturating_mul(3)).await.map(Some)
    }
}

/// Members of a JSON object, without its braces.
pub(super) fn members<V: Serialize>(
    entries: impl IntoIterator<Item = (String, V)>,
) -> Result<Vec<u8>, ApiError> {
    let mut members = Vec::new();
    for (name, value) in entries {
        if !members.is_empty() {
            members.push(b',');
        }
        serde_json::to_writer(&mut members, &name).map_err(ApiError::internal)?;
        members.push(b':');
        serde_json::to_writer(&mut members, &value).map_err(ApiError::internal)?;
    }
    Ok(members)
}

/// Answers with JSON that was made as a whole. It keeps its reservation until the client has taken it.
pub(super) fn reserved_json(
    status: StatusCode,
    content: &impl Serialize,
    reservation: Option<Reservation>,
) -> Result<Response, ApiError> {
    let bytes = serde_json::to_vec(content).map_err(ApiError::internal)?;
    Ok((status, reserved(bytes, reservation)).into_response())
}

/// Answers with bytes of JSON. What is longer than the connection takes at once keeps its reservation.
pub(super) fn reserved(bytes: Vec<u8>, reservation: Option<Reservation>) -> Response {
    let length = bytes.len();
    let Some(mut reservation) = reservation.filter(|_| length > PART) else {
        return (json_type(), bytes).into_response();
    };
    reservation.shrink_to(length);
    let state = (Bytes::from(bytes), reservation);
    let parts = stream::unfold(state, async |(mut rest, reservation)| {
        if rest.is_empty() {
            return None;
        }
        let part = rest.split_to(rest.len().min(PART));
        Some((Ok::<_, io::Error>(part), (rest, reservation)))
    });
    let mut response = (json_type(), Body::from_stream(parts)).into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of two batches, of which the second cannot be read.
    struct Broken(u8);

    impl Batches for Broken {
        async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
            self.0 += 1;
            match self.0 {
                1 => members([("a".to_owned(), 1)]).map(Some),
                _ => Err(ApiError::DiskFull),
            }
        }
    }

    #[test]
    fn a_list_that_is_too_long_is_refused_by_its_size() {
        let list = List::new("services");
        assert!(!list.is_too_long(Usage { count: 0, bytes: LONGEST_LIST }));
        assert!(list.is_too_long(Usage { count: 0, bytes: LONGEST_LIST + 1 }));
        assert!(list.is_too_long(Usage { count: 1, bytes: LONGEST_LIST }));
        assert!(!List::of_nodes().is_too_long(Usage { count: 1, bytes: LONGEST_LIST }));
    }

    #[tokio::test]
    async fn a_list_that_breaks_off_ends_with_an_error() {
        let reservation = answers().reserve("caller", STREAM).await.unwrap();
        let body = streamed(b"{\"x\":{".to_vec(), Broken(0), reservation);
        assert!(axum::body::to_bytes(body, usize::MAX).await.is_err());
        assert!(whole(Vec::new(), Broken(0)).await.is_err());
    }
}
