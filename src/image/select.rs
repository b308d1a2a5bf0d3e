//! Which manifest of an index runs on a platform.

use futures_util::future::BoxFuture;

use crate::{
    image::{Descriptor, Index, Manifest, media_type},
    types::Platform,
};

/// How deep indexes may lie in indexes.
pub(in crate::image) const MAX_DEPTH: usize = 4;
/// The most indexes within an index that are looked into.
const MAX_INDEXES: usize = 100;
/// How cosign names what a descriptor of its layouts is about.
const COSIGN_KIND: &str = "kind";

/// The manifest of `index` for `wanted`: one of the same variant if there is one, else the first
/// that serves. The only image of an index may have no platform there. Attestations, which name the platform
/// `unknown/unknown`, are never taken.
pub fn for_platform<'a>(index: &'a Index, wanted: &Platform) -> Option<&'a Descriptor> {
    let serving = || {
        images(index).filter_map(|manifest| {
            let platform = manifest.platform.as_ref().filter(|platform| platform.serves(wanted))?;
            Some((manifest, platform))
        })
    };
    serving()
        .find(|(_, platform)| platform.variant == wanted.variant)
        .or_else(|| serving().next())
        .map(|(manifest, _)| manifest)
        .or_else(|| only_image(index).filter(|only| only.platform.is_none()))
}

/// The image of an index that has one alone.
fn only_image(index: &Index) -> Option<&Descriptor> {
    let mut images = images(index);
    images.next().filter(|_| images.next().is_none())
}

/// The images of `index`, without the attestations and signatures that build tools put beside them.
pub fn images(index: &Index) -> impl Iterator<Item = &Descriptor> {
    index.manifests.iter().filter(|manifest| is_image(manifest))
}

/// Whether a manifest of an index is an image, or an index of images.
pub fn is_image(manifest: &Descriptor) -> bool {
    let signs = |kind: &String| {
        kind.strip_prefix("dev.cosignproject.cosign/")
            .is_some_and(|kind| !kind.starts_with("image"))
    };
    manifest.artifact_type.is_none()
        && !manifest.annotations.contains_key("vnd.docker.reference.type")
        && !manifest.annotations.get(COSIGN_KIND).is_some_and(signs)
        && manifest.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
}

/// Fetches and reads a manifest.
pub type FetchManifest<'f, 'a, E> =
    dyn Fn(Descriptor) -> BoxFuture<'a, Result<Manifest, E>> + Sync + 'f;

/// `index` with what the indexes within it list in their places. `fetch` reads each of those; one that lies too deep
/// stays as it is, and serves no platform.
pub async fn flatten<E>(index: Index, fetch: &FetchManifest<'_, '_, E>) -> Result<Index, E> {
    let is_index = |it: &Descriptor| media_type::is_index(&it.media_type) && is_image(it);
    let mut flat = Vec::new();
    let mut waiting: Vec<(Descriptor, usize)> =
        index.manifests.into_iter().rev().map(|it| (it, 1)).collect();
    let mut fetched = 0;
    while let Some((descriptor, depth)) = waiting.pop() {
        if !is_index(&descriptor) || depth >= MAX_DEPTH || fetched == MAX_INDEXES {
            flat.push(descriptor);
            continue;
        }
        fetched += 1;
        match fetch(descriptor.clone()).await? {
            Manifest::Index(inner) => {
                waiting.extend(inner.manifests.into_iter().rev().map(|it| (it, depth + 1)));
            }
            Manifest::Image(_) => flat.push(descriptor),
        }
    }
    Ok(Index { manifests: flat, ..index })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::RawManifest;

    fn on(os: &str, arch: &str, variant: Option<&str>) -> Descriptor {
        let name = format!("{os}/{arch}/{variant:?}");
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, name.as_bytes());
        descriptor.platform = Some(platform(os, arch, variant));
        descriptor
    }

    fn platform(os: &str, arch: &str, variant: Option<&str>) -> Platform {
        let variant = variant.map(str::to_owned);
        Platform { variant, ..Platform::new(os, arch.parse().unwrap()) }
    }

    #[test]
    fn the_same_variant_is_preferred_and_attestations_are_none() {
        let index = Index::new(vec![
            on("unknown", "unknown", None),
            on("linux", "arm", Some("v6")),
            on("linux", "arm", Some("v7")),
            on("linux", "amd64", None),
        ]);
        let chosen =
            |wanted: &Platform| for_platform(&index, wanted).map(|it| it.platform.clone().unwrap());
        for wanted in [platform("linux", "arm", Some("v7")), platform("linux", "amd64", None)] {
            assert_eq!(chosen(&wanted), Some(wanted));
        }
        assert_eq!(
            chosen(&platform("linux", "arm", None)),
            Some(platform("linux", "arm", Some("v6")))
        );
        assert_eq!(chosen(&platform("windows", "amd64", None)), None);
        assert_eq!(images(&index).count(), 3);
    }

    #[test]
    fn the_only_image_needs_no_platform_and_one_of_two_does() {
        let image = Descriptor::of(media_type::OCI_MANIFEST, b"image");
        let mut signature = Descriptor::of(media_type::OCI_MANIFEST, b"signature");
        let kind = "dev.cosignproject.cosign/sigs".to_owned();
        signature.annotations.insert(COSIGN_KIND.to_owned(), kind);
        let wanted = platform("linux", "amd64", None);
        let index = Index::new(vec![image.clone(), signature]);
        assert_eq!(for_platform(&index, &wanted), Some(&image));
        let other = Descriptor::of(media_type::OCI_MANIFEST, b"other");
        assert_eq!(for_platform(&Index::new(vec![image, other]), &wanted), None);
        let elsewhere = Index::new(vec![on("linux", "s390x", None)]);
        assert_eq!(for_platform(&elsewhere, &wanted), None);
    }

    #[tokio::test]
    async fn an_index_within_an_index_is_looked_into_and_a_deep_one_is_not() {
        let raw = |index: &Index| RawManifest::encode(&Manifest::Index(index.clone())).unwrap();
        let arm = on("linux", "arm64", None);
        let mut indexes = vec![Index::new(vec![arm.clone()])];
        for depth in 0..MAX_DEPTH {
            let below = raw(&indexes[depth]).descriptor();
            indexes.push(Index::new(vec![on("linux", "amd64", None), below]));
        }
        let fetch = |descriptor: Descriptor| -> BoxFuture<'_, Result<Manifest, ()>> {
            let found = indexes.iter().find(|it| raw(it).digest == descriptor.digest);
            let found = Manifest::Index(found.unwrap().clone());
            Box::pin(std::future::ready(Ok(found)))
        };
        let wanted = platform("linux", "arm64", None);
        for (depth, index) in indexes.iter().enumerate() {
            let flat = flatten(index.clone(), &fetch).await.unwrap();
            let found = for_platform(&flat, &wanted);
            assert_eq!(found, Some(&arm).filter(|_| depth < MAX_DEPTH), "{depth}");
        }
    }
}
