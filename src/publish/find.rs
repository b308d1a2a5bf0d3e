//! Which source has an image, and what the image is.

use std::collections::BTreeSet;

use crate::{
    document::{Deployment, NativeDeployment, ServiceDefinition},
    image::{
        Descriptor, ImageConfig, ImageError, ImageManifest, ImageSource, Manifest, Packing, Place,
        RawManifest, VerifiedReader, select,
    },
    publish::{Order, Registries, error::PublishError, order::Source},
    registry::client::RegistryImage,
    types::{Arch, ImageRef, PinnedImage, Platform},
};

/// A config file is some kilobytes; the bound keeps a hostile one out of memory.
const LARGEST_CONFIG: u64 = 4 * 1024 * 1024;

/// An image of the service, found.
#[derive(Debug)]
pub(super) struct FoundImage {
    /// What the definition calls it.
    pub(super) image: ImageRef,
    /// Where it is.
    pub(super) source: Box<dyn ImageSource>,
    /// Whether it has to be pushed, or lies in its registry already.
    pub(super) outside: bool,
    /// Its manifest, or the index over several.
    pub(super) root: RawManifest,
    /// What it runs on, for the service's architecture.
    pub(super) platform: Platform,
    /// The bytes of its config and layers, for the service's architecture.
    pub(super) size: u64,
}

impl FoundImage {
    /// The image by its digest, which is what gets signed.
    pub(super) fn pinned(&self) -> PinnedImage {
        PinnedImage { repository: self.image.repository.clone(), digest: self.root.digest }
    }
}

/// Finds every image of the definition, each once.
pub(super) async fn find_images(
    order: &Order,
    arch: &Arch,
    registries: &Registries,
) -> Result<Vec<FoundImage>, PublishError> {
    let mut found = Vec::new();
    for image in images(&order.definition)? {
        found.push(find_image(&image, arch, order, registries).await?);
    }
    Ok(found)
}

/// The images of the definition, each once.
pub(super) fn images(definition: &ServiceDefinition) -> Result<Vec<ImageRef>, PublishError> {
    let pinned = |image: &PinnedImage| ImageRef {
        repository: image.repository.clone(),
        tag: None,
        digest: Some(image.digest),
    };
    Ok(match &definition.deployment {
        NativeDeployment::Absent => Vec::new(),
        NativeDeployment::Described(deployment) => {
            deployment.images().into_iter().cloned().collect()
        }
        NativeDeployment::Text(text) => {
            let deployment =
                Deployment::<PinnedImage>::from_text(text).map_err(PublishError::Presigned)?;
            let images: BTreeSet<_> =
                deployment.services.values().map(|it| pinned(&it.image)).collect();
            images.into_iter().collect()
        }
    })
}

async fn find_image(
    image: &ImageRef,
    arch: &Arch,
    order: &Order,
    registries: &Registries,
) -> Result<FoundImage, PublishError> {
    let Located { place, source, root } = Box::pin(locate(image, order, registries)).await?;
    let (platform, size) = inspect(image, source.as_ref(), &root, arch).await?;
    let outside = !is_its_own_registry(place, image);
    Ok(FoundImage { image: image.clone(), source, outside, root, platform, size })
}

/// An image, and where it is.
struct Located<'a> {
    place: &'a Place,
    source: Box<dyn ImageSource>,
    root: RawManifest,
}

/// Looks for an image in each place where it may be.
async fn locate<'a>(
    image: &ImageRef,
    order: &'a Order,
    registries: &Registries,
) -> Result<Located<'a>, PublishError> {
    let mut searched = Vec::new();
    for place in places(image, &order.sources) {
        match look(image, place, &order.packing, registries).await {
            Ok((source, root)) => return Ok(Located { place, source, root }),
            Err(error) if is_absence(&error) => searched.push(error.to_string()),
            Err(source) => return Err(PublishError::of(image, source)),
        }
    }
    Err(PublishError::NotFound { image: Box::new(image.clone()), searched })
}

/// Where to look for an image, in this order: in the places that were said, or else in its registry. A
/// digest says that it is there: pushing could only change it.
fn places<'a>(image: &ImageRef, sources: &'a [Source]) -> Vec<&'a Place> {
    const REGISTRY: &Place = &Place::Registry(None);
    let said = sources.iter().filter(|it| it.is_for(image) && image.digest.is_none());
    let said: Vec<_> = said.map(|it| &it.place).collect();
    if said.is_empty() { vec![REGISTRY] } else { said }
}

/// Whether an image that is found at `place` lies where nodes will pull it from.
fn is_its_own_registry(place: &Place, image: &ImageRef) -> bool {
    match place {
        Place::Registry(other) => {
            other.as_ref().is_none_or(|other| other.repository == image.repository)
        }
        Place::Local(_) => false,
    }
}

/// Whether a place can be read, and does not have the image. The search then goes on.
fn is_absence(error: &ImageError) -> bool {
    match error {
        ImageError::NoSuchImage { .. } => true,
        ImageError::Source { source, .. } => matches!(
            source.downcast_ref(),
            Some(crate::registry::client::RegistryError::NotFound { .. })
        ),
        _ => false,
    }
}

/// The architectures of Linux that every image of the definition is there for, in the order of the
/// first one's index.
pub(super) async fn architectures(
    order: &Order,
    registries: &Registries,
) -> Result<Vec<Arch>, PublishError> {
    let mut common: Option<Vec<Arch>> = None;
    for image in images(&order.definition)? {
        let Located { source, root, .. } = Box::pin(locate(&image, order, registries)).await?;
        let there = architectures_of(&image, source.as_ref(), &root).await?;
        common = Some(match common {
            None => there,
            Some(before) => before.into_iter().filter(|it| there.contains(it)).collect(),
        });
    }
    Ok(common.unwrap_or_default())
}

async fn architectures_of(
    image: &ImageRef,
    source: &dyn ImageSource,
    root: &RawManifest,
) -> Result<Vec<Arch>, PublishError> {
    let platforms = match parse(image, root)? {
        Manifest::Index(index) => {
            select::images(&index).filter_map(|it| it.platform.clone()).collect()
        }
        Manifest::Image(manifest) => {
            let platform = platform_of(source, &manifest.config).await;
            vec![platform.map_err(|error| PublishError::of(image, error))?]
        }
    };
    let mut arches = Vec::new();
    for platform in platforms {
        if platform.os == "linux" && !arches.contains(&platform.arch) {
            arches.push(platform.arch);
        }
    }
    Ok(arches)
}

fn parse(image: &ImageRef, raw: &RawManifest) -> Result<Manifest, PublishError> {
    raw.parse().map_err(|source| PublishError::Manifest { image: Box::new(image.clone()), source })
}

async fn look(
    image: &ImageRef,
    place: &Place,
    packing: &Packing,
    registries: &Registries,
) -> Result<(Box<dyn ImageSource>, RawManifest), ImageError> {
    let source: Box<dyn ImageSource> = match place {
        Place::Registry(other) => {
            let image = other.as_ref().unwrap_or(image);
            Box::new(RegistryImage::new(registries.push.clone(), image))
        }
        Place::Local(place) => place.open(Some(image), packing).await?,
    };
    let root = source.root().await?;
    Ok((source, root))
}

/// The platform and the size of what a node of `arch` pulls.
async fn inspect(
    image: &ImageRef,
    source: &dyn ImageSource,
    root: &RawManifest,
    arch: &Arch,
) -> Result<(Platform, u64), PublishError> {
    let wanted = Platform::linux(arch.clone());
    let manifest = manifest_for(image, source, root, &wanted).await?;
    let size = manifest.blobs().map(|blob| blob.size).sum();
    let platform = platform_of(source, &manifest.config)
        .await
        .map_err(|error| PublishError::of(image, error))?;
    if platform.os == wanted.os && platform.arch == wanted.arch {
        return Ok((platform, size));
    }
    Err(wrong_platform(image, &wanted, Some(platform)))
}

fn wrong_platform(image: &ImageRef, wanted: &Platform, has: Option<Platform>) -> PublishError {
    PublishError::WrongPlatform {
        image: Box::new(image.clone()),
        wanted: Box::new(wanted.clone()),
        has: has.map(Box::new),
    }
}

/// The one image manifest for a platform: the root itself, or a child of the index.
async fn manifest_for(
    image: &ImageRef,
    source: &dyn ImageSource,
    root: &RawManifest,
    wanted: &Platform,
) -> Result<ImageManifest, PublishError> {
    let index = match parse(image, root)? {
        Manifest::Image(manifest) => return Ok(manifest),
        Manifest::Index(index) => index,
    };
    let child =
        select::for_platform(&index, wanted).ok_or_else(|| wrong_platform(image, wanted, None))?;
    let child = source.manifest(child).await.map_err(|error| PublishError::of(image, error))?;
    match parse(image, &child)? {
        Manifest::Image(manifest) => Ok(manifest),
        Manifest::Index(_) => Err(PublishError::NestedIndex { image: Box::new(image.clone()) }),
    }
}

async fn platform_of(
    source: &dyn ImageSource,
    config: &Descriptor,
) -> Result<Platform, ImageError> {
    let unreadable = |why: String| ImageError::Malformed { origin: source.describe(), why };
    let bytes = VerifiedReader::new(source.blob(config).await?, config)
        .into_bytes(LARGEST_CONFIG)
        .await
        .map_err(|error| unreadable(error.to_string()))?;
    let config = ImageConfig::from_json(&bytes).map_err(|error| unreadable(error.to_string()))?;
    Ok(config.platform())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::LocalPlace;

    #[test]
    fn what_is_said_is_searched_and_nothing_else() {
        let image: ImageRef = "a.b/c:1".parse().unwrap();
        let other: ImageRef = "a.b/d:1".parse().unwrap();
        let layout = Place::Local(LocalPlace::Layout("x".into(), None));
        let said = [Source { image: Some(image.clone()), place: layout.clone() }];
        assert_eq!(places(&image, &said), [&layout]);
        assert_eq!(places(&other, &said), [&Place::Registry(None)]);
        let pinned = format!("a.b/c@sha256:{}", "1".repeat(64)).parse().unwrap();
        assert_eq!(
            places(&pinned, &[Source { image: None, place: layout }]),
            [&Place::Registry(None)]
        );
    }
}
