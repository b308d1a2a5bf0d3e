//! What a push or a pull tells while it goes on.

use std::time::Duration;

use super::{BlobOutcome, RegistryError};
use crate::image::Descriptor;

/// Told what becomes of each blob. It is called from the transfer itself, so it must not block.
pub trait Progress: Send + Sync {
    /// These blobs are gone through, each once.
    fn planned(&self, _blobs: &[Descriptor]) {}

    /// So many bytes of a blob are through; fewer than before if a part has to go again.
    fn moved(&self, _blob: &Descriptor, _bytes: u64) {}

    /// A blob broke off, and is tried again after `_wait`.
    fn again(&self, _blob: &Descriptor, _why: &RegistryError, _wait: Duration) {}

    /// A blob is where it should be.
    fn settled(&self, _blob: &Descriptor, _outcome: BlobOutcome) {}
}

/// Tells nobody.
impl Progress for () {}
