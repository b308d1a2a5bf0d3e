//! Why an image could not be had from its source.

use std::{io, path::PathBuf};

use crate::{
    image::{LayerMismatch, ManifestError, manifest::LONGEST},
    types::{Digest, Platform},
};

/// Why an image could not be had from its source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The source has no image of that name.
    #[error("{origin} has no image `{wanted}`{}", hint(.available))]
    NoSuchImage {
        /// The source.
        origin: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        available: Vec<String>,
    },
    /// The source has several images, and nothing says which one is meant.
    #[error("{origin} has {} images, and nothing says which one is meant: {}", .images.len(), listed(.images))]
    SeveralImages {
        /// The source.
        origin: String,
        /// The name of each, or its digest if it has none.
        images: Vec<String>,
    },
    /// The manifest of an image and its configuration contradict each other.
    #[error("{origin} has a damaged image: {mismatch}")]
    Layers {
        /// The source.
        origin: String,
        /// How they differ.
        mismatch: LayerMismatch,
    },
    /// The image has nothing for a platform.
    #[error("{origin} has nothing for {wanted}{}", hint(.available))]
    NoSuchPlatform {
        /// The source.
        origin: String,
        /// What was asked for.
        wanted: Box<Platform>,
        /// What there is.
        available: Vec<String>,
    },
    /// A target cannot hold an image of this kind.
    #[error("{target} cannot take the image: {why}")]
    Unfit {
        /// The target.
        target: String,
        /// What does not fit.
        why: String,
    },
    /// The source lacks content that its own manifest names.
    #[error("{origin} lacks {digest}")]
    Missing {
        /// The source.
        origin: String,
        /// The content.
        digest: Digest,
    },
    /// Content is not what its digest says.
    #[error("expected {expected}, received {received}")]
    WrongContent {
        /// The digest that was asked for.
        expected: Digest,
        /// The digest of what came.
        received: Digest,
    },
    /// The image names a length that no layer has.
    #[error("{digest} is said to have {size} bytes, and no more than {LONGEST} are fetched")]
    TooLong {
        /// The content.
        digest: Digest,
        /// What the manifest says, in bytes.
        size: u64,
    },
    /// A manifest cannot be read.
    #[error("{origin} has a manifest that cannot be used")]
    Manifest {
        /// The source.
        origin: String,
        /// What is wrong with it.
        source: ManifestError,
    },
    /// The source itself is not of its format, or breaks a limit.
    #[error("{origin} cannot be read: {why}")]
    Malformed {
        /// The source.
        origin: String,
        /// What is wrong.
        why: String,
    },
    /// A file could not be read or written.
    #[error("failed to {action} {}", .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// No engine answers.
    #[error("no container engine answers at {endpoint}: {why}")]
    EngineAway {
        /// Where one was looked for.
        endpoint: String,
        /// Why it was not reached.
        why: String,
    },
    /// The engine does not give the image.
    #[error("the engine at {endpoint} did not give `{image}`")]
    Engine {
        /// Where the engine listens.
        endpoint: String,
        /// The image asked for.
        image: String,
        /// What the engine or the connection to it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another place, such as a registry, could not give it.
    #[error("{origin} did not give the image")]
    Source {
        /// The source.
        origin: String,
        /// What it says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl ImageError {
    /// For `map_err`: an I/O error with what was tried on which file.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// A source that is not of its format, or breaks a limit.
    pub(crate) fn malformed(origin: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Malformed { origin: origin.into(), why: why.into() }
    }
}

/// The most names of images that a message lists.
const MAX_LISTED: usize = 20;
/// The most characters of a name that a message shows.
const MAX_SHOWN: usize = 300;

fn hint(available: &[String]) -> String {
    match available {
        [] => String::new(),
        some => format!("; it has {}", listed(some)),
    }
}

/// Names of images in a message. A source may hold any text as a name, and any number of them.
fn listed(names: &[String]) -> String {
    let shown = names.iter().take(MAX_LISTED).map(|name| {
        let name: String = name.chars().take(MAX_SHOWN).collect();
        name.escape_debug().to_string()
    });
    let text = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_LISTED) {
        0 => text,
        rest => format!("{text} and {rest} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_a_source_are_escaped_and_bounded() {
        let mut images = vec!["a\u{1b}[31m".to_owned(), "b".repeat(1000)];
        images.extend((0..30).map(|number| number.to_string()));
        let error = ImageError::SeveralImages { origin: "the archive x".to_owned(), images };
        let text = error.to_string();
        assert!(text.starts_with("the archive x has 32 images"), "{text}");
        assert!(!text.contains('\u{1b}') && text.ends_with(" and 12 more"), "{text}");
        assert!(text.len() < 1000, "{}", text.len());
    }
}
