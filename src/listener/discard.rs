//! What becomes of a body that was refused before it was read.

use axum::body::Body;
use futures_util::StreamExt as _;

/// Reads up to `most` bytes of a refused body and drops them, in the background: a client that is still sending would
/// not see the refusal if the connection were closed at once. The least rate of the listener bounds the time.
pub fn discard(body: Body, most: usize) {
    tokio::spawn(async move {
        let (mut body, mut discarded) = (body.into_data_stream(), 0);
        while discarded < most
            && let Some(Ok(bytes)) = body.next().await
        {
            discarded += bytes.len();
        }
    });
}
