//! What was said about a manifest: signatures, lists of parts. By the registry's own list where it
//! has one, else by the index under the fallback tag, which those who push keep.

use std::time::Duration;

use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH},
};
use url::form_urlencoded;

use super::{
    Place, RegistryClient, RegistryError, api_path,
    auth::{Scope, Scopes},
    explain,
    http::Call,
};
use crate::{
    image::{Descriptor, Index, Manifest, RawManifest, media_type},
    registry::protocol::{Reference, header, path},
    types::{Digest, JsonProblem, Repository, Tag},
};

/// How often the index under a fallback tag is written, if others write it at the same time.
const MAX_WRITES: u32 = 6;

/// The most referrers of one manifest that are read.
const MAX_REFERRERS: usize = 50_000;

/// Who keeps the list of what was said about a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListedBy {
    /// The registry.
    Registry,
    /// Those who push, in the index under the tag `sha256-HEX`: the registry does not.
    Tag,
}

/// What was said about a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrers {
    /// The manifests that name it as their subject.
    pub manifests: Vec<Descriptor>,
    /// Who says that these are all.
    pub listed_by: ListedBy,
}

/// The index under a fallback tag.
struct Fallback {
    index: Index,
    /// What to write it under: that nobody has changed it since.
    condition: Option<(HeaderName, HeaderValue)>,
}

impl RegistryClient {
    /// What was said about `subject`, which itself need not be there; only that of one kind, if
    /// `artifact_type` is given.
    pub async fn referrers(
        &self,
        repository: &Repository,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Referrers, RegistryError> {
        if let Some(manifests) = self.own_list(repository, subject, artifact_type).await? {
            return Ok(Referrers { manifests, listed_by: ListedBy::Registry });
        }
        let fallback = self.fallback(repository, subject).await?;
        let mut manifests = fallback.index.manifests;
        manifests.retain(|it| is_of(it, artifact_type));
        Ok(Referrers { manifests, listed_by: ListedBy::Tag })
    }

    /// The registry's own list; none if it keeps none.
    async fn own_list(
        &self,
        repository: &Repository,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let endpoint = self.connections.endpoint(repository.registry())?;
        let mut path = path::referrers(&api_path(repository), subject);
        if let Some(wanted) = artifact_type {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("artifactType", wanted)
                .finish();
            path = format!("{path}?{query}");
        }
        let call = Call::new(repository.into(), &endpoint, Method::GET, &path)?
            .asking_for("list of referrers", Scopes::from([Scope::pull(repository)]))
            .header("accept", media_type::OCI_INDEX);
        let place = call.place.clone();
        let mut pages = self.pages(&endpoint, call);
        let mut manifests = Vec::new();
        let mut is_first = true;
        loop {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(Some(manifests)),
                Err(error) if is_first && knows_no_list(&error) => return Ok(None),
                Err(error) => return Err(error),
            };
            if !is_index(&page.headers) {
                // Whatever answers there does not know the request.
                return if is_first {
                    Ok(None)
                } else {
                    Err(RegistryError::protocol(&place, "its list of referrers is no index"))
                };
            }
            is_first = false;
            let mut index: Index = serde_json::from_slice(&page.body).map_err(|error| {
                let problem = JsonProblem::from(error);
                RegistryError::protocol(&place, format!("its list of referrers: {problem}"))
            })?;
            if !is_filtered(&page.headers) {
                index.manifests.retain(|it| is_of(it, artifact_type));
            }
            manifests.extend(index.manifests);
            if manifests.len() > MAX_REFERRERS {
                let why = format!("it lists more than {MAX_REFERRERS} referrers");
                return Err(RegistryError::protocol(&place, why));
            }
        }
    }

    /// Lists `referrer` under the fallback tag of its subject.
    pub(super) async fn list_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        referrer: &RawManifest,
    ) -> Result<(), RegistryError> {
        let place = Place::from(repository);
        let described = described(referrer)
            .map_err(|source| RegistryError::Manifest { place: place.clone(), source })?;
        self.change_fallback(repository, subject, &referrer.digest, |index| {
            let listed = index.manifests.iter().any(|it| it.digest == described.digest);
            if !listed {
                index.manifests.push(described.clone());
            }
            !listed
        })
        .await
    }

    /// Takes `referrer` from the list under the fallback tag of its subject.
    pub(super) async fn unlist_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<(), RegistryError> {
        self.change_fallback(repository, subject, referrer, |index| {
            let before = index.manifests.len();
            index.manifests.retain(|it| it.digest != *referrer);
            index.manifests.len() != before
        })
        .await
    }

    /// Changes the index under a fallback tag until it is as it should be: `change` says whether
    /// there was anything to change. Others may write it at the same time, and many registries heed
    /// no condition, so it is read again after every write.
    async fn change_fallback(
        &self,
        repository: &Repository,
        subject: &Digest,
        writer: &Digest,
        change: impl Fn(&mut Index) -> bool,
    ) -> Result<(), RegistryError> {
        let place = Place::from(repository);
        let reference = Reference::Tag(fallback_tag(subject, &place)?);
        for write in 0..MAX_WRITES {
            let Fallback { mut index, condition } = self.fallback(repository, subject).await?;
            if !change(&mut index) {
                return Ok(());
            }
            let raw = RawManifest::encode(&Manifest::Index(index))
                .map_err(|error| RegistryError::protocol(&place, error.to_string()))?;
            match self.put_manifest_if(repository, &reference, &raw, condition).await {
                Ok(_) | Err(RegistryError::Refused { status: 409 | 412, .. }) => (),
                Err(error) => return Err(error),
            }
            if write > 0 {
                // Writers differ in what they write about, so that they do not stay in step.
                let byte = writer.as_bytes()[write as usize];
                let pause = self.retry.first_delay.mul_f32(f32::from(byte) / 256.0);
                tokio::time::sleep(pause.min(Duration::from_secs(2))).await;
            }
        }
        let Fallback { mut index, .. } = self.fallback(repository, subject).await?;
        if change(&mut index) {
            let why =
                "the list of referrers under the fallback tag is changed by others all the time";
            return Err(RegistryError::protocol(&place, why));
        }
        Ok(())
    }

    /// The index under the fallback tag of `subject`; an empty one if there is none.
    async fn fallback(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Fallback, RegistryError> {
        let place = Place::from(repository);
        let reference = Reference::Tag(fallback_tag(subject, &place)?);
        let (raw, etag) = match self.manifest_and_etag(repository, &reference).await {
            Ok(found) => found,
            Err(RegistryError::NotFound { .. }) => {
                let condition = Some((IF_NONE_MATCH, HeaderValue::from_static("*")));
                return Ok(Fallback { index: Index::new(Vec::new()), condition });
            }
            Err(error) => return Err(error),
        };
        match raw.parse() {
            Ok(Manifest::Index(index)) => {
                // A weak tag never matches (RFC 9110, 13.1.1).
                let strong = etag.filter(|etag| etag.as_bytes().starts_with(b"\""));
                Ok(Fallback { index, condition: strong.map(|etag| (IF_MATCH, etag)) })
            }
            Ok(Manifest::Image(_)) => {
                let why = format!("its tag {reference} is no list of referrers, but an image");
                Err(RegistryError::protocol(&place, why))
            }
            Err(source) => Err(RegistryError::Manifest { place, source }),
        }
    }
}

/// The tag under which those who push list what was said about `subject`.
fn fallback_tag(subject: &Digest, place: &Place) -> Result<Tag, RegistryError> {
    format!("sha256-{}", subject.hex())
        .parse()
        .map_err(|_| RegistryError::protocol(place, "the subject's digest makes no tag"))
}

/// Registries without the list answer 404; older ones, and proxies before them, also these.
fn knows_no_list(error: &RegistryError) -> bool {
    match error {
        RegistryError::NotFound { .. } => true,
        RegistryError::Refused { status, .. } => matches!(status, 400 | 405 | 406 | 501),
        // The page of a server that shows it for every path it does not know.
        RegistryError::Protocol { why, .. } => explain::is_alien(why),
        _ => false,
    }
}

fn is_index(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim() == media_type::OCI_INDEX
}

/// Whether the registry says that it has left out what was not asked for.
fn is_filtered(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::OCI_FILTERS_APPLIED).iter();
    let mut words = values.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(','));
    words.any(|word| word.trim() == "artifactType")
}

fn is_of(descriptor: &Descriptor, artifact_type: Option<&str>) -> bool {
    artifact_type.is_none_or(|wanted| descriptor.artifact_type.as_deref() == Some(wanted))
}

/// A manifest as the distribution-spec wants it listed: with its kind and its notes.
fn described(raw: &RawManifest) -> Result<Descriptor, crate::image::ManifestError> {
    let mut descriptor = raw.descriptor();
    match raw.parse()? {
        Manifest::Image(image) => {
            descriptor.artifact_type = image.artifact_type.or(Some(image.config.media_type));
            descriptor.annotations = image.annotations;
        }
        Manifest::Index(index) => {
            descriptor.artifact_type = index.artifact_type;
            descriptor.annotations = index.annotations;
        }
    }
    Ok(descriptor)
}
