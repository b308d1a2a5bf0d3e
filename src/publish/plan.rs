//! What publishing would do, without doing it.

use serde::Serialize;

use crate::{
    publish::{ImageNote, find::FoundImage},
    types::{DocumentKey, PinnedImage, Platform},
};

/// What publishing would do.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishPlan {
    /// Which document.
    pub key: DocumentKey,
    /// What would become of the document.
    pub document: DocumentPlan,
    /// What would become of its images.
    pub images: Vec<ImagePlan>,
}

/// What would become of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentPlan {
    /// Nothing stands under its name.
    New,
    /// It stands there with the same content.
    Unchanged,
    /// It stands there with the same content, but signed by keys that count no more: it would be
    /// signed anew.
    SignedAnew,
    /// Other content stands there; it is published over only if that is asked for.
    Different,
}

/// What would become of an image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagePlan {
    /// What would be signed.
    pub image: PinnedImage,
    /// What it runs on.
    pub platform: Platform,
    /// The bytes of its config and layers.
    pub size: u64,
    /// Where it would come from.
    pub from: String,
    /// Whether the registry has it already, so that no byte would be sent.
    pub in_registry: bool,
    /// What its publisher should know about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<ImageNote>,
}

impl ImagePlan {
    pub(super) fn new(found: &FoundImage, in_registry: bool) -> Self {
        Self {
            image: found.pinned(),
            platform: found.platform.clone(),
            size: found.size,
            from: found.source.describe(),
            in_registry,
            notes: found.notes.clone(),
        }
    }
}
