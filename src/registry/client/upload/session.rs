//! The requests of an upload session (distribution-spec, "Pushing blobs").

use reqwest::{
    Method, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE},
};
use url::Url;

use super::{Upload, body::Sending};
use crate::{
    registry::{
        client::{
            RegistryClient, RegistryError,
            http::{Call, location},
        },
        protocol::{ErrorCode, OCTET_STREAM, header, received_bytes},
    },
    types::Digest,
};

/// An upload that the registry has begun.
#[derive(Debug, Clone)]
pub(in crate::registry::client) struct Session {
    /// Where the next bytes go. It may hold a signed state.
    pub(super) url: Url,
    /// How many bytes the registry has.
    pub(super) offset: u64,
    /// The least it takes at a time, but for the last part.
    pub(super) least: u64,
}

/// What a request for an upload came to.
#[derive(Debug)]
pub(in crate::registry::client) enum Begun {
    /// The registry has the blob, and nothing needs to be sent.
    There,
    /// Where to send it to.
    Session(Session),
}

/// A part of a blob on its way.
pub(super) struct Part<'a> {
    pub(super) sending: &'a Sending,
    /// The offset of its first byte.
    pub(super) from: u64,
    /// The offset behind its last byte.
    pub(super) end: u64,
}

impl RegistryClient {
    /// Asks for an upload at `path`.
    pub(in crate::registry::client) async fn begin_upload(
        &self,
        upload: &Upload<'_>,
        path: &str,
    ) -> Result<Begun, RegistryError> {
        let call = Call::new(upload.place(), upload.endpoint, Method::POST, path)?
            .asking_for("place for uploads", upload.scopes.clone());
        let response = self.send(upload.endpoint, &call).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Begun::There),
            StatusCode::ACCEPTED => {
                let url = location(&response, &call.url, upload.endpoint, &call.place)?;
                let least = number(&response, header::OCI_CHUNK_MIN_LENGTH).unwrap_or(0);
                Ok(Begun::Session(Session { url, offset: 0, least }))
            }
            _ => Err(self.refusal(&call.place, &call.what, response).await),
        }
    }

    /// How far a session is, after a break; none if it is gone, or if the registry cannot say.
    pub(super) async fn upload_status(
        &self,
        upload: &Upload<'_>,
        session: &Session,
    ) -> Result<Option<Session>, RegistryError> {
        if !upload.endpoint.owns(&session.url) {
            return Ok(None);
        }
        let mut call = Call::new(upload.place(), upload.endpoint, Method::GET, "")?
            .asking_for("upload session", upload.scopes.clone());
        call.url = session.url.clone();
        let response = self.send(upload.endpoint, &call).await?;
        match response.status() {
            StatusCode::NO_CONTENT | StatusCode::ACCEPTED | StatusCode::OK => {
                let Some(offset) = range(&response) else { return Ok(None) };
                if offset > upload.descriptor.size {
                    return Ok(None);
                }
                let moved = location(&response, &call.url, upload.endpoint, &call.place);
                let url = moved.unwrap_or_else(|_| session.url.clone());
                Ok(Some(Session { url, offset, least: session.least }))
            }
            _ => match self.refusal(&call.place, &call.what, response).await {
                error if error.may_pass() => Err(error),
                error => {
                    tracing::debug!(%error, "the upload begins anew");
                    Ok(None)
                }
            },
        }
    }

    /// Ends a session whose bytes nobody wants. A registry that cannot will forget it in time.
    pub(in crate::registry::client) async fn cancel_upload(
        &self,
        upload: &Upload<'_>,
        session: &Session,
    ) {
        if !upload.endpoint.owns(&session.url) {
            return;
        }
        let cancelled = async {
            let mut call = Call::new(upload.place(), upload.endpoint, Method::DELETE, "")?
                .asking_for("upload session", upload.scopes.clone());
            call.url = session.url.clone();
            self.send(upload.endpoint, &call).await
        };
        if let Err(error) = cancelled.await {
            tracing::debug!(%error, "an upload session stays open");
        }
    }

    /// Sends a part of the blob to `url`, once. Gives the `Authorization` it went with, too.
    pub(super) async fn send_part(
        &self,
        upload: &Upload<'_>,
        method: Method,
        url: &Url,
        part: &Part<'_>,
    ) -> Result<(Response, Option<HeaderValue>), RegistryError> {
        let endpoint = upload.endpoint;
        let authorization = if endpoint.owns(url) {
            self.auth.authorization(&self.connections, endpoint, &upload.scopes).await?
        } else {
            None // a signed address elsewhere; our credentials are none of its business
        };
        let Part { sending, from, end } = *part;
        let is_part = method == Method::PATCH && (from > 0 || end < upload.descriptor.size);
        let mut request = self
            .connections
            .client(url, endpoint)?
            .request(method, url.clone())
            .header(CONTENT_TYPE, OCTET_STREAM)
            .header(CONTENT_LENGTH, end - from);
        if is_part {
            request = request.header(CONTENT_RANGE, format!("{from}-{}", end - 1));
        }
        if let Some(authorization) = &authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if end > from {
            request = request.body(sending.until(end, self.pace.clone()));
        }
        let response = sending.send(upload, request, end, self.stall.silence).await?;
        Ok((response, authorization))
    }

    /// What the refusal of a part means: a session that is gone is no missing repository.
    pub(super) async fn refusal_of_part(
        &self,
        upload: &Upload<'_>,
        response: Response,
    ) -> RegistryError {
        match self.refusal(&upload.place(), "upload session", response).await {
            RegistryError::NotFound { place, .. } => RegistryError::Refused {
                place,
                status: 404,
                code: Some(ErrorCode::BlobUploadUnknown),
                message: String::new(),
                retry_after: None,
            },
            other => other,
        }
    }
}

/// How many bytes of an upload the registry has, by its answer.
pub(super) fn range(response: &Response) -> Option<u64> {
    received_bytes(response.headers().get(RANGE)?.to_str().ok()?)
}

fn number(response: &Response, name: &str) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.parse().ok()
}

/// The upload address with the digest, the query that is there left as it is.
pub(super) fn with_digest(url: &Url, digest: &Digest) -> Url {
    let mut url = url.clone();
    let query = match url.query() {
        Some(query) if !query.is_empty() => format!("{query}&digest={digest}"),
        _ => format!("digest={digest}"),
    };
    url.set_query(Some(&query));
    url
}
