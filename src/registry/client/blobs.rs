//! Blobs up: is it there, can it be mounted, else one streaming upload, verified on the way.

use reqwest::{
    Body, Method, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE},
};
use url::Url;

use super::{
    Place, RegistryClient, RegistryError, api_path,
    auth::{Scope, Scopes},
    http::{Call, challenges, location},
    tls::Endpoint,
    watched_body::WatchedBody,
};
use crate::{
    image::{BlobReader, Descriptor, ImageError, VerifiedReader},
    registry::protocol::{ErrorCode, OCTET_STREAM, header, path},
    types::{Digest, Repository},
};

/// The most redirects of an upload that are followed; each may cost its whole transfer.
const MAX_UPLOAD_REDIRECTS: usize = 3;

/// How a blob came to be in its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobOutcome {
    /// It was there.
    Existed,
    /// Another repository of the same registry had it.
    Mounted,
    /// It was sent.
    Uploaded,
}

impl RegistryClient {
    /// The length of a blob in bytes, if `repository` has it.
    pub async fn has_blob(
        &self,
        repository: &Repository,
        digest: &Digest,
    ) -> Result<Option<u64>, RegistryError> {
        let endpoint = self.connections.endpoint(repository.registry())?;
        let path = path::blob(&api_path(repository), digest);
        let call = Call::new(repository.into(), &endpoint, Method::HEAD, &path)?
            .asking_for(format!("blob {digest}"), Scopes::from([Scope::pull(repository)]));
        self.head_blob(&endpoint, &call).await
    }

    async fn head_blob(
        &self,
        endpoint: &Endpoint,
        call: &Call,
    ) -> Result<Option<u64>, RegistryError> {
        self.retry
            .run(|| async {
                let response = self.send_following(endpoint, call).await?;
                match response.status() {
                    StatusCode::OK => Ok(content_length(&response)),
                    StatusCode::NOT_FOUND => Ok(None),
                    _ => Err(self.refusal(&call.place, &call.what, response).await),
                }
            })
            .await
    }

    /// Sees to it that `repository` has the blob: looks for it, tries to mount it from another
    /// repository of the same registry, else sends what `open` gives, again if the sending breaks.
    ///
    /// What is sent is verified on the way; the last bytes of wrong content never leave.
    pub async fn push_blob<F>(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        open: impl Fn() -> F,
        mount_from: Option<&Repository>,
    ) -> Result<BlobOutcome, RegistryError>
    where
        F: Future<Output = Result<BlobReader, ImageError>>,
    {
        self.push_blob_watched(repository, descriptor, open, mount_from, &|_| ()).await
    }

    /// As [`RegistryClient::push_blob`]; `watch` is told how many bytes of the blob have been sent.
    pub(super) async fn push_blob_watched<F>(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        open: impl Fn() -> F,
        mount_from: Option<&Repository>,
        watch: &(dyn Fn(u64) + Sync),
    ) -> Result<BlobOutcome, RegistryError>
    where
        F: Future<Output = Result<BlobReader, ImageError>>,
    {
        let endpoint = self.connections.endpoint(repository.registry())?;
        // Asked for with the right to push, so that one token serves for what follows.
        let scopes = Scopes::from([Scope::push(repository)]);
        let path = path::blob(&api_path(repository), &descriptor.digest);
        let call = Call::new(repository.into(), &endpoint, Method::HEAD, &path)?
            .asking_for(format!("blob {}", descriptor.digest), scopes.clone());
        if self.head_blob(&endpoint, &call).await? == Some(descriptor.size) {
            return Ok(BlobOutcome::Existed);
        }

        let upload = Upload { repository, endpoint: &endpoint, descriptor, scopes, watch };
        let from = mount_from
            .filter(|from| from.registry() == repository.registry() && *from != repository);
        self.retry
            .run_while(is_worth_a_new_upload, || async {
                let begun = match from {
                    Some(from) => self.mount(&upload, from).await?,
                    None => self.begin(&upload, &path::uploads(&api_path(repository))).await?,
                };
                match begun {
                    None => Ok(BlobOutcome::Mounted),
                    Some(url) => {
                        self.upload(&upload, url, &open).await?;
                        Ok(BlobOutcome::Uploaded)
                    }
                }
            })
            .await
    }

    /// Asks for the blob of another repository: none if it is there now, else where to send it.
    async fn mount(
        &self,
        upload: &Upload<'_>,
        from: &Repository,
    ) -> Result<Option<Url>, RegistryError> {
        let repository = api_path(upload.repository);
        let path = path::mount(&repository, &upload.descriptor.digest, &api_path(from));
        let mut scopes = upload.scopes.clone();
        scopes.insert(Scope::pull(from));
        let mounting = Upload { scopes, ..*upload };
        match self.begin(&mounting, &path).await {
            // Some registries refuse a mount where they should begin an upload.
            Err(error) if !error.may_pass() => {
                tracing::debug!(%error, "not mounted, so uploaded");
                self.begin(upload, &path::uploads(&repository)).await
            }
            begun => begun,
        }
    }

    /// Begins an upload: where to send to, or none if the registry has the blob already.
    async fn begin(&self, upload: &Upload<'_>, path: &str) -> Result<Option<Url>, RegistryError> {
        let place = upload.place();
        let call = Call::new(place, upload.endpoint, Method::POST, path)?
            .asking_for("place for uploads", upload.scopes.clone());
        let response = self.send(upload.endpoint, &call).await?;
        match response.status() {
            StatusCode::CREATED => Ok(None),
            StatusCode::ACCEPTED => {
                location(&response, &call.url, upload.endpoint, &call.place).map(Some)
            }
            _ => Err(self.refusal(&call.place, &call.what, response).await),
        }
    }

    /// Sends the whole blob to `url`, following redirects and logging in again where it must.
    async fn upload<F>(
        &self,
        upload: &Upload<'_>,
        url: Url,
        open: &impl Fn() -> F,
    ) -> Result<(), RegistryError>
    where
        F: Future<Output = Result<BlobReader, ImageError>>,
    {
        let Upload { endpoint, descriptor, .. } = upload;
        let mut url = with_digest(url, &descriptor.digest);
        let mut logged_in_again = false;
        for _ in 0..=MAX_UPLOAD_REDIRECTS {
            let authorization = if endpoint.owns(&url) {
                self.auth.authorization(&self.connections, endpoint, &upload.scopes).await?
            } else {
                None // a signed address elsewhere; our credentials are none of its business
            };
            let client = self.connections.client(&url, endpoint)?;
            let mut request = client
                .put(url.clone())
                .header(CONTENT_TYPE, OCTET_STREAM)
                .header(CONTENT_LENGTH, descriptor.size);
            if let Some(authorization) = &authorization {
                request = request.header(AUTHORIZATION, authorization.clone());
            }
            let body = WatchedBody::default();
            let reader = VerifiedReader::new(open().await?, descriptor);
            let request = request.body(Body::wrap_stream(body.stream(reader)));
            let response = body.send(upload, request, self.stall).await?;

            let status = response.status();
            if status == StatusCode::UNAUTHORIZED && endpoint.owns(&url) && !logged_in_again {
                logged_in_again = true;
                let (challenges, sent) = (challenges(&response), authorization.as_ref());
                let (auth, connections) = (&self.auth, &self.connections);
                auth.answer(connections, endpoint, &upload.scopes, &challenges, sent).await?;
            } else if status == StatusCode::UNAUTHORIZED && endpoint.owns(&url) {
                return Err(self.auth.refusal(endpoint, &upload.scopes, &upload.place()).await);
            } else if status.is_redirection() {
                url = location(&response, &url, endpoint, &upload.place())?;
            } else if status.is_success() {
                return check_digest(&response, &descriptor.digest, &upload.place());
            } else {
                return Err(self.refusal_of_upload(upload, response).await);
            }
        }
        Err(RegistryError::protocol(&upload.place(), "too many redirects of an upload"))
    }

    /// A session that is gone is no missing repository.
    async fn refusal_of_upload(&self, upload: &Upload<'_>, response: Response) -> RegistryError {
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

/// One blob on its way into one repository.
#[derive(Clone)]
pub(super) struct Upload<'a> {
    repository: &'a Repository,
    pub(super) endpoint: &'a Endpoint,
    pub(super) descriptor: &'a Descriptor,
    scopes: Scopes,
    pub(super) watch: &'a (dyn Fn(u64) + Sync),
}

impl Upload<'_> {
    pub(super) fn place(&self) -> Place {
        self.repository.into()
    }
}

/// Errors after which the same blob may well go through in a new upload: the session is gone, or
/// the bytes were changed on the way.
fn is_worth_a_new_upload(error: &RegistryError) -> bool {
    let session = [
        ErrorCode::BlobUploadUnknown,
        ErrorCode::BlobUploadInvalid,
        ErrorCode::DigestInvalid,
        ErrorCode::SizeInvalid,
    ];
    match error {
        RegistryError::Refused { code: Some(code), .. } if session.contains(code) => true,
        error => error.may_pass(),
    }
}

/// The upload address with the digest, the query that is there left as it is.
fn with_digest(mut url: Url, digest: &Digest) -> Url {
    let query = match url.query() {
        Some(query) if !query.is_empty() => format!("{query}&digest={digest}"),
        _ => format!("digest={digest}"),
    };
    url.set_query(Some(&query));
    url
}

/// Refuses an answer that names another digest than the one that was sent.
pub(super) fn check_digest(
    response: &Response,
    expected: &Digest,
    place: &Place,
) -> Result<(), RegistryError> {
    match content_digest(response) {
        Some(received) if received != *expected => {
            Err(RegistryError::WrongContent { place: place.clone(), expected: *expected, received })
        }
        _ => Ok(()),
    }
}

/// The digest that an answer names, if it is one of ours.
pub(super) fn content_digest(response: &Response) -> Option<Digest> {
    response.headers().get(header::CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

/// The length that an answer names, also to a HEAD.
pub(super) fn content_length(response: &Response) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
