//! What is where: every request that the distribution-spec knows, on one page.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, Method, request::Parts},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::any,
};
use tower_http::{
    catch_panic::CatchPanicLayer, set_header::SetResponseHeaderLayer, trace::TraceLayer,
};

use crate::{
    audit::{self, AuditEvent, AuditLog},
    registry::{
        protocol::{Reference, RepositoryName, header},
        server::{
            Registry, access::Purpose, blobs, error::ApiError, lists, manifests, query::Query,
            storage::UploadId, uploads,
        },
    },
    types::Digest,
};

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Blob(RepositoryName, Digest),
    Uploads(RepositoryName),
    Upload(RepositoryName, UploadId),
    Manifest(RepositoryName, Reference),
    Tags(RepositoryName),
    Referrers(RepositoryName, Digest),
    Catalog,
}

async fn answer(
    registry: &Registry,
    target: Target,
    parts: &Parts,
    body: Body,
) -> Result<Response, ApiError> {
    let query = Query::parse(parts.uri.query());
    let headers = &parts.headers;
    match (parts.method.as_str(), target) {
        ("GET" | "HEAD", Target::Blob(name, digest)) => blobs::get(registry, &name, &digest, parts),
        ("DELETE", Target::Blob(name, digest)) => blobs::delete(registry, &name, &digest).await,

        ("POST", Target::Uploads(name)) => {
            uploads::begin(registry, name, &query, headers, body).await
        }
        ("GET", Target::Upload(name, id)) => uploads::status(registry, &name, id).await,
        ("PATCH", Target::Upload(name, id)) => {
            uploads::chunk(registry, name, id, headers, body).await
        }
        ("PUT", Target::Upload(name, id)) => {
            uploads::finish(registry, name, id, &query, headers, body).await
        }
        ("DELETE", Target::Upload(name, id)) => uploads::cancel(registry, &name, id).await,

        ("GET" | "HEAD", Target::Manifest(name, reference)) => {
            manifests::get(registry, &name, &reference).await
        }
        ("PUT", Target::Manifest(name, reference)) => {
            manifests::put(registry, &name, reference, &query, headers, body).await
        }
        ("DELETE", Target::Manifest(name, reference)) => {
            manifests::delete(registry, &name, &reference).await
        }

        ("GET", Target::Tags(name)) => lists::tags(registry, &name, &query).await,
        ("GET", Target::Catalog) => lists::catalog(registry, &query).await,
        ("GET", Target::Referrers(name, subject)) => {
            lists::referrers(registry, &name, &subject, &query).await
        }
        _ => Err(ApiError::method_unsupported()),
    }
}

/// The routes of a registry, for a listener of one's own.
pub(super) fn router(registry: Registry) -> Router {
    let api_version = SetResponseHeaderLayer::overriding(
        HeaderName::from_static(header::API_VERSION),
        HeaderValue::from_static(header::API_VERSION_VALUE),
    );
    let log = Arc::clone(&registry.audit);
    let audit =
        from_fn_with_state(log, |State(log): State<Arc<AuditLog>>, request, next| async move {
            audit::watch(&log, deleted, request, next).await
        });
    Router::new()
        .route("/v2", any(base))
        .route("/v2/", any(base))
        .route("/v2/{*path}", any(below))
        .fallback(|| async { ApiError::path_unknown() })
        .layer(audit)
        .layer(CatchPanicLayer::custom(|_| ApiError::internal().into_response()))
        .layer(api_version)
        .layer(TraceLayer::new_for_http())
        .with_state(registry)
}

/// Says that this is a registry, to those who may pull from it.
async fn base(State(registry): State<Registry>, request: Request) -> Result<Response, ApiError> {
    let (request, _) = request.into_parts();
    registry.gate.admit(&request, Purpose::Pull).await?;
    match request.method {
        Method::GET | Method::HEAD => Ok(axum::Json(serde_json::json!({})).into_response()),
        _ => Err(ApiError::method_unsupported()),
    }
}

/// Whoever may not come in does not learn what there is, nor what he wrote wrong.
async fn below(
    State(registry): State<Registry>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let target = target(&path);
    let (parts, body) = request.into_parts();
    let reads = matches!(parts.method, Method::GET | Method::HEAD)
        && !matches!(target, Ok(Target::Upload(..)));
    let purpose = if reads { Purpose::Pull } else { Purpose::Push };
    registry.gate.admit(&parts, purpose).await?;
    answer(&registry, target?, &parts, body).await
}

/// What a successful `DELETE` of this path has deleted; an upload that is given up counts for nothing.
fn deleted(path: &str) -> Option<AuditEvent> {
    match target(path.strip_prefix("/v2/")?) {
        Ok(Target::Manifest(..)) => Some(AuditEvent::ManifestDeleted),
        Ok(Target::Blob(..)) => Some(AuditEvent::BlobDeleted),
        _ => None,
    }
}

/// Reads a path behind `/v2/`. A repository may be called `a/blobs` or `tags`, so paths are read
/// from their end.
fn target(path: &str) -> Result<Target, ApiError> {
    if path == "_catalog" {
        return Ok(Target::Catalog);
    }
    let name =
        |text: &str| text.parse::<RepositoryName>().map_err(|_| ApiError::name_invalid(text));
    let digest = |text: &str| {
        text.parse::<Digest>().map_err(|error| ApiError::digest_invalid(error.to_string()))
    };
    let (rest, last) = path.rsplit_once('/').ok_or_else(ApiError::path_unknown)?;
    let (rest, kind) = rest.rsplit_once('/').ok_or_else(ApiError::path_unknown)?;
    match (kind, last) {
        ("manifests", reference) => {
            let reference = reference.parse::<Reference>().map_err(|_| {
                // A tag that cannot be is a manifest that is not there.
                if reference.contains(':') {
                    ApiError::digest_invalid(format!("`{reference}` is not a digest"))
                } else {
                    ApiError::manifest_unknown(reference)
                }
            })?;
            Ok(Target::Manifest(name(rest)?, reference))
        }
        ("tags", "list") => Ok(Target::Tags(name(rest)?)),
        ("referrers", subject) => Ok(Target::Referrers(name(rest)?, digest(subject)?)),
        ("blobs", "uploads") => Ok(Target::Uploads(name(rest)?)),
        ("blobs", blob) => Ok(Target::Blob(name(rest)?, digest(blob)?)),
        ("uploads", id) => {
            let rest = rest.strip_suffix("/blobs").ok_or_else(ApiError::path_unknown)?;
            if id.is_empty() {
                return Ok(Target::Uploads(name(rest)?));
            }
            let id = id.parse().map_err(|_| ApiError::upload_unknown(id))?;
            Ok(Target::Upload(name(rest)?, id))
        }
        _ => Err(ApiError::path_unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_may_have_any_name() {
        let digest = Digest::of(b"");
        for name in ["a", "a/b/c", "blobs", "a/blobs/uploads", "tags/list", "manifests/1"] {
            let parsed: RepositoryName = name.parse().unwrap();
            for (path, expected) in [
                (format!("{name}/blobs/{digest}"), Target::Blob(parsed.clone(), digest)),
                (format!("{name}/blobs/uploads/"), Target::Uploads(parsed.clone())),
                (format!("{name}/blobs/uploads"), Target::Uploads(parsed.clone())),
                (format!("{name}/tags/list"), Target::Tags(parsed.clone())),
                (
                    format!("{name}/manifests/1"),
                    Target::Manifest(parsed.clone(), Reference::Tag("1".parse().unwrap())),
                ),
                (format!("{name}/referrers/{digest}"), Target::Referrers(parsed.clone(), digest)),
            ] {
                assert_eq!(target(&path).unwrap(), expected, "{path}");
            }
        }
        assert_eq!(target("_catalog").unwrap(), Target::Catalog);
    }

    #[test]
    fn no_path_leaves_the_folder() {
        for path in [
            "../x/manifests/1",
            "a/../b/manifests/1",
            "/etc/manifests/1",
            "a/blobs/sha256:../../x",
            "a/manifests/..",
            "a/blobs/uploads/..",
            "_blobs/manifests/1",
            "a//tags/list",
            "A/tags/list",
            "x",
            "",
        ] {
            assert!(target(path).is_err(), "{path}");
        }
    }
}
