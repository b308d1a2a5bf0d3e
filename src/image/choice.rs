//! Which of the images that a layout or an archive lists is meant.

use std::collections::{HashMap, HashSet};

use crate::{
    image::{
        Descriptor, ImageConfig, ImageError, Index, Manifest, RawManifest, Wanted,
        config::MAX_CONFIG,
        layout::{CONTAINERD_NAME, REF_NAME},
        manifest::MAX_MANIFEST,
        media_type,
        select::{self, MAX_DEPTH},
    },
    types::{Digest, ImageRef, Platform},
};

/// The most images that are put together as one for several platforms.
const MAX_PLATFORMS: usize = 100;

/// An image that a layout or an archive lists, and what the source has of it.
#[derive(Debug, Clone)]
pub(super) struct ImageCandidate<T> {
    /// Its names; a layout may have a tag alone.
    pub(super) names: Vec<CandidateName>,
    /// The digests by which it can be asked for: of its manifest, of its configuration.
    pub(super) digests: Vec<Digest>,
    /// Whether it lies beside images, as attestations, signatures and artifacts do: it is taken by its name or digest
    /// alone.
    pub(super) is_beside: bool,
    /// Where the source has it.
    pub(super) item: T,
}

/// A name that a source has for an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CandidateName {
    /// A whole name, with or without a tag.
    Whole(String),
    /// What a layout calls an image: a tag alone, or a whole name.
    Short(String),
}

impl CandidateName {
    fn as_str(&self) -> &str {
        match self {
            Self::Whole(name) | Self::Short(name) => name,
        }
    }
}

/// The candidates that are meant. There is at least one; several have the same name, or none.
#[derive(Debug)]
pub(super) struct ImageChoice<'a, T> {
    pub(super) meant: Vec<&'a ImageCandidate<T>>,
    /// The name of the only candidate, where another one was asked for.
    pub(super) other_name: Option<String>,
}

impl<T> ImageCandidate<T> {
    /// How a message names it.
    fn label(&self) -> String {
        let name = self.names.first().map(|name| name.as_str().to_owned());
        let digest = || self.digests.first().map(ToString::to_string);
        name.or_else(digest).unwrap_or_else(|| "an image without a name".to_owned())
    }

    /// Whether `name` is one of its names, letter by letter, or one of its digests.
    fn is_called(&self, name: &str) -> bool {
        self.names.iter().any(|it| it.as_str() == name)
            || self.digests.iter().any(|digest| digest.to_string() == name)
    }

    /// Whether one of its whole names means `wanted`.
    fn is_named(&self, wanted: &ImageRef) -> bool {
        self.names.iter().any(|name| means(name.as_str(), wanted))
    }

    /// Whether it is known by the tag of `wanted` alone.
    fn is_tagged(&self, wanted: &ImageRef) -> bool {
        let Some(tag) = &wanted.tag else { return false };
        let has_whole_name = self.names.iter().any(|it| matches!(it, CandidateName::Whole(_)));
        !has_whole_name && self.names.iter().any(|name| name.as_str() == tag.as_str())
    }
}

/// Chooses among `candidates`, each of which is another image.
pub(super) fn choose<'a, T>(
    origin: &str,
    candidates: &'a [ImageCandidate<T>],
    wanted: Wanted<'_>,
) -> Result<ImageChoice<'a, T>, ImageError> {
    let images: Vec<_> = candidates.iter().filter(|it| !it.is_beside).collect();
    let images = if images.is_empty() { candidates.iter().collect() } else { images };
    let matching = |is_meant: &dyn Fn(&ImageCandidate<T>) -> bool| -> Vec<&'a ImageCandidate<T>> {
        let among = |all: &mut dyn Iterator<Item = &'a ImageCandidate<T>>| {
            all.filter(|it| is_meant(it)).collect()
        };
        first_some([among(&mut images.iter().copied()), among(&mut candidates.iter())])
    };
    let by_reference = |image: &ImageRef| match image.digest {
        Some(digest) => matching(&|it| it.digests.contains(&digest)),
        None => {
            first_some([matching(&|it| it.is_named(image)), matching(&|it| it.is_tagged(image))])
        }
    };
    let unnamed = || {
        let none_is_named = images.iter().all(|it| it.names.is_empty());
        if none_is_named { images.clone() } else { Vec::new() }
    };
    let mut other_name = None;
    let meant = match wanted {
        Wanted::Only => images.clone(),
        Wanted::Name(name) => first_some([
            matching(&|it| it.is_called(name)),
            name.parse().map(|image| by_reference(&image)).unwrap_or_default(),
        ]),
        Wanted::Image(image) | Wanted::ImageOrOnly(image) if image.digest.is_some() => {
            by_reference(image)
        }
        Wanted::Image(image) => first_some([by_reference(image), unnamed()]),
        Wanted::ImageOrOnly(image) => {
            let found = first_some([by_reference(image), unnamed()]);
            if found.is_empty() && have_same_names(&images) {
                other_name = images.first().and_then(|it| it.names.first());
                images.clone()
            } else {
                found
            }
        }
    };
    if meant.is_empty() {
        return Err(ImageError::NoSuchImage {
            origin: origin.to_owned(),
            wanted: wanted.to_string(),
            available: candidates.iter().map(ImageCandidate::label).collect(),
        });
    }
    Ok(ImageChoice { meant, other_name: other_name.map(|name| name.as_str().to_owned()) })
}

fn have_same_names<T>(images: &[&ImageCandidate<T>]) -> bool {
    images.windows(2).all(|pair| pair[0].names == pair[1].names)
}

fn first_some<T, const N: usize>(lists: [Vec<T>; N]) -> Vec<T> {
    lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default()
}

/// The error for a choice that nothing decides.
pub(super) fn undecided<T>(origin: &str, meant: &[&ImageCandidate<T>]) -> ImageError {
    let images = meant.iter().map(|it| {
        // Candidates of the same name are told apart by their digests.
        let digest = it.digests.first().map(|digest| format!(" ({digest})"));
        let digest = digest.filter(|_| !it.names.is_empty()).unwrap_or_default();
        it.label() + &digest
    });
    ImageError::SeveralImages { origin: origin.to_owned(), images: images.collect() }
}

/// Whether `saved`, a name in a layout or archive, means the image `wanted`. Engines write Docker
/// Hub's images and their own local ones (`localhost/…`) in several ways.
fn means(saved: &str, wanted: &ImageRef) -> bool {
    fn key(image: &ImageRef) -> (String, String) {
        let name = image.repository.to_string();
        let name = ["docker.io/library/", "docker.io/localhost/", "docker.io/"]
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(&name);
        let tag = image.tag.as_ref().map_or("latest", |tag| tag.as_str());
        (name.to_owned(), tag.to_owned())
    }
    saved.parse::<ImageRef>().is_ok_and(|saved| key(&saved) == key(wanted))
}

/// The images that `index`, the list of a layout, has: each once, with all its names.
pub(super) fn candidates(index: &Index) -> Vec<ImageCandidate<Descriptor>> {
    let mut candidates: Vec<ImageCandidate<Descriptor>> = Vec::new();
    let mut places = HashMap::new();
    for image in &index.manifests {
        let names = names_of(image);
        let at = *places.entry(image.digest).or_insert(candidates.len());
        match candidates.get_mut(at) {
            Some(known) => known.names.extend(names),
            None => candidates.push(ImageCandidate {
                names,
                digests: vec![image.digest],
                is_beside: !select::is_image(image),
                item: image.clone(),
            }),
        }
    }
    candidates
}

fn names_of(image: &Descriptor) -> Vec<CandidateName> {
    let whole = image.annotations.get(CONTAINERD_NAME).cloned().map(CandidateName::Whole);
    let short = image.annotations.get(REF_NAME).cloned().map(CandidateName::Short);
    short.into_iter().chain(whole).collect()
}

/// Reads small content of a layout, whether in a folder or in a tar.
pub(super) trait SmallBlobs {
    /// The content of that digest, unless it is longer than `limit` bytes. It is not verified.
    fn small_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, ImageError>;
}

/// The root of an image that was chosen.
#[derive(Debug, Clone)]
pub(super) struct ChosenRoot {
    pub(super) descriptor: Descriptor,
    /// The index over several images, which no file of the source holds.
    pub(super) made: Option<RawManifest>,
    pub(super) other_name: Option<String>,
}

/// The image that is meant by `choice`: the only candidate, or an index over several for a platform each.
pub(super) fn root_of(
    origin: &str,
    choice: ImageChoice<'_, Descriptor>,
    blobs: &dyn SmallBlobs,
) -> Result<ChosenRoot, ImageError> {
    let ImageChoice { meant, other_name } = choice;
    let meant = without_parts(meant, blobs);
    if let [only] = meant.as_slice() {
        return Ok(ChosenRoot { descriptor: only.item.clone(), made: None, other_name });
    }
    let made = index_over(&meant, blobs).ok_or_else(|| undecided(origin, &meant))?;
    Ok(ChosenRoot { descriptor: made.descriptor(), made: Some(made), other_name })
}

/// The image of a layout that is wanted, by itself or within an index.
pub(super) fn choose_root(
    origin: &str,
    candidates: &[ImageCandidate<Descriptor>],
    wanted: Wanted<'_>,
    blobs: &dyn SmallBlobs,
) -> Result<ChosenRoot, ImageError> {
    match choose(origin, candidates, wanted) {
        Ok(choice) => root_of(origin, choice, blobs),
        Err(absent) => nested(candidates, wanted, blobs).ok_or(absent),
    }
}

/// `meant` without the images that belong to an index among them: some tools list both.
fn without_parts<'a>(
    meant: Vec<&'a ImageCandidate<Descriptor>>,
    blobs: &dyn SmallBlobs,
) -> Vec<&'a ImageCandidate<Descriptor>> {
    if meant.len() < 2 {
        return meant;
    }
    let is_index = |it: &&&ImageCandidate<Descriptor>| media_type::is_index(&it.item.media_type);
    let mut parts = HashSet::new();
    for index in meant.iter().filter(is_index).take(MAX_PLATFORMS) {
        if let Some(Manifest::Index(index)) = read_manifest(&index.item, blobs) {
            parts.extend(index.manifests.iter().map(|it| it.digest));
        }
    }
    meant.into_iter().filter(|it| !parts.contains(&it.item.digest)).collect()
}

/// An index over images that have no names of their own, if each is for another platform.
fn index_over(
    meant: &[&ImageCandidate<Descriptor>],
    blobs: &dyn SmallBlobs,
) -> Option<RawManifest> {
    if meant.len() > MAX_PLATFORMS {
        return None;
    }
    let mut manifests: Vec<Descriptor> = Vec::new();
    for candidate in meant {
        let mut descriptor = candidate.item.clone();
        // The names are those of the index.
        descriptor.annotations.remove(REF_NAME);
        descriptor.annotations.remove(CONTAINERD_NAME);
        let platform = descriptor.platform.take().or_else(|| platform_of(&descriptor, blobs))?;
        if manifests.iter().any(|other| other.platform.as_ref() == Some(&platform)) {
            return None;
        }
        descriptor.platform = Some(platform);
        manifests.push(descriptor);
    }
    RawManifest::encode(&Manifest::Index(Index::new(manifests))).ok()
}

/// What an image runs on by its configuration.
fn platform_of(image: &Descriptor, blobs: &dyn SmallBlobs) -> Option<Platform> {
    let Manifest::Image(image) = read_manifest(image, blobs)? else { return None };
    let config = blobs.small_blob(&image.config.digest, MAX_CONFIG).ok()?;
    let is_named = Digest::of(&config) == image.config.digest;
    ImageConfig::from_json(&config).ok().filter(|_| is_named)?.platform()
}

fn read_manifest(descriptor: &Descriptor, blobs: &dyn SmallBlobs) -> Option<Manifest> {
    let bytes = blobs.small_blob(&descriptor.digest, MAX_MANIFEST).ok()?;
    let raw = RawManifest::new(&descriptor.media_type, bytes);
    raw.parse().ok().filter(|_| raw.digest == descriptor.digest)
}

/// The manifest with the digest that `wanted` asks for, where an index of `candidates` names it.
pub(super) fn nested(
    candidates: &[ImageCandidate<Descriptor>],
    wanted: Wanted<'_>,
    blobs: &dyn SmallBlobs,
) -> Option<ChosenRoot> {
    let digest: Digest = match wanted {
        Wanted::Name(name) => name.parse().ok()?,
        Wanted::Image(image) | Wanted::ImageOrOnly(image) => image.digest?,
        Wanted::Only => return None,
    };
    let mut indexes: Vec<Descriptor> = candidates.iter().map(|it| it.item.clone()).collect();
    let mut seen = HashSet::new();
    for _ in 0..MAX_DEPTH {
        let mut below = Vec::new();
        for index in indexes {
            let is_new = media_type::is_index(&index.media_type) && seen.insert(index.digest);
            if !is_new || seen.len() > MAX_PLATFORMS {
                continue;
            }
            let Some(Manifest::Index(index)) = read_manifest(&index, blobs) else { continue };
            below.extend(index.manifests);
        }
        if let Some(found) = below.iter().find(|it| it.digest == digest) {
            let descriptor = found.clone();
            return Some(ChosenRoot { descriptor, made: None, other_name: None });
        }
        indexes = below;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(names: &[&str]) -> ImageCandidate<u8> {
        let names = names.iter().map(|it| {
            let name = (*it).to_owned();
            if it.contains('/') { CandidateName::Whole(name) } else { CandidateName::Short(name) }
        });
        let names: Vec<_> = names.collect();
        ImageCandidate {
            digests: vec![Digest::of(format!("{names:?}").as_bytes())],
            names,
            is_beside: false,
            item: 0,
        }
    }

    fn chosen(candidates: &[ImageCandidate<u8>], wanted: Wanted<'_>) -> Option<Vec<usize>> {
        let choice = choose("the archive x", candidates, wanted).ok()?;
        let is_it =
            |it: &ImageCandidate<u8>| choice.meant.iter().any(|meant| std::ptr::eq(*meant, it));
        Some((0..candidates.len()).filter(|at| is_it(&candidates[*at])).collect())
    }

    #[test]
    fn a_whole_name_comes_before_a_tag_and_a_tag_before_nothing() {
        let image: ImageRef = "h.io/a:1".parse().unwrap();
        let all = [candidate(&["1"]), candidate(&["h.io/a:1", "1"]), candidate(&["h.io/b:1"])];
        assert_eq!(chosen(&all, Wanted::Image(&image)), Some(vec![1]));
        assert_eq!(chosen(&all[..1], Wanted::Image(&image)), Some(vec![0]));
        assert_eq!(chosen(&all[2..], Wanted::Image(&image)), None);
        assert_eq!(chosen(&[candidate(&[])], Wanted::Image(&image)), Some(vec![0]));
        assert_eq!(chosen(&all, Wanted::Name("1")), Some(vec![0, 1]));
        assert_eq!(chosen(&all, Wanted::Name(&all[2].digests[0].to_string())), Some(vec![2]));
    }

    #[test]
    fn the_only_image_may_have_another_name_where_that_is_allowed() {
        let image: ImageRef = "h.io/a:1".parse().unwrap();
        let other = [candidate(&["h.io/b:2"])];
        assert_eq!(chosen(&other, Wanted::Image(&image)), None);
        let choice = choose("x", &other, Wanted::ImageOrOnly(&image)).unwrap();
        assert_eq!(choice.other_name.as_deref(), Some("h.io/b:2"));
        let two = [candidate(&["h.io/b:2"]), candidate(&["h.io/c:3"])];
        let error = choose("x", &two, Wanted::ImageOrOnly(&image)).unwrap_err();
        assert_eq!(error.to_string(), "x has no image `h.io/a:1`; it has h.io/b:2, h.io/c:3");
    }

    #[test]
    fn what_lies_beside_images_is_taken_by_its_name_alone() {
        let beside = ImageCandidate { is_beside: true, ..candidate(&["sig"]) };
        let all = [candidate(&["1"]), beside];
        assert_eq!(chosen(&all, Wanted::Only), Some(vec![0]));
        assert_eq!(chosen(&all, Wanted::Name("sig")), Some(vec![1]));
        assert_eq!(chosen(&all[1..], Wanted::Only), Some(vec![0]), "an artifact alone");
    }

    #[test]
    fn a_digest_is_never_another_one() {
        let digest = Digest::of(b"other");
        let image: ImageRef = format!("h.io/a@{digest}").parse().unwrap();
        let all = [candidate(&[])];
        assert_eq!(chosen(&all, Wanted::Image(&image)), None);
        assert_eq!(chosen(&all, Wanted::ImageOrOnly(&image)), None);
    }

    #[test]
    fn saved_names_of_docker_hub_are_one() {
        for (saved, wanted) in [
            ("hello:1", "docker.io/library/hello:1"),
            ("docker.io/library/hello", "hello:latest"),
            ("docker.io/localhost/hello:1", "hello:1"),
        ] {
            assert!(means(saved, &wanted.parse().unwrap()), "{saved} {wanted}");
        }
        assert!(!means("hello:1", &"hello:2".parse().unwrap()));
    }
}
