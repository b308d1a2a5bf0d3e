//! What the publisher of an image should know about it, though nothing stands in the way.

use std::fmt;

use serde::Serialize;

use crate::types::{Digest, Platform};

/// What the publisher of an image should know about it, though nothing stands in the way; its text is a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", tag = "kind")]
#[non_exhaustive]
pub enum ImageNote {
    /// The source has this image alone, under another name than the definition's.
    OtherName {
        /// The source.
        place: String,
        /// The name there.
        name: String,
    },
    /// The configuration leaves out the platform, so that the word of the index counts.
    PlatformOfIndex {
        /// The platform.
        platform: Platform,
    },
    /// The image is for another system than Linux.
    OtherSystem {
        /// The platform.
        platform: Platform,
    },
    /// Foreign layers are not pushed.
    LeftOutLayers {
        /// How many.
        layers: usize,
    },
    /// The manifest was written anew, with foreign layers as ordinary ones.
    OrdinaryLayers {
        /// How many layers were foreign.
        layers: usize,
        /// The digest of the image in its source.
        from: Digest,
        /// The digest of the image that is pushed.
        to: Digest,
    },
}

impl fmt::Display for ImageNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherName { place, name } => write!(
                f,
                "{place} has one image, called `{}`; it is published under the definition's name",
                name.escape_debug()
            ),
            Self::PlatformOfIndex { platform } => write!(
                f,
                "the configuration of the image names no architecture; the index says {platform}"
            ),
            Self::OtherSystem { platform } => {
                write!(f, "the image runs on {platform}")?;
                if let Some(version) = &platform.os_version {
                    write!(f, " {}", version.escape_debug())?;
                }
                f.write_str(" and not on Linux: nodes with Linux cannot run it")
            }
            Self::LeftOutLayers { layers } => write!(
                f,
                "{layers} foreign layers are not pushed, and nodes fetch them from nowhere else: --include-foreign-layers pushes them"
            ),
            Self::OrdinaryLayers { layers, from, to } => write!(
                f,
                "{layers} foreign layers are pushed as ordinary layers, so that the image has a new digest: {to} instead of {from}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_a_sentence_and_an_object() {
        let name = "a\u{1b}b".to_owned();
        let note = ImageNote::OtherName { place: "the OCI layout x".to_owned(), name };
        assert_eq!(
            note.to_string(),
            "the OCI layout x has one image, called `a\\u{1b}b`; it is published under the definition's name"
        );
        let platform = Platform {
            os_version: Some("10.0.1".to_owned()),
            ..Platform::new("windows", "amd64".parse().unwrap())
        };
        let note = ImageNote::OtherSystem { platform };
        assert!(note.to_string().starts_with("the image runs on windows/amd64 10.0.1 and not"));
        let json = serde_json::to_value(&note).unwrap();
        assert_eq!(json["kind"], "other-system");
        assert_eq!(json["platform"]["os.version"], "10.0.1");
    }
}
