//! Manifests, tags and referrers of a repository.

use std::{fs, io, str::FromStr as _};

use crate::{
    image::{Descriptor, Manifest, RawManifest},
    registry::{
        protocol::{Reference, RepositoryName},
        server::storage::{Folder, StorageError, durable, page::Page, repository::Parts},
    },
    types::{Digest, Tag},
};

/// The most referrers that one page looks at.
const MOST_READ: usize = 1000;
/// A page ends when the manifests that were read for it have this many bytes.
const MOST_READ_BYTES: usize = 16 << 20;
/// The longest page, in bytes: clients read answers of at most 4 MiB.
const MOST_WRITTEN_BYTES: usize = 3 << 20;

/// Which referrers of a subject are asked for.
#[derive(Debug, Clone, Default)]
pub struct ReferrersPage {
    /// The last one of the page before.
    pub after: Option<Digest>,
    /// How many at most.
    pub most: usize,
    /// Of this artifact type alone.
    pub artifact_type: Option<String>,
}

impl Folder {
    /// Puts a manifest into `repository`, under `tag` if one is given. What it names becomes the
    /// repository's too, as far as it is here: for the owner of the folder, who may say so.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tag: Option<&Tag>,
    ) -> Result<(), StorageError> {
        let parsed = manifest.parse()?;
        let tags = tag.cloned().into_iter().collect();
        self.store_manifest(repository, manifest.clone(), parsed, tags, Check::LinkWhatIsHere).await
    }

    /// Puts a manifest into `repository` for a client, who may name only what the repository has:
    /// who knows a digest does not thereby get the content out of another repository.
    pub async fn push_manifest(
        &self,
        repository: &RepositoryName,
        manifest: &RawManifest,
        tags: Vec<Tag>,
    ) -> Result<Option<Digest>, StorageError> {
        let parsed = manifest.parse()?;
        let subject = subject(&parsed).map(|subject| subject.digest);
        self.store_manifest(repository, manifest.clone(), parsed, tags, Check::MustBeThere).await?;
        Ok(subject)
    }

    /// The manifest that `reference` names in `repository`.
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<RawManifest>, StorageError> {
        let (folder, parts, reference) = (self.clone(), self.parts(repository), reference.clone());
        durable::blocking(move || match digest_of(&parts, &reference)? {
            Some(digest) => folder.read_manifest(&parts, &digest),
            None => Ok(None),
        })
        .await
    }

    /// Takes a manifest and the tags that name it from `repository`, or a tag alone; `false` if
    /// there was none.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<bool, StorageError> {
        let (folder, parts, reference) = (self.clone(), self.parts(repository), reference.clone());
        durable::blocking(move || match reference {
            Reference::Tag(tag) => durable::remove(&parts.tag(&tag)),
            Reference::Digest(digest) => folder.delete_by_digest(&parts, &digest),
        })
        .await
    }

    /// The first `most` tags of `repository` after `after`, in their order.
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<String>, StorageError> {
        let tags = self.parts(repository).tags();
        let mut page = Page::new(after.map(str::to_owned), most);
        durable::blocking(move || {
            for name in durable::each_name(&tags)? {
                let name = name?;
                if name.parse::<Tag>().is_ok() {
                    page.offer(name);
                }
            }
            Ok(page.into_values())
        })
        .await
    }

    /// The referrers of a subject after the one with digest `after`, in the order of their digests, of
    /// those that are of this type: as many as fit into one page. `next` is where the next page begins
    /// if there is one, even where none on this page fits.
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        wanted: ReferrersPage,
    ) -> Result<(Vec<Descriptor>, Option<Digest>), StorageError> {
        let (folder, parts, subject) = (self.clone(), self.parts(repository), *subject);
        durable::blocking(move || {
            let mut page = Page::new(wanted.after, MOST_READ + 1);
            for name in durable::each_name(&parts.referrers(&subject))? {
                if let Ok(digest) = Digest::from_hex(&name?) {
                    page.offer(digest);
                }
            }
            let digests = page.into_values();
            let is_more = digests.len() > MOST_READ;
            let mut digests = digests.into_iter().take(MOST_READ).peekable();
            let (mut found, mut written, mut read, mut last) = (Vec::new(), 0, 0, wanted.after);
            while let Some(digest) = digests.peek() {
                if found.len() >= wanted.most || read >= MOST_READ_BYTES {
                    return Ok((found, last));
                }
                if let Some(raw) = folder.read_manifest(&parts, digest)? {
                    read += raw.bytes.len();
                    let descriptor = describe(&raw)?;
                    let is_wanted = wanted.artifact_type.is_none()
                        || descriptor.artifact_type == wanted.artifact_type;
                    if is_wanted {
                        written += serde_json::to_vec(&descriptor).map_or(0, |json| json.len());
                        if written > MOST_WRITTEN_BYTES && !found.is_empty() {
                            return Ok((found, last));
                        }
                        found.push(descriptor);
                    }
                }
                last = digests.next();
            }
            Ok((found, last.filter(|_| is_more)))
        })
        .await
    }

    async fn store_manifest(
        &self,
        repository: &RepositoryName,
        manifest: RawManifest,
        parsed: Manifest,
        tags: Vec<Tag>,
        check: Check,
    ) -> Result<(), StorageError> {
        let (folder, repository) = (self.clone(), repository.clone());
        durable::blocking(move || {
            let parts = folder.parts(&repository);
            match check {
                Check::MustBeThere => {
                    folder.check_space()?;
                    let missing = folder.missing(&repository, &parts, &parsed);
                    if !missing.is_empty() {
                        return Err(StorageError::Incomplete { repository, missing });
                    }
                }
                Check::LinkWhatIsHere => parts.link_blobs(&folder.here(&parsed))?,
            }
            let blob = folder.blob_path(&manifest.digest);
            durable::write(&folder.temporary(), &blob, &manifest.bytes)?;
            if let Some(subject) = subject(&parsed) {
                let referrers = parts.referrers(&subject.digest);
                durable::make_folder(&referrers)?;
                durable::touch(&referrers.join(manifest.digest.hex()))?;
                durable::sync_folder(&referrers)?;
            }
            let entry = parts.manifest(&manifest.digest);
            durable::write(&folder.temporary(), &entry, manifest.media_type.as_bytes())?;
            let digest = manifest.digest.to_string();
            tags.iter().try_for_each(|tag| {
                durable::write(&folder.temporary(), &parts.tag(tag), digest.as_bytes())
            })
        })
        .await
    }

    /// What a manifest names and its repository does not have.
    fn missing(
        &self,
        repository: &RepositoryName,
        parts: &Parts,
        manifest: &Manifest,
    ) -> Vec<Digest> {
        let digests = |descriptor: &Descriptor| descriptor.digest;
        match manifest {
            Manifest::Image(image) => image
                .blobs()
                .filter(|blob| !blob.is_foreign_layer())
                .map(digests)
                .filter(|digest| self.blob_in(repository, digest).is_none())
                .collect(),
            Manifest::Index(index) => index
                .manifests
                .iter()
                .map(digests)
                .filter(|digest| !parts.manifest(digest).is_file())
                .collect(),
        }
    }

    /// What an image names and this folder has; the manifests of an index are put on their own.
    fn here(&self, manifest: &Manifest) -> Vec<Digest> {
        match manifest {
            Manifest::Image(image) => {
                let digests = image.blobs().map(|blob| blob.digest);
                digests.filter(|digest| self.has_blob(digest).is_some()).collect()
            }
            Manifest::Index(_) => Vec::new(),
        }
    }

    fn read_manifest(
        &self,
        parts: &Parts,
        digest: &Digest,
    ) -> Result<Option<RawManifest>, StorageError> {
        let Some(media_type) = durable::read_text(&parts.manifest(digest))? else {
            return Ok(None);
        };
        let path = self.blob_path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StorageError::io("read", path)(error)),
        };
        let manifest = RawManifest::new(media_type, bytes);
        if manifest.digest == *digest {
            Ok(Some(manifest))
        } else {
            Err(StorageError::WrongContent { expected: *digest, received: manifest.digest })
        }
    }

    fn delete_by_digest(&self, parts: &Parts, digest: &Digest) -> Result<bool, StorageError> {
        let Some(manifest) = self.read_manifest(parts, digest)? else {
            return Ok(false);
        };
        for tag in durable::names(&parts.tags())?.iter().filter_map(|name| name.parse::<Tag>().ok())
        {
            if digest_of(parts, &Reference::Tag(tag.clone()))? == Some(*digest) {
                durable::remove(&parts.tag(&tag))?;
            }
        }
        if let Some(subject) = manifest.parse().ok().as_ref().and_then(subject) {
            durable::remove(&parts.referrers(&subject.digest).join(digest.hex()))?;
        }
        durable::remove(&parts.manifest(digest))
    }
}

/// What becomes of the blobs that a new manifest names.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// The repository must have them.
    MustBeThere,
    /// The repository gets those that are in the folder.
    LinkWhatIsHere,
}

fn digest_of(parts: &Parts, reference: &Reference) -> Result<Option<Digest>, StorageError> {
    match reference {
        Reference::Digest(digest) => Ok(Some(*digest)),
        Reference::Tag(tag) => {
            let text = durable::read_text(&parts.tag(tag))?;
            Ok(text.and_then(|text| Digest::from_str(&text).ok()))
        }
    }
}

fn describe(raw: &RawManifest) -> Result<Descriptor, StorageError> {
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

fn subject(manifest: &Manifest) -> Option<&Descriptor> {
    match manifest {
        Manifest::Image(image) => image.subject.as_ref(),
        Manifest::Index(index) => index.subject.as_ref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{ImageManifest, media_type};

    async fn image(folder: &Folder, subject: Option<Descriptor>) -> RawManifest {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let file = folder.temporary().join("config");
        durable::write(&folder.temporary(), &file, b"{}").unwrap();
        folder.adopt(&config.digest, file).await.unwrap();
        let mut image = ImageManifest::new(config, vec![]);
        image.subject = subject;
        RawManifest::encode(&Manifest::Image(image)).unwrap()
    }

    #[tokio::test]
    async fn a_pusher_names_only_what_the_repository_has() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let (owner, thief) = ("owner".parse().unwrap(), "thief".parse().unwrap());
        let tag: Tag = "1".parse().unwrap();
        let manifest = image(&folder, None).await;
        folder.put_manifest(&owner, &manifest, Some(&tag)).await.unwrap();
        let refused = folder.push_manifest(&thief, &manifest, vec![]).await;
        assert!(matches!(refused, Err(StorageError::Incomplete { .. })), "{refused:?}");
        assert_eq!(folder.manifest(&thief, &manifest.digest.into()).await.unwrap(), None);
        let by_tag = folder.manifest(&owner, &tag.into()).await.unwrap();
        assert_eq!(by_tag.as_ref(), Some(&manifest));
        assert_eq!(folder.repositories(None, 10).await.unwrap(), ["owner"]);
    }

    #[tokio::test]
    async fn referrers_come_page_by_page_and_by_type() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let name: RepositoryName = "app".parse().unwrap();
        let subject = Descriptor::of(media_type::OCI_MANIFEST, b"absent");
        for number in 0..5 {
            let mut image =
                ImageManifest::new(Descriptor::of(media_type::OCI_CONFIG, b"{}"), vec![]);
            image.subject = Some(subject.clone());
            image.artifact_type = Some(format!("text/{}", number % 2));
            image.annotations.insert("number".to_owned(), number.to_string());
            let manifest = RawManifest::encode(&Manifest::Image(image)).unwrap();
            folder.put_manifest(&name, &manifest, None).await.unwrap();
        }
        for (artifact_type, pages) in [(None, vec![2, 2, 1]), (Some("text/0"), vec![2, 1])] {
            let artifact_type = artifact_type.map(str::to_owned);
            let (mut lengths, mut digests, mut after) = (Vec::new(), Vec::new(), None);
            loop {
                let page = ReferrersPage { after, most: 2, artifact_type: artifact_type.clone() };
                let (page, next) = folder.referrers(&name, &subject.digest, page).await.unwrap();
                lengths.push(page.len());
                digests.extend(page.iter().map(|it| it.digest));
                if next.is_none() {
                    break;
                }
                after = next;
            }
            assert_eq!(lengths, pages);
            assert!(digests.is_sorted_by(|a, b| a < b), "{digests:?}");
        }
    }

    #[tokio::test]
    async fn with_a_manifest_go_its_tags_and_its_mention() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let name: RepositoryName = "app".parse().unwrap();
        let subject = Descriptor::of(media_type::OCI_MANIFEST, b"absent");
        let manifest = image(&folder, Some(subject.clone())).await;
        for tag in ["a", "b"] {
            folder.put_manifest(&name, &manifest, Some(&tag.parse().unwrap())).await.unwrap();
        }
        let all = || ReferrersPage { most: 10, ..ReferrersPage::default() };
        let (referrers, next) = folder.referrers(&name, &subject.digest, all()).await.unwrap();
        assert_eq!((referrers.len(), next), (1, None));
        assert_eq!(referrers[0].digest, manifest.digest);
        assert_eq!(referrers[0].artifact_type.as_deref(), Some(media_type::OCI_CONFIG));
        assert!(folder.delete_manifest(&name, &manifest.digest.into()).await.unwrap());
        assert!(!folder.delete_manifest(&name, &manifest.digest.into()).await.unwrap());
        assert!(folder.tags(&name, None, 10).await.unwrap().is_empty());
        let (referrers, _) = folder.referrers(&name, &subject.digest, all()).await.unwrap();
        assert!(referrers.is_empty());
        assert!(folder.repositories(None, 10).await.unwrap().is_empty());
    }
}
