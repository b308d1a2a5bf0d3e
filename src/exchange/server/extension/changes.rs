//! The change feed that waits, so that a publish reaches nodes at once.

use std::time::Duration;

use axum::{extract::State, response::Response};
use tokio::time::{Instant, timeout_at};

use crate::{
    exchange::{
        api::{ChangesWait, LONGEST_WAIT, MOST_CHANGES},
        server::{
            ApiError, AppState,
            caller::Caller,
            changes::Changes,
            extract::{Body, Path},
        },
        store::{Audience, Since},
    },
    types::OrgId,
};

/// Tells what changed since, as soon as something has, or at the end of the wait.
pub(super) async fn wait(
    State(state): State<AppState>,
    caller: Caller,
    Path(org): Path<OrgId>,
    Body(request): Body<ChangesWait>,
) -> Result<Response, ApiError> {
    caller.may_read_changes(&org)?;
    state.note_heartbeat(&caller);
    let audience = match caller.node() {
        Some(node) => Audience::Agent(node.clone()),
        None => Audience::User,
    };
    let since = Since::Change(request.change_id);
    let deadline = Instant::now() + Duration::from_secs(request.wait).min(LONGEST_WAIT);
    let (mut news, mut closing) = (state.store.watch(), state.extension.closing.subscribe());
    loop {
        // Before the look, so that what comes during it is not slept through.
        news.mark_unchanged();
        let read = Changes::read(&state, &caller, &org, &audience, since, MOST_CHANGES).await?;
        let is_over = !read.response.changes.is_empty()
            || tokio::select! {
                waited = timeout_at(deadline, news.changed()) => waited.is_err(),
                _ = closing.wait_for(|it| *it) => true,
            };
        if is_over {
            return read.answer(&state);
        }
    }
}
