//! What becomes of a body that was refused before it was read.

use axum::body::Body;
use futures_util::StreamExt as _;

/// The most that is read of a refused body, in bytes: longer than any body that a server takes as a whole.
const MOST: usize = 4 << 20;

/// Reads up to 4 MiB of a refused body and drops them, in the background: a client that is still sending would not see
/// the refusal if the connection were closed at once. The least rate of the listener bounds the time.
pub fn discard(body: Body) {
    tokio::spawn(async move {
        let (mut body, mut discarded) = (body.into_data_stream(), 0);
        while discarded < MOST
            && let Some(Ok(bytes)) = body.next().await
        {
            discarded += bytes.len();
        }
    });
}
