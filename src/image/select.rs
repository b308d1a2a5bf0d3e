//! Which manifest of an index runs on a platform.

use crate::{
    image::{Descriptor, Index},
    types::Platform,
};

/// The manifest of `index` for `wanted`: one of the same variant if there is one, else the first
/// that serves. Attestations, which name the platform `unknown/unknown`, are never taken.
pub fn for_platform<'a>(index: &'a Index, wanted: &Platform) -> Option<&'a Descriptor> {
    let serving = || {
        images(index).filter(|manifest| {
            manifest.platform.as_ref().is_some_and(|platform| platform.serves(wanted))
        })
    };
    serving()
        .find(|manifest| manifest.platform.as_ref() == Some(wanted))
        .or_else(|| serving().next())
}

/// The images of `index`, without the attestations that build tools put beside them.
pub fn images(index: &Index) -> impl Iterator<Item = &Descriptor> {
    index.manifests.iter().filter(|manifest| {
        manifest.artifact_type.is_none()
            && !manifest.annotations.contains_key("vnd.docker.reference.type")
            && manifest.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::media_type;

    fn on(os: &str, arch: &str, variant: Option<&str>) -> Descriptor {
        let name = format!("{os}/{arch}/{variant:?}");
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, name.as_bytes());
        descriptor.platform = Some(platform(os, arch, variant));
        descriptor
    }

    fn platform(os: &str, arch: &str, variant: Option<&str>) -> Platform {
        Platform {
            os: os.to_owned(),
            arch: arch.parse().unwrap(),
            variant: variant.map(str::to_owned),
        }
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
}
