//! Blobs: what layers and configurations are made of.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use axum::{
    body::Body,
    http::{
        HeaderValue, Method, StatusCode,
        header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use futures_util::stream::try_unfold;
use tokio::task::spawn_blocking;

use crate::{
    registry::{
        protocol::{OCTET_STREAM, RepositoryName, header},
        server::{
            Registry,
            error::ApiError,
            range::{self, Wanted},
        },
    },
    types::Digest,
};

/// How much of a blob is in memory for each download, in bytes.
const CHUNK: u64 = 32 * 1024;

/// Sends a blob or a part of it.
pub(super) fn get(
    registry: &Registry,
    name: &RepositoryName,
    digest: &Digest,
    request: &Parts,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::blob_unknown(digest);
    let length = registry.folder.blob_in(name, digest).ok_or_else(unknown)?;
    let (status, first, count) = match range::wanted(&request.headers, length) {
        Wanted::All => (StatusCode::OK, 0, length),
        Wanted::Part { first, last } => (StatusCode::PARTIAL_CONTENT, first, last - first + 1),
        Wanted::Nothing => {
            let value = HeaderValue::try_from(format!("bytes */{length}"));
            let refusal = ApiError::range_invalid(length);
            return Err(match value {
                Ok(value) => refusal.with(CONTENT_RANGE, value),
                Err(_) => refusal,
            });
        }
    };
    let headers = [
        (CONTENT_TYPE.as_str(), OCTET_STREAM.to_owned()),
        (CONTENT_LENGTH.as_str(), count.to_string()),
        (ACCEPT_RANGES.as_str(), "bytes".to_owned()),
        (header::CONTENT_DIGEST, digest.to_string()),
    ];
    let body = match request.method {
        Method::HEAD => Body::empty(),
        _ => read(registry, digest, first, count),
    };
    let mut response = (status, headers, body).into_response();
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) =
            HeaderValue::try_from(format!("bytes {first}-{}/{length}", first + count - 1))
    {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    Ok(response)
}

/// Takes a blob from a repository.
pub(super) async fn delete(
    registry: &Registry,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, ApiError> {
    if registry.folder.unlink_blob(name, digest).await? {
        Ok(StatusCode::ACCEPTED.into_response())
    } else {
        Err(ApiError::blob_unknown(digest))
    }
}

/// Streams `count` bytes of a blob. Each chunk is read when the connection asks for it, by a descriptor that is open only
/// meanwhile, so that a response that the client does not take holds one chunk and no file.
fn read(registry: &Registry, digest: &Digest, first: u64, count: u64) -> Body {
    let path: Arc<Path> = registry.folder.blob_path(digest).into();
    Body::from_stream(try_unfold((first, count), move |(first, left)| {
        let path = Arc::clone(&path);
        async move {
            if left == 0 {
                return Ok::<_, io::Error>(None);
            }
            let length = left.min(CHUNK);
            let chunk = spawn_blocking(move || read_chunk(&path, first, length)).await;
            Ok(Some((chunk.map_err(io::Error::other)??, (first + length, left - length))))
        }
    }))
}

fn read_chunk(path: &Path, first: u64, length: u64) -> io::Result<Bytes> {
    let mut chunk = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    File::open(path)?.read_exact_at(&mut chunk, first)?;
    Ok(chunk.into())
}
