//! Uploads: in one request, in one stream, or in chunks that go on after any break.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, LOCATION, RANGE},
    },
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{
    registry::{
        protocol::{RepositoryName, header, path, upload_range},
        server::{
            Registry,
            error::ApiError,
            query::Query,
            range::{self, Chunk},
            storage::{Upload, UploadId},
        },
    },
    types::Digest,
};

/// An upload of which nothing comes for so long is interrupted, though its connection moves. It is longer than the
/// listener's bounds, by which a connection that is too slow ends: an upload may wait for others on the same connection.
const STALLED: Duration = Duration::from_mins(5);
/// An upload that another request continues takes what has arrived already: nothing that comes after this pause, and
/// nothing after this time.
const DRAIN_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_DRAIN: Duration = Duration::from_secs(1);
/// What came is written after so long at the latest, so that a crash costs a slow link little.
const WRITE_EVERY: Duration = Duration::from_secs(2);

/// Begins an upload, takes a whole blob at once, or finds it in another repository.
pub(super) async fn begin(
    registry: &Registry,
    name: RepositoryName,
    query: &Query,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    if let Some(digest) = query.digest("mount")? {
        let from = query.repository("from")?;
        if mount(registry, &name, &digest, from.as_ref()).await? {
            return Ok(created(&name, &digest));
        }
    }
    let whole = query.digest("digest")?;
    let id = registry.folder.begin_upload(&name).await?;
    let upload = registry.folder.upload(&name, id).await?;
    match whole {
        None => Ok(accepted(StatusCode::ACCEPTED, &name, &upload)),
        Some(digest) => {
            let length = content_length(headers);
            in_full(async move {
                receive(upload, body, length).await?.finish(&digest).await?;
                Ok(created(&name, &digest))
            })
            .await
        }
    }
}

/// Says how far an upload is: the way back after a break.
pub(super) async fn status(
    registry: &Registry,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response, ApiError> {
    let upload = registry.folder.upload(name, id).await?;
    Ok(accepted(StatusCode::NO_CONTENT, name, &upload))
}

/// Takes the next chunk, or a stream of unknown length.
pub(super) async fn chunk(
    registry: &Registry,
    name: RepositoryName,
    id: UploadId,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (upload, length) = open(registry, &name, id, headers).await?;
    in_full(async move {
        let upload = receive(upload, body, length).await?;
        Ok(accepted(StatusCode::ACCEPTED, &name, &upload))
    })
    .await
}

/// Takes the last chunk, if there is one, and makes the upload a blob.
pub(super) async fn finish(
    registry: &Registry,
    name: RepositoryName,
    id: UploadId,
    query: &Query,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let digest = query.digest("digest")?;
    let digest = digest.ok_or_else(|| ApiError::digest_invalid("the digest is missing"))?;
    let (upload, length) = open(registry, &name, id, headers).await?;
    in_full(async move {
        receive(upload, body, length).await?.finish(&digest).await?;
        Ok(created(&name, &digest))
    })
    .await
}

/// Ends an upload without a blob.
pub(super) async fn cancel(
    registry: &Registry,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response, ApiError> {
    registry.folder.upload(name, id).await?.cancel().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Gives a repository a blob that is here already. Without `from` any repository's will do: all
/// accounts may pull from all repositories.
async fn mount(
    registry: &Registry,
    name: &RepositoryName,
    digest: &Digest,
    from: Option<&RepositoryName>,
) -> Result<bool, ApiError> {
    let found = match from {
        Some(from) => registry.folder.blob_in(from, digest),
        None => registry.folder.has_blob(digest),
    };
    if found.is_some() {
        registry.folder.link_blobs(name, vec![*digest]).await?;
    }
    Ok(found.is_some())
}

/// Opens an upload and checks that the chunk belongs at its end; gives the chunk's length, too.
async fn open(
    registry: &Registry,
    name: &RepositoryName,
    id: UploadId,
    headers: &HeaderMap,
) -> Result<(Upload, Option<u64>), ApiError> {
    let length = content_length(headers);
    let chunk = range::chunk(headers)
        .map_err(|()| ApiError::upload_interrupted("the Content-Range cannot be read"))?;
    let upload = registry.folder.upload(name, id).await?;
    match chunk {
        Some(Chunk { first, .. }) if first != upload.length() => {
            Err(ApiError::upload_out_of_order(upload.length()).with_all(progress(name, &upload)))
        }
        Some(chunk) if length.is_some_and(|length| length != chunk.length) => {
            Err(ApiError::size_invalid("the Content-Range does not fit the Content-Length"))
        }
        chunk => Ok((upload, chunk.map(|chunk| chunk.length).or(length))),
    }
}

/// Does `work` to its end even if the client goes away meanwhile, so that all that came is kept.
async fn in_full(
    work: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
) -> Result<Response, ApiError> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(ApiError::internal()))
}

/// Takes `body`, of `length` bytes if that is known, to the end of the upload. Whatever ends it
/// early, what came before is kept.
async fn receive(mut upload: Upload, body: Body, length: Option<u64>) -> Result<Upload, ApiError> {
    let taken_over = upload.taken_over();
    let mut body = body.into_data_stream();
    let (mut received, mut written) = (0, Instant::now());
    let mut drain_until = None;
    let outcome = loop {
        let bytes = match next_bytes(&mut body, &taken_over, &mut drain_until).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) if length.is_some_and(|length| length != received) => {
                break Err(ApiError::size_invalid("the upload has another length than announced"));
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        received += bytes.len() as u64;
        if length.is_some_and(|length| received > length) {
            break Err(ApiError::size_invalid("the upload is longer than announced"));
        }
        upload.append(&bytes).await?;
        if written.elapsed() >= WRITE_EVERY {
            upload.flush().await?;
            written = Instant::now();
        }
    };
    upload.flush().await?;
    outcome.map(|()| upload)
}

/// The next bytes of an upload. Once another request continues it, those that have arrived already are taken, so that
/// they need not come again: a link that broke leaves them in the system's buffers.
async fn next_bytes(
    body: &mut BodyDataStream,
    taken_over: &CancellationToken,
    drain_until: &mut Option<Instant>,
) -> Result<Option<Bytes>, ApiError> {
    if drain_until.is_none() {
        tokio::select! {
            biased;
            () = taken_over.cancelled() => *drain_until = Some(Instant::now() + LONGEST_DRAIN),
            next = timeout(STALLED, body.next()) => {
                let next = next.map_err(|_| ApiError::upload_too_slow())?;
                let cut_off = |_| ApiError::upload_interrupted("the upload was cut off");
                return next.transpose().map_err(cut_off);
            }
        }
    }
    let until = drain_until.unwrap_or_else(Instant::now).min(Instant::now() + DRAIN_PAUSE);
    match timeout_at(until, body.next()).await {
        Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
        _ => Err(ApiError::upload_interrupted("another request went on with the upload")),
    }
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Where to go on with an upload, and from which byte.
fn progress(name: &RepositoryName, upload: &Upload) -> HeaderMap {
    let location = format!("{}{}", path::uploads(name.as_str()), upload.id());
    let values = [
        (LOCATION, location),
        (RANGE, upload_range(upload.length())),
        (HeaderName::from_static(header::UPLOAD_UUID), upload.id().to_string()),
    ];
    let readable = values
        .into_iter()
        .filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?)));
    readable.collect()
}

fn accepted(status: StatusCode, name: &RepositoryName, upload: &Upload) -> Response {
    (status, progress(name, upload)).into_response()
}

fn created(name: &RepositoryName, digest: &Digest) -> Response {
    let headers = [
        (LOCATION.as_str(), path::blob(name.as_str(), digest)),
        (header::CONTENT_DIGEST, digest.to_string()),
    ];
    (StatusCode::CREATED, headers).into_response()
}
