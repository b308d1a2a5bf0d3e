//! How far the images of a service have come.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::{image::Descriptor, registry::client::Progress, types::Digest};

/// How far a pull has come: of each blob that is downloaded, its size and the bytes that are here.
#[derive(Debug, Default)]
pub(in crate::agent) struct PullProgress(Mutex<BTreeMap<Digest, Transferred>>);

#[derive(Debug, Clone, Copy)]
struct Transferred {
    size: u64,
    bytes: u64,
}

impl PullProgress {
    /// These blobs are about to be downloaded.
    pub(super) fn expect(&self, blobs: &[&Descriptor]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for blob in blobs {
            known.entry(blob.digest).or_insert(Transferred { size: blob.size, bytes: 0 });
        }
    }

    /// The bytes that are here and the bytes of all blobs; `None` while nothing is downloaded.
    pub(in crate::agent) fn bytes(&self) -> Option<(u64, u64)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, size) = known
            .values()
            .fold((0, 0), |(bytes, size), it| (bytes + it.bytes.min(it.size), size + it.size));
        (size > 0).then_some((bytes, size))
    }

    /// The same for people: `12.3 of 48.0 MB (25 %)`.
    pub(in crate::agent) fn describe(&self) -> Option<String> {
        let (bytes, size) = self.bytes()?;
        let percent = u128::from(bytes) * 100 / u128::from(size);
        Some(format!("{} of {} MB ({percent} %)", megabytes(bytes), megabytes(size)))
    }
}

impl Progress for PullProgress {
    fn moved(&self, blob: &Descriptor, bytes: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(transferred) = known.get_mut(&blob.digest) {
            transferred.bytes = bytes;
        }
    }
}

/// Millions of bytes, with one digit behind the point.
fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_adds_up_what_each_blob_has() {
        let progress = PullProgress::default();
        assert_eq!(progress.describe(), None);
        let blob =
            |name: &str, size| Descriptor::new("application/x", Digest::of(name.as_bytes()), size);
        let (a, b) = (blob("a", 30_000_000), blob("b", 18_000_000));
        progress.expect(&[&a, &b]);
        progress.moved(&a, 10_000_000);
        progress.moved(&b, 2_340_000);
        assert_eq!(progress.describe().unwrap(), "12.3 of 48.0 MB (25 %)");
        // A part has to come again.
        progress.moved(&a, 0);
        assert_eq!(progress.bytes(), Some((2_340_000, 48_000_000)));
    }
}
