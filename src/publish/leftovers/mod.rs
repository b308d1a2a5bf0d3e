//! What lies in a repository and no published service needs: seen here, judged in `plan`.
//!
//! Publishing leaves a tag `edgepost-…` at every image, so that clean-ups of untagged manifests pass
//! over it. Only what has such a tag is ever named as a leftover. A registry lists nothing but tags,
//! so that manifests without one are neither seen nor named.

mod plan;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

pub use plan::{Leftover, Leftovers, OtherTags, leftovers};

use crate::{
    image::{Manifest, RawManifest},
    publish::ship::PROTECTING,
    registry::{
        client::{Place, RegistryClient, RegistryError},
        protocol::Reference,
    },
    types::{Digest, Repository, Tag},
};

/// How many requests are on their way at a time.
const AT_A_TIME: usize = 8;
/// The most manifests of a repository that are looked at.
const MAX_MANIFESTS: usize = 100_000;

/// A repository as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What each tag names.
    pub tags: BTreeMap<Tag, Digest>,
    /// What was found by the tags, below indexes and among referrers.
    pub manifests: BTreeMap<Digest, Entry>,
}

/// A manifest as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its own length in bytes.
    pub size: u64,
    /// The manifests that it names.
    pub children: BTreeSet<Digest>,
    /// The blobs that it names, with their lengths in bytes.
    pub blobs: BTreeMap<Digest, u64>,
    /// The manifest that it is about.
    pub subject: Option<Digest>,
}

impl Contents {
    /// Looks at all of a repository that can be found by its tags. Whatever cannot be read is an
    /// error: who has not seen everything must not judge.
    ///
    /// # Errors
    /// As of every request.
    pub async fn of(
        client: &RegistryClient,
        repository: &Repository,
    ) -> Result<Self, RegistryError> {
        let tags = Self::tags(client, repository).await?;
        let mut contents = Self { manifests: BTreeMap::new(), tags };
        let mut wanted: BTreeSet<Digest> = contents.tags.values().copied().collect();
        while !wanted.is_empty() {
            if contents.manifests.len() + wanted.len() > MAX_MANIFESTS {
                let (place, limit) = (Place::from(repository), MAX_MANIFESTS as u64);
                return Err(RegistryError::TooLarge { place, limit });
            }
            let found: Vec<(Digest, Option<Entry>, BTreeSet<Digest>)> = stream::iter(wanted)
                .map(|digest| see(client, repository, digest))
                .buffer_unordered(AT_A_TIME)
                .try_collect()
                .await?;
            let mut further = BTreeSet::new();
            for (digest, entry, referrers) in found {
                // An index may name what was never pushed here: one platform of many.
                let Some(entry) = entry else { continue };
                further.extend(entry.children.iter().chain(&referrers));
                contents.manifests.insert(digest, entry);
            }
            wanted = further;
            wanted.retain(|digest| !contents.manifests.contains_key(digest));
        }
        Ok(contents)
    }

    /// What each tag of a repository names now.
    ///
    /// # Errors
    /// As of every request.
    pub async fn tags(
        client: &RegistryClient,
        repository: &Repository,
    ) -> Result<BTreeMap<Tag, Digest>, RegistryError> {
        let tags = match client.tags(repository).await {
            Ok(tags) => tags,
            // Some registries forget a repository with its last tag.
            Err(RegistryError::NotFound { .. }) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let named: Vec<Option<(Tag, Digest)>> = stream::iter(tags)
            .map(|tag| async move {
                let found = client.head_manifest(repository, &tag.clone().into()).await?;
                // A tag may go between the list and the question.
                Ok::<_, RegistryError>(found.map(|found| (tag, found.digest)))
            })
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        Ok(named.into_iter().flatten().collect())
    }
}

/// Looks at one manifest, and at what was said about it.
async fn see(
    client: &RegistryClient,
    repository: &Repository,
    digest: Digest,
) -> Result<(Digest, Option<Entry>, BTreeSet<Digest>), RegistryError> {
    let raw = match client.manifest(repository, &Reference::Digest(digest)).await {
        Ok(raw) => raw,
        Err(RegistryError::NotFound { .. }) => return Ok((digest, None, BTreeSet::new())),
        Err(error) => return Err(error),
    };
    let referrers = client.referrers(repository, &digest, None).await?;
    let referrers = referrers.manifests.into_iter().map(|it| it.digest).collect();
    Ok((digest, Some(entry(&raw)), referrers))
}

/// What a manifest names. One that cannot be read may name anything that looks like a digest.
fn entry(raw: &RawManifest) -> Entry {
    let size = raw.size();
    match raw.parse() {
        Ok(Manifest::Image(image)) => Entry {
            size,
            children: BTreeSet::new(),
            blobs: image.blobs().map(|blob| (blob.digest, blob.size)).collect(),
            subject: image.subject.map(|subject| subject.digest),
        },
        Ok(Manifest::Index(index)) => Entry {
            size,
            children: index.manifests.iter().map(|child| child.digest).collect(),
            blobs: BTreeMap::new(),
            subject: index.subject.map(|subject| subject.digest),
        },
        Err(_) => Entry { size, children: mentioned(&raw.bytes), ..Entry::default() },
    }
}

/// Every digest that stands in a text, whatever the text is.
pub fn mentioned(text: &[u8]) -> BTreeSet<Digest> {
    let text = String::from_utf8_lossy(text);
    let after = text.split("sha256:").skip(1);
    after.filter_map(|after| Digest::from_hex(after.get(..64)?).ok()).collect()
}

/// Whether a tag is the one by which publishing protects `digest`.
fn protects(tag: &Tag, digest: &Digest) -> bool {
    let start = tag.as_str().strip_prefix(PROTECTING);
    start.is_some_and(|start| start.len() >= 32 && digest.hex().starts_with(start))
}

/// The manifest that a tag speaks of: `sha256-HEX`, or `sha256-HEX.sig` and its like.
fn spoken_of(tag: &Tag) -> Option<Digest> {
    let rest = tag.as_str().strip_prefix("sha256-")?;
    let (hex, suffix) = rest.split_at_checked(64)?;
    if !suffix.is_empty() && !suffix.starts_with('.') {
        return None;
    }
    Digest::from_hex(hex).ok()
}
