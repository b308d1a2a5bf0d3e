//! Manifests: what a tag or digest names.

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION},
    },
    response::{IntoResponse as _, Response},
};
use futures_util::StreamExt as _;
use serde::Deserialize;

use crate::{
    image::{RawManifest, manifest::MAX_MANIFEST},
    listener::discard,
    registry::{
        protocol::{Reference, RepositoryName, header, path},
        server::{Registry, error::ApiError, query::Query, uploads::content_length},
    },
};

/// Sends a manifest as it came.
pub(super) async fn get(
    registry: &Registry,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Response, ApiError> {
    let manifest = registry.folder.manifest(name, reference).await?;
    let manifest = manifest.ok_or_else(|| ApiError::manifest_unknown(reference))?;
    let headers = [
        (CONTENT_TYPE.as_str(), manifest.media_type),
        (CONTENT_LENGTH.as_str(), manifest.bytes.len().to_string()),
        (header::CONTENT_DIGEST, manifest.digest.to_string()),
    ];
    Ok((headers, manifest.bytes).into_response())
}

/// Takes a manifest all of whose blobs are in the repository.
pub(super) async fn put(
    registry: &Registry,
    name: &RepositoryName,
    reference: Reference,
    query: &Query,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let bytes = collect(headers, body).await?;
    let manifest = RawManifest::new(media_type(headers, &bytes)?, bytes);
    let mut tags = query.tags("tag")?;
    match reference {
        Reference::Digest(digest) if digest != manifest.digest => {
            let message = format!("expected {digest}, received {}", manifest.digest);
            return Err(ApiError::digest_invalid(message));
        }
        Reference::Digest(_) => (),
        Reference::Tag(_) if !tags.is_empty() => {
            return Err(ApiError::query_invalid("more tags go with a digest only"));
        }
        Reference::Tag(tag) => tags.push(tag),
    }
    let subject = registry.folder.push_manifest(name, &manifest, tags).await?;
    tracing::info!(event = "manifest.pushed", repository = %name, digest = %manifest.digest, "a manifest was pushed");

    let mut response = StatusCode::CREATED.into_response();
    let mut say = |name, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().append(name, value);
        }
    };
    say(LOCATION, path::manifest(name.as_str(), &manifest.digest.into()));
    say(HeaderName::from_static(header::CONTENT_DIGEST), manifest.digest.to_string());
    if let Some(subject) = subject {
        say(HeaderName::from_static(header::OCI_SUBJECT), subject.to_string());
    }
    for tag in query.tags("tag")? {
        say(HeaderName::from_static(header::OCI_TAG), tag.to_string());
    }
    Ok(response)
}

/// Takes a manifest or a tag from a repository.
pub(super) async fn delete(
    registry: &Registry,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Response, ApiError> {
    if registry.folder.delete_manifest(name, reference).await? {
        Ok(StatusCode::ACCEPTED.into_response())
    } else {
        Err(ApiError::manifest_unknown(reference))
    }
}

/// Reads a body that must not be longer than a manifest may be. One that is announced to be longer is refused before it
/// is read.
async fn collect(headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    let limit = usize::try_from(MAX_MANIFEST).unwrap_or(usize::MAX);
    let too_large = |rest| {
        discard(rest);
        ApiError::manifest_too_large(MAX_MANIFEST)
    };
    if content_length(headers).is_some_and(|length| length > MAX_MANIFEST) {
        return Err(too_large(body));
    }
    let mut body = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| ApiError::manifest_invalid("the manifest was cut off"))?;
        if bytes.len() + chunk.len() > limit {
            return Err(too_large(Body::new(body)));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

/// What a manifest is: by its header, or by its own word if there is no header.
fn media_type(headers: &HeaderMap, bytes: &[u8]) -> Result<String, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Inside {
        media_type: Option<String>,
    }

    if let Some(value) = headers.get(CONTENT_TYPE) {
        let text = value.to_str().unwrap_or_default();
        return Ok(text.split(';').next().unwrap_or_default().trim().to_owned());
    }
    serde_json::from_slice::<Inside>(bytes)
        .ok()
        .and_then(|inside| inside.media_type)
        .ok_or_else(|| ApiError::manifest_invalid("the manifest has no media type"))
}
