//! The memory of large request bodies, from their first byte until their requests are answered.
//!
//! JSON takes up to ten times its length in memory once it is read, and stays there while its request waits
//! for the exchange's only writer.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    body::HttpBody as _,
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::Response,
};

use super::{
    ApiError, AppState,
    budget::{Budget, Reservation},
};

/// What all large bodies may have together, in bytes of JSON.
const ALL_BODIES: usize = 8 << 20;
/// The part of it that one caller may have: the longest body, which is a publication.
const BODIES_OF_CALLER: usize = 2 << 20;
/// A body that is no longer needs no reservation, in bytes.
const SHORT: u64 = 8 << 10;

/// The budget of large bodies.
pub(super) fn bodies() -> Budget {
    Budget::new(ALL_BODIES, BODIES_OF_CALLER)
}

/// The memory of one request's body.
#[derive(Debug, Clone)]
pub(super) struct BodyMemory {
    budget: Arc<Budget>,
    held: Arc<Mutex<Option<Reservation>>>,
}

/// What the body of a request needs.
#[derive(Debug)]
pub(super) struct BodyNeed {
    memory: BodyMemory,
    caller: String,
    bytes: usize,
}

impl BodyNeed {
    /// What the body of `request` needs, if it is long. The caller has been authenticated, so that its
    /// credentials stand for it.
    pub(super) fn of(request: &Request) -> Option<Self> {
        let memory = request.extensions().get::<BodyMemory>()?.clone();
        let length = request.body().size_hint().exact();
        if length.is_some_and(|it| it <= SHORT) {
            return None;
        }
        let bytes = length.and_then(|it| usize::try_from(it).ok()).unwrap_or(BODIES_OF_CALLER);
        let caller = request.headers().get(header::AUTHORIZATION);
        let caller = caller.and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        Some(Self { memory, caller, bytes })
    }

    /// Reserves it until the request is answered.
    ///
    /// # Errors
    /// [`ApiError::Busy`] while other bodies hold the memory.
    pub(super) async fn reserve(self) -> Result<(), ApiError> {
        let Self { memory, caller, bytes } = self;
        let reservation = memory.budget.reserve(&caller, bytes).await?;
        *memory.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(reservation);
        Ok(())
    }
}

/// Keeps what a request reserves until it is answered.
pub(super) async fn keep(
    State(state): State<AppState>,
    mut request: Request,
    next: Next,
) -> Response {
    let memory = BodyMemory { budget: Arc::clone(&state.bodies), held: Arc::default() };
    request.extensions_mut().insert(memory.clone());
    let response = next.run(request).await;
    drop(memory);
    response
}
