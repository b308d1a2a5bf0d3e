//! Which platforms of an image are meant, where it has several.

use crate::{
    image::{Descriptor, Index, select},
    types::Platform,
};

/// Which platforms of an image are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Platforms {
    /// Whatever there is, with everything that lies beside it in the index.
    #[default]
    All,
    /// These alone.
    Only(Vec<Platform>),
}

/// What is taken of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken<'a> {
    /// The index, and everything it names.
    Whole,
    /// One manifest in the place of the index: the image of a single platform needs no index.
    One(&'a Descriptor),
    /// The index as it is, since another one would have another digest, with these manifests alone.
    /// Not every registry keeps an index whose manifests it lacks.
    Sparse(Vec<&'a Descriptor>),
}

impl Platforms {
    /// What of `index` serves; the platform that it has nothing for, if there is one.
    pub fn of<'a>(&self, index: &'a Index) -> Result<Taken<'a>, &Platform> {
        let wanted = match self {
            Self::All => return Ok(Taken::Whole),
            Self::Only(wanted) => wanted,
        };
        let mut taken: Vec<&Descriptor> = Vec::new();
        for platform in wanted {
            let manifest = select::for_platform(index, platform).ok_or(platform)?;
            if !taken.contains(&manifest) {
                taken.push(manifest);
            }
        }
        Ok(match taken.as_slice() {
            [one] => Taken::One(one),
            _ => Taken::Sparse(taken),
        })
    }

    /// Whether an image that runs on `platform` is among those wanted.
    pub fn includes(&self, platform: &Platform) -> bool {
        match self {
            Self::All => true,
            Self::Only(wanted) => wanted.iter().any(|wanted| platform.serves(wanted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::media_type;

    fn on(platform: &str) -> Descriptor {
        let mut descriptor = Descriptor::of(media_type::OCI_MANIFEST, platform.as_bytes());
        descriptor.platform = Some(platform.parse().unwrap());
        descriptor
    }

    #[test]
    fn one_platform_is_its_manifest_and_several_are_part_of_the_index() {
        let (amd, arm) = (on("linux/amd64"), on("linux/arm64/v8"));
        let index = Index::new(vec![amd.clone(), arm.clone(), on("linux/s390x")]);
        let only = |names: &[&str]| {
            Platforms::Only(names.iter().map(|name| name.parse().unwrap()).collect())
        };
        assert_eq!(Platforms::All.of(&index), Ok(Taken::Whole));
        assert_eq!(only(&["arm64"]).of(&index), Ok(Taken::One(&arm)));
        assert_eq!(only(&["arm64", "linux/arm64/v8"]).of(&index), Ok(Taken::One(&arm)));
        assert_eq!(only(&["arm64", "amd64"]).of(&index), Ok(Taken::Sparse(vec![&arm, &amd])));
        let wanted = "windows/amd64".parse().unwrap();
        assert_eq!(only(&["amd64", "windows/amd64"]).of(&index), Err(&wanted));
    }
}
