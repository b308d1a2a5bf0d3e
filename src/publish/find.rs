//! Which source has an image, and what the image is.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;

use crate::{
    document::{Deployment, NativeDeployment, ServiceDefinition},
    image::{
        Descriptor, ImageConfig, ImageError, ImageManifest, ImageSource, Index, LocalPlace,
        Manifest, Parts, Place, Platforms, RawManifest, Wanted, check_layers, select,
    },
    publish::{ImageNote, Order, Registries, error::PublishError, order::Source},
    registry::client::{Foreign, RegistryImage},
    types::{Arch, ImageRef, PinnedImage, Platform, Registry},
};

/// An image of the service, found.
#[derive(Debug)]
pub(super) struct FoundImage {
    /// What the definition calls it.
    pub(super) image: ImageRef,
    /// Where it is.
    pub(super) source: Box<dyn ImageSource>,
    /// Whether it has to be pushed, or lies in its registry already.
    pub(super) outside: bool,
    /// Its manifest, or the index over several, as nodes pull it.
    pub(super) root: RawManifest,
    /// The manifest of what a node of the service's architecture pulls.
    pub(super) manifest: ImageManifest,
    /// What it runs on, for the service's architecture.
    pub(super) platform: Platform,
    /// The bytes of its config and layers, for the service's architecture.
    pub(super) size: u64,
    /// What its publisher should know about it.
    pub(super) notes: Vec<ImageNote>,
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
    let images = images(&order.definition)?;
    for image in &images {
        let search = ImageSearch { order, registries, is_only: images.len() == 1 };
        found.push(find_image(image, arch, &search).await?);
    }
    Ok(found)
}

/// The registries that a definition's images are in.
pub fn registries_of(definition: &ServiceDefinition) -> Result<BTreeSet<Registry>, PublishError> {
    Ok(images(definition)?.iter().map(|image| image.repository.registry().clone()).collect())
}

/// Where images are looked for, and how.
#[derive(Debug, Clone, Copy)]
struct ImageSearch<'a> {
    order: &'a Order,
    registries: &'a Registries,
    /// Whether the definition has one image alone.
    is_only: bool,
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

impl ImageSearch<'_> {
    /// Opens `image` from `place`, where it is the one that is `wanted`.
    async fn look_at(
        &self,
        place: &Place,
        image: &ImageRef,
        wanted: Wanted<'_>,
    ) -> Result<Located, ImageError> {
        let source: Box<dyn ImageSource> = match place {
            Place::Registry(other) => {
                let mut there = other.as_ref().unwrap_or(image).clone();
                there.digest = there.digest.or(image.digest);
                Box::new(RegistryImage::new(self.registries.push.clone(), &there))
            }
            Place::Local(place) => place.open(wanted, &self.order.packing).await?,
        };
        let root = source.root().await?;
        Ok(Located { place: place.clone(), source, root })
    }
}

async fn find_image(
    image: &ImageRef,
    arch: &Arch,
    search: &ImageSearch<'_>,
) -> Result<FoundImage, PublishError> {
    let Located { place, source, mut root } = Box::pin(locate(image, search)).await?;
    let mut notes = Vec::new();
    if let Some(name) = source.other_name() {
        notes.push(ImageNote::OtherName { place: source.describe(), name: name.to_owned() });
    }
    let Inspected { mut manifest, platform, size, is_listed } =
        inspect(image, source.as_ref(), &root, arch).await?;
    if is_listed {
        notes.push(ImageNote::PlatformOfIndex { platform: platform.clone() });
    }
    if platform.os != "linux" {
        notes.push(ImageNote::OtherSystem { platform: platform.clone() });
    }
    let mut outside = !is_its_own_registry(&place, image);
    let foreign = search.order.foreign;
    if outside || foreign == Foreign::Include {
        let parts = Parts::of(source.as_ref(), &Platforms::All).await;
        let parts = parts.map_err(|error| PublishError::of(image, error))?;
        let layers = parts.foreign.len();
        match foreign {
            _ if layers == 0 => (),
            Foreign::LeaveOut => notes.push(ImageNote::LeftOutLayers { layers }),
            Foreign::Include => {
                let ordinary = parts.with_ordinary_layers();
                let ordinary = ordinary.map_err(|error| PublishError::of(image, error))?.root;
                let (from, to) = (root.digest, ordinary.digest);
                notes.push(ImageNote::OrdinaryLayers { layers, from, to });
                root = ordinary;
                manifest.layers =
                    manifest.layers.into_iter().map(Descriptor::into_ordinary_layer).collect();
                outside = true;
            }
        }
    }
    Ok(FoundImage { image: image.clone(), source, outside, root, manifest, platform, size, notes })
}

/// An image, and where it is.
struct Located {
    place: Place,
    source: Box<dyn ImageSource>,
    root: RawManifest,
}

/// Looks for an image in each place where it may be, and then for the only image of a folder or file, whatever its name.
async fn locate(image: &ImageRef, search: &ImageSearch<'_>) -> Result<Located, PublishError> {
    let mut searched = Vec::new();
    let places = places(image, &search.order.sources);
    for source in &places {
        match search.look_at(&source.place, image, Wanted::Image(image)).await {
            // What the place has under this name may be packed otherwise than what is asked for.
            Ok(found) if image.digest.is_some_and(|digest| digest != found.root.digest) => {
                let (origin, digest) = (found.source.describe(), found.root.digest);
                searched.push(format!("{origin} has {digest} instead"));
            }
            Ok(found) => return Ok(found),
            Err(error) if is_absence(&error) => searched.push(error.to_string()),
            Err(error) => return Err(PublishError::of(image, error)),
        }
    }
    let may_have_other_name = |it: &&Source| {
        let is_for_one = search.is_only || it.image.is_some();
        is_for_one && image.digest.is_none() && is_nameless_file(&it.place)
    };
    for source in places.iter().filter(may_have_other_name) {
        match search.look_at(&source.place, image, Wanted::ImageOrOnly(image)).await {
            Ok(found) => return Ok(found),
            Err(error) if is_absence(&error) => (),
            Err(error) => return Err(PublishError::of(image, error)),
        }
    }
    Err(PublishError::NotFound { image: Box::new(image.clone()), searched })
}

/// Whether a place is a folder or file, and names no image in it.
fn is_nameless_file(place: &Place) -> bool {
    match place {
        Place::Local(LocalPlace::Engine(..)) | Place::Registry(_) => false,
        Place::Local(local) => local.name().is_none(),
    }
}

/// Where to look for an image, in this order: in the places that are given for it, or else in its registry. An image
/// with a digest is looked for in its registry too, and before an engine, which has to export an image to tell its
/// digest.
fn places(image: &ImageRef, sources: &[Source]) -> Vec<Source> {
    let registry = || Source { image: None, place: Place::Registry(None) };
    let mut places: Vec<Source> = sources.iter().filter(|it| it.is_for(image)).cloned().collect();
    if image.digest.is_some() {
        let (engines, mut others): (Vec<_>, Vec<_>) = places
            .into_iter()
            .partition(|it| matches!(it.place, Place::Local(LocalPlace::Engine(..))));
        if others.iter().all(|it| it.place != Place::Registry(None)) {
            others.push(registry());
        }
        places = others.into_iter().chain(engines).collect();
    }
    if places.is_empty() {
        places.push(registry());
    }
    places
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

/// The architectures that every image of the definition is there for, in the order of the first one's index: those of
/// Linux, or of another system where an image has none for Linux.
pub(super) async fn architectures(
    order: &Order,
    registries: &Registries,
) -> Result<Vec<Arch>, PublishError> {
    let mut common: Option<Vec<Arch>> = None;
    let images = images(&order.definition)?;
    let search = ImageSearch { order, registries, is_only: images.len() == 1 };
    for image in &images {
        let Located { source, root, .. } = Box::pin(locate(image, &search)).await?;
        let there = architectures_of(image, source.as_ref(), &root).await?;
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
    let platforms: Vec<Platform> = match parse(image, root)? {
        Manifest::Index(index) => {
            let index = flatten(image, source, index).await?;
            let mut platforms = Vec::new();
            for child in select::images(&index) {
                platforms.push(match &child.platform {
                    Some(platform) => platform.clone(),
                    None => platform_of_child(image, source, child).await?,
                });
            }
            platforms
        }
        Manifest::Image(manifest) => {
            let listed = source.listed_platform();
            vec![platform_of(image, source, &manifest.config, listed).await?.0]
        }
    };
    let has_linux = platforms.iter().any(|it| it.os == "linux");
    let mut arches = Vec::new();
    for platform in platforms.into_iter().filter(|it| it.os == "linux" || !has_linux) {
        if !arches.contains(&platform.arch) {
            arches.push(platform.arch);
        }
    }
    Ok(arches)
}

/// What an image runs on that an index lists without a platform.
async fn platform_of_child(
    image: &ImageRef,
    source: &dyn ImageSource,
    child: &Descriptor,
) -> Result<Platform, PublishError> {
    let raw = source.manifest(child).await.map_err(|error| PublishError::of(image, error))?;
    match parse(image, &raw)? {
        Manifest::Image(manifest) => {
            Ok(platform_of(image, source, &manifest.config, None).await?.0)
        }
        Manifest::Index(_) => Err(PublishError::NestedIndex { image: Box::new(image.clone()) }),
    }
}

fn parse(image: &ImageRef, raw: &RawManifest) -> Result<Manifest, PublishError> {
    raw.parse().map_err(|source| PublishError::Manifest { image: Box::new(image.clone()), source })
}

/// What a node of an architecture pulls.
struct Inspected {
    manifest: ImageManifest,
    platform: Platform,
    /// The bytes of the configuration and the layers.
    size: u64,
    /// Whether the configuration leaves out the platform, so that the word of the index counts.
    is_listed: bool,
}

/// What a node of `arch` pulls. The image is one for Linux, or one for Windows where there is none for Linux.
async fn inspect(
    image: &ImageRef,
    source: &dyn ImageSource,
    root: &RawManifest,
    arch: &Arch,
) -> Result<Inspected, PublishError> {
    let wanted = [Platform::linux(arch.clone()), Platform::new("windows", arch.clone())];
    let (manifest, listed) = manifest_for(image, source, root, &wanted).await?;
    let size = manifest.blobs().map(|blob| blob.size).sum();
    let (platform, is_listed) =
        platform_of(image, source, &manifest.config, listed.as_ref()).await?;
    if !wanted.iter().any(|it| platform.serves(it)) {
        return Err(wrong_platform(image, &wanted[0], Some(platform)));
    }
    check_layers(source, &manifest).await.map_err(|error| PublishError::of(image, error))?;
    Ok(Inspected { manifest, platform, size, is_listed })
}

fn wrong_platform(image: &ImageRef, wanted: &Platform, has: Option<Platform>) -> PublishError {
    PublishError::WrongPlatform {
        image: Box::new(image.clone()),
        wanted: Box::new(wanted.clone()),
        has: has.map(Box::new),
    }
}

/// The one image manifest for the first of `wanted` that there is one for, and what is said about its platform: the
/// root itself, or a manifest below the index.
async fn manifest_for(
    image: &ImageRef,
    source: &dyn ImageSource,
    root: &RawManifest,
    wanted: &[Platform; 2],
) -> Result<(ImageManifest, Option<Platform>), PublishError> {
    let index = match parse(image, root)? {
        Manifest::Image(manifest) => return Ok((manifest, source.listed_platform().cloned())),
        Manifest::Index(index) => flatten(image, source, index).await?,
    };
    let child = wanted
        .iter()
        .find_map(|wanted| select::for_platform(&index, wanted))
        .ok_or_else(|| wrong_platform(image, &wanted[0], None))?;
    let raw = source.manifest(child).await.map_err(|error| PublishError::of(image, error))?;
    match parse(image, &raw)? {
        Manifest::Image(manifest) => Ok((manifest, child.platform.clone())),
        Manifest::Index(_) => Err(PublishError::NestedIndex { image: Box::new(image.clone()) }),
    }
}

/// `index` with what the indexes within it list in their places.
async fn flatten(
    image: &ImageRef,
    source: &dyn ImageSource,
    index: Index,
) -> Result<Index, PublishError> {
    let fetch = |descriptor: Descriptor| -> BoxFuture<'_, Result<Manifest, PublishError>> {
        Box::pin(async move {
            let raw = source.manifest(&descriptor).await;
            parse(image, &raw.map_err(|error| PublishError::of(image, error))?)
        })
    };
    select::flatten(index, &fetch).await
}

/// What the image with the configuration `config` runs on, and whether that is the word of `listed`, what an index says
/// about it.
async fn platform_of(
    image: &ImageRef,
    source: &dyn ImageSource,
    config: &Descriptor,
    listed: Option<&Platform>,
) -> Result<(Platform, bool), PublishError> {
    let digest = config.digest;
    let config = ImageConfig::fetch(source, config).await;
    let config = config.map_err(|error| PublishError::of(image, error))?;
    let is_listed = config.platform().is_none();
    let platform = config.platform_in(listed).ok_or_else(|| {
        let why = format!(
            "the configuration {digest} of the image names no architecture, and no index names one for it"
        );
        PublishError::of(image, ImageError::malformed(source.describe(), why))
    })?;
    Ok((platform, is_listed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::LocalPlace;

    #[test]
    fn the_given_places_are_searched_and_for_a_digest_the_registry_too() {
        let image: ImageRef = "a.b/c:1".parse().unwrap();
        let other: ImageRef = "a.b/d:1".parse().unwrap();
        let places = |image: &ImageRef, given: &[Source]| -> Vec<Place> {
            places(image, given).into_iter().map(|it| it.place).collect()
        };
        let registry = Place::Registry(None);
        let layout = Place::Local(LocalPlace::Layout("x".into(), None));
        let given = [Source { image: Some(image.clone()), place: layout.clone() }];
        assert_eq!(places(&image, &given), std::slice::from_ref(&layout));
        assert_eq!(places(&other, &given), std::slice::from_ref(&registry));
        let engine = "unix:///x".parse().unwrap();
        let engine = Place::Local(LocalPlace::Engine(engine, None));
        let pinned = format!("a.b/c@sha256:{}", "1".repeat(64)).parse().unwrap();
        let any = |place: &Place| Source { image: None, place: place.clone() };
        assert_eq!(
            places(&pinned, &[any(&engine), any(&layout)]),
            [layout, registry.clone(), engine.clone()]
        );
        assert_eq!(places(&pinned, &[any(&engine), any(&registry)]), [registry, engine]);
    }
}
