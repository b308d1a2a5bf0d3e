//! Manifests and tags: bounded, byte-exact, and compared with their digests both ways.

use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderName, HeaderValue},
};

use super::{
    Place, RegistryClient, RegistryError, api_path,
    auth::{Scope, Scopes},
    blobs::{check_digest, content_digest, content_length},
    http::{Call, bounded_body, is_unanswered, refuse_page},
};
use crate::{
    image::{Descriptor, Manifest, RawManifest, manifest::MAX_MANIFEST, media_type},
    registry::protocol::{ErrorCode, Reference, header, path},
    types::{Digest, Repository},
};

impl RegistryClient {
    fn manifest_call(
        &self,
        method: Method,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<(super::tls::Endpoint, Call), RegistryError> {
        let endpoint = self.connections.endpoint(repository.registry())?;
        let path = path::manifest(&api_path(repository), reference);
        let call = Call::new(repository.into(), &endpoint, method, &path)?
            .asking_for(format!("manifest {reference}"), Scopes::from([Scope::pull(repository)]))
            .header(ACCEPT.as_str(), &media_type::MANIFESTS.join(", "));
        Ok((endpoint, call))
    }

    /// What a manifest is, if there is one: type, digest and length, without its bytes. A registry that
    /// does not answer HEAD is asked for the bytes.
    pub async fn head_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let scopes = Scopes::from([Scope::pull(repository)]);
        let found = match self.head_manifest_as(repository, reference, scopes).await? {
            Head::Described(descriptor) => return Ok(Some(*descriptor)),
            Head::Absent => return Ok(None),
            // The registry's headers do not say it all, so its bytes must.
            Head::Unanswered => self.manifest_at(repository, reference).await,
        };
        match found {
            Ok(raw) => Ok(Some(raw.descriptor())),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a manifest is, if `repository` is known to have it. This question only saves work, so that a
    /// registry that does not answer it is no error. It is asked with the right to push that what follows
    /// needs, so that one token serves for all.
    pub async fn known_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<Option<Descriptor>, RegistryError> {
        let scopes = Scopes::from([Scope::push(repository)]);
        match self.head_manifest_as(repository, reference, scopes).await? {
            Head::Described(descriptor) => Ok(Some(*descriptor)),
            Head::Absent => Ok(None),
            Head::Unanswered => {
                Ok(self.manifest_at(repository, reference).await.ok().map(|raw| raw.descriptor()))
            }
        }
    }

    async fn head_manifest_as(
        &self,
        repository: &Repository,
        reference: &Reference,
        scopes: Scopes,
    ) -> Result<Head, RegistryError> {
        let (endpoint, mut call) = self.manifest_call(Method::HEAD, repository, reference)?;
        call.scopes = scopes;
        self.retry
            .run(|| async {
                let response = self.send_following(&endpoint, &call).await?;
                match response.status() {
                    StatusCode::OK => Ok(described(&response, reference, &call.place)?
                        .map_or(Head::Unanswered, |it| Head::Described(Box::new(it)))),
                    StatusCode::NOT_FOUND => Ok(Head::Absent),
                    status if is_unanswered(status) => Ok(Head::Unanswered),
                    _ => Err(self.refusal(&call.place, &call.what, response).await),
                }
            })
            .await
    }

    /// A manifest or index of `repository` itself, as [`RegistryClient::manifest`] says.
    pub(super) async fn manifest_at(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<RawManifest, RegistryError> {
        self.manifest_and_etag(repository, reference).await.map(|(raw, _)| raw)
    }

    /// The same with the entity tag of this state of it, if the registry names one.
    pub(super) async fn manifest_and_etag(
        &self,
        repository: &Repository,
        reference: &Reference,
    ) -> Result<(RawManifest, Option<HeaderValue>), RegistryError> {
        let (endpoint, call) = self.manifest_call(Method::GET, repository, reference)?;
        self.retry
            .run(|| async {
                let mut response = self.send_following(&endpoint, &call).await?;
                if response.status() != StatusCode::OK {
                    return Err(self.refusal(&call.place, &call.what, response).await);
                }
                refuse_page(&mut response, &call.place, self.stall).await?;
                let media_type = content_type(&response).ok_or_else(|| {
                    RegistryError::protocol(&call.place, "a manifest without Content-Type")
                })?;
                let bytes =
                    bounded_body(&mut response, MAX_MANIFEST, self.stall, &call.place).await?;
                let raw = RawManifest::new(media_type, bytes);
                if let Reference::Digest(expected) = reference
                    && *expected != raw.digest
                {
                    let (place, expected, received) = (call.place.clone(), *expected, raw.digest);
                    return Err(RegistryError::WrongContent { place, expected, received });
                }
                check_digest(&response, &raw.digest, &call.place)?;
                Ok((raw, response.headers().get(ETAG).cloned()))
            })
            .await
    }

    /// Puts a manifest or index under a tag or its digest. The digest that the registry names must
    /// be the one computed here, which is returned.
    ///
    /// A manifest about another one is listed among that one's referrers: by the registry, or by us
    /// where the registry does not say that it did.
    pub async fn put_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        raw: &RawManifest,
    ) -> Result<Digest, RegistryError> {
        let listed = self.put_manifest_if(repository, reference, raw, None).await?;
        if let Some(subject) = subject_of(raw).filter(|subject| listed != Some(*subject)) {
            // Rare, and large: boxed, so that it does not make every push's future as large.
            Box::pin(self.list_referrer(repository, &subject, raw)).await?;
        }
        Ok(raw.digest)
    }

    /// Puts a manifest, if `condition` holds there. Gives the subject that the registry has listed
    /// it under.
    pub(super) async fn put_manifest_if(
        &self,
        repository: &Repository,
        reference: &Reference,
        raw: &RawManifest,
        condition: Option<(HeaderName, HeaderValue)>,
    ) -> Result<Option<Digest>, RegistryError> {
        let (endpoint, call) = self.manifest_call(Method::PUT, repository, reference)?;
        let mut call = call
            .asking_for("place for manifests", Scopes::from([Scope::push(repository)]))
            .header(CONTENT_TYPE.as_str(), &raw.media_type);
        call.headers.remove(ACCEPT);
        call.headers.extend(condition);
        call.body = raw.bytes.clone();
        let lacks_foreign = |error: &RegistryError| {
            matches!(error, RegistryError::Refused { code, .. } if is_about_blobs(code.as_ref()))
                && has_foreign_layers(raw)
        };
        // Docker Distribution refuses foreign layers with 500, however often it is asked.
        let may_pass = |error: &RegistryError| error.may_pass() && !lacks_foreign(error);
        let put = self.retry.run_while(may_pass, || async {
            let response = self.send(&endpoint, &call).await?;
            if response.status().is_success() {
                check_digest(&response, &raw.digest, &call.place)?;
                let subject = response.headers().get(header::OCI_SUBJECT);
                Ok(subject.and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok()))
            } else {
                Err(self.refusal(&call.place, &call.what, response).await)
            }
        });
        match put.await {
            Err(error) if lacks_foreign(&error) => {
                Err(RegistryError::ForeignLayers { place: call.place.clone() })
            }
            put => put,
        }
    }
}

/// What a HEAD of a manifest tells.
#[derive(Debug)]
enum Head {
    Described(Box<Descriptor>),
    Absent,
    /// Neither that it is there nor what it is.
    Unanswered,
}

/// What the headers of an answer say about a manifest; none if they do not say it all.
fn described(
    response: &Response,
    reference: &Reference,
    place: &Place,
) -> Result<Option<Descriptor>, RegistryError> {
    let named = content_digest(response);
    let digest = match (reference, named) {
        (Reference::Digest(expected), _) => {
            check_digest(response, expected, place)?;
            Some(*expected)
        }
        (Reference::Tag(_), named) => named,
    };
    Ok(match (content_type(response), digest, content_length(response)) {
        (Some(media_type), Some(digest), Some(size)) => {
            Some(Descriptor::new(media_type, digest, size))
        }
        _ => None,
    })
}

/// The media type of an answer, without parameters.
fn content_type(response: &Response) -> Option<String> {
    let text = response.headers().get(CONTENT_TYPE)?.to_str().ok()?;
    let media_type = text.split(';').next()?.trim();
    (!media_type.is_empty()).then(|| media_type.to_owned())
}

/// Distribution 2.7 and later answer 500 with one of these to a foreign layer (issue 89 of its images).
fn is_about_blobs(code: Option<&ErrorCode>) -> bool {
    matches!(
        code,
        Some(ErrorCode::ManifestBlobUnknown | ErrorCode::BlobUnknown | ErrorCode::ManifestInvalid)
    ) || code == Some(&ErrorCode::Other("UNKNOWN".to_owned()))
}

fn has_foreign_layers(raw: &RawManifest) -> bool {
    match raw.parse() {
        Ok(Manifest::Image(image)) => image.layers.iter().any(Descriptor::is_foreign_layer),
        _ => false,
    }
}

/// What a manifest is about, if it is about another one.
pub(super) fn subject_of(raw: &RawManifest) -> Option<Digest> {
    let subject = match raw.parse().ok()? {
        Manifest::Image(image) => image.subject,
        Manifest::Index(index) => index.subject,
    };
    subject.map(|subject| subject.digest)
}
