//! What publishing did, or would do.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    publish::{ImageNote, find::FoundImage},
    registry::client::Pushed,
    types::{DocumentKey, PinnedImage, Platform, Repository},
};

/// How far a node can trust what was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrustGrade {
    /// The whole document is signed, and its freshness is attested.
    Full,
    /// Horizon's own signature over the deployment alone: the exchange has no place for more.
    Horizon,
}

/// A published document.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// Which document.
    pub key: DocumentKey,
    /// Its sequence number: how often it was published under this name. 0 with Horizon's exchange.
    pub seq: u64,
    /// Whether it stood there already, byte for byte.
    pub unchanged: bool,
    /// Whether other pull credentials took the place of those before, although the document is unchanged.
    #[serde(skip_serializing_if = "is_false")]
    pub credentials_replaced: bool,
    /// What protects it.
    pub trust: TrustGrade,
    /// Its images, where it is a service.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ShippedReport>,
    /// The repositories that the logins given to nodes can push to: a node that is taken over could change images there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub pushable: BTreeSet<Repository>,
}

impl Published {
    /// A document without images.
    pub(super) fn new(key: DocumentKey, seq: u64, unchanged: bool, trust: TrustGrade) -> Self {
        Self {
            key,
            seq,
            unchanged,
            credentials_replaced: false,
            trust,
            images: Vec::new(),
            pushable: BTreeSet::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(it: &bool) -> bool {
    !it
}

/// An image that was shipped.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShippedReport {
    /// The image by its digest.
    pub image: PinnedImage,
    /// What it runs on.
    pub platform: Platform,
    /// The bytes of its config and layers.
    pub size: u64,
    /// How many blobs were sent, found there, and mounted from another repository.
    pub blobs: BlobCounts,
    /// How many bytes of blobs were sent.
    pub sent_bytes: u64,
    /// What its publisher should know about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<ImageNote>,
}

/// What became of an image's blobs.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct BlobCounts {
    /// Sent over the network.
    pub uploaded: usize,
    /// In the repository already.
    pub existed: usize,
    /// Taken over from another repository of the registry.
    pub mounted: usize,
}

impl ShippedReport {
    /// `pushed` is `None` where the image was in its registry already.
    pub(super) fn new(found: &FoundImage, pushed: Option<&Pushed>) -> Self {
        let blobs = pushed.map(|it| BlobCounts {
            uploaded: it.uploaded,
            existed: it.existed,
            mounted: it.mounted,
        });
        Self {
            image: found.pinned(),
            platform: found.platform.clone(),
            size: found.size,
            blobs: blobs.unwrap_or_default(),
            sent_bytes: pushed.map_or(0, |it| it.bytes),
            notes: found.notes.clone(),
        }
    }
}
