//! Blobs up: is it there, was it begun, can it be mounted, else it is sent.

use reqwest::{Method, Response, StatusCode, header::CONTENT_LENGTH};

use super::{
    Place, RegistryClient, RegistryError, api_path,
    auth::{Scope, Scopes},
    http::{Call, is_unanswered},
    memory::KeptSession,
    mount::Mounted,
    tls::Endpoint,
    upload::{SMALL, Upload, Watch},
};
use crate::{
    image::{BlobReader, Descriptor, ImageError},
    registry::protocol::{header, path},
    types::{Digest, Repository},
};

/// How a blob came to be in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobOutcome {
    /// It was there.
    Existed,
    /// Another repository of the same registry had it.
    Mounted {
        /// That repository.
        from: Repository,
    },
    /// It was sent.
    Uploaded,
    /// It was fetched, and is whole.
    Downloaded,
}

impl RegistryClient {
    /// The length of a blob in bytes, if `repository` is known to have it. A registry that does not answer
    /// HEAD tells nothing, which is no error.
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
                    status if is_unanswered(status) => Ok(None),
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
        let endpoint = self.connections.endpoint(repository.registry())?;
        let upload = Self::upload_of(repository, &endpoint, descriptor, &());
        if self.is_there(&upload).await? {
            return Ok(BlobOutcome::Existed);
        }
        self.bring_blob(&upload, &open, mount_from).await
    }

    /// A blob that is to come into `repository`. The right to push is asked for from the beginning
    /// on, so that one token serves for everything.
    pub(super) fn upload_of<'a>(
        repository: &'a Repository,
        endpoint: &'a Endpoint,
        descriptor: &'a Descriptor,
        watch: &'a dyn Watch,
    ) -> Upload<'a> {
        let scopes = Scopes::from([Scope::push(repository)]);
        Upload { repository, endpoint, descriptor, scopes, watch }
    }

    /// Whether the repository has the blob, in its whole length.
    pub(super) async fn is_there(&self, upload: &Upload<'_>) -> Result<bool, RegistryError> {
        let Upload { repository, endpoint, descriptor, .. } = upload;
        let path = path::blob(&api_path(repository), &descriptor.digest);
        let call = Call::new(upload.place(), endpoint, Method::HEAD, &path)?
            .asking_for(format!("blob {}", descriptor.digest), upload.scopes.clone());
        Ok(self.head_blob(endpoint, &call).await? == Some(descriptor.size))
    }

    /// Brings a blob that is not there: by going on with what an earlier attempt began, from
    /// another repository, or from its source.
    pub(super) async fn bring_blob<F>(
        &self,
        upload: &Upload<'_>,
        open: &impl Fn() -> F,
        mount_from: Option<&Repository>,
    ) -> Result<BlobOutcome, RegistryError>
    where
        F: Future<Output = Result<BlobReader, ImageError>>,
    {
        let Upload { repository, descriptor, .. } = upload;
        let mut kept = if descriptor.size > SMALL {
            self.memory.session(repository, &descriptor.digest)
        } else {
            KeptSession::none()
        };
        let mut session = self.kept_session(upload, &mut kept).await?;
        if session.is_none() {
            match self.mount(upload, mount_from).await? {
                Mounted::From(from) => return Ok(BlobOutcome::Mounted { from }),
                Mounted::No(begun) => session = begun,
            }
        }
        self.upload(upload, session, &mut kept, open).await?;
        Ok(BlobOutcome::Uploaded)
    }
}

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
