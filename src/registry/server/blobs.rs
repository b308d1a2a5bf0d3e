//! Blobs: what layers and configurations are made of.

use std::io::SeekFrom;

use axum::{
    body::Body,
    http::{
        HeaderValue, Method, StatusCode,
        header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};
use tokio_util::io::ReaderStream;

use crate::{
    registry::{
        protocol::{OCTET_STREAM, RepositoryName, header},
        server::{
            Registry,
            error::ApiError,
            range::{self, Wanted},
            storage::StorageError,
        },
    },
    types::Digest,
};

/// How much of a blob is in memory for each download, in bytes.
const BUFFER: usize = 128 * 1024;

/// Sends a blob or a part of it.
pub(super) async fn get(
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
        _ => read(registry, digest, first, count).await?,
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

async fn read(
    registry: &Registry,
    digest: &Digest,
    first: u64,
    count: u64,
) -> Result<Body, ApiError> {
    let path = registry.folder.blob_path(digest);
    let failed = |source| StorageError::Io { action: "read", path: path.clone(), source };
    let mut file = File::open(&path).await.map_err(failed)?;
    file.set_max_buf_size(BUFFER);
    if first > 0 {
        file.seek(SeekFrom::Start(first)).await.map_err(failed)?;
    }
    Ok(Body::from_stream(ReaderStream::with_capacity(file.take(count), BUFFER)))
}
