//! One blob onto the disk: verified while it streams, resumed where it broke off, over restarts too.
//!
//! ```text
//!  response ─┐
//!  response ─┼─ batches ─► one thread: write, checksum of each block, digest of the whole
//!  response ─┘             (partial file, and its checkpoint beside it)
//! ```
//!
//! A long blob comes by several responses where one does not fill the link, while fewer blobs than
//! streams are on their way: each brings the next piece, so that what has come stays nearly in order.

use std::path::Path;

use super::{
    BlobOutcome, Pace, Place, Progress, RegistryClient, RegistryError, api_path, auth,
    blobs::content_length,
    http::Call,
    mirrors::{Mirror, Source, Sources},
    retry::Patience,
    tls::connection_error,
    watch::Watch,
};
use crate::{
    image::{Descriptor, manifest::LONGEST},
    types::Repository,
};

mod blocks;
mod body;
mod error;
mod part;
mod plan;
mod stream;
mod transfer;
mod writer;

pub use error::DownloadError;
pub use stream::BlobStream;

use transfer::Transfer;

/// How much room the disk must have for the rest of `blob`, whose partial file is `partial`, in bytes.
/// What was set aside for it counts as here.
pub fn room_needed(blob: &Descriptor, partial: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let here = std::fs::metadata(partial).map_or(0, |it| it.blocks().saturating_mul(512));
    blob.size.saturating_sub(here)
}

/// Whether asking again may do better. Content that is longer than it should be will not become
/// shorter.
fn is_worth_another_try(error: &RegistryError) -> bool {
    match error {
        RegistryError::WrongSize { expected, received, .. } => received < expected,
        error => error.may_pass(),
    }
}

impl RegistryClient {
    /// Brings a blob into the file `partial`, whole and verified.
    ///
    /// What of it is there already, from this process or an earlier one, is not fetched again, except
    /// for blocks that were damaged (found by the checkpoint file beside it, `partial.parts`, which is
    /// removed at the end). It comes from the mirrors of the registry or from itself, over as many
    /// streams as are free for a long one, and is taken up again as long as it makes progress. Nothing
    /// that came is lost by an error, nor by a process that is killed. What a power cut takes is what
    /// the system had not written by then: some 30 seconds. So the file is whole at the end, but it
    /// is for the caller to sync it, if it is to last.
    pub async fn download(
        &self,
        repository: &Repository,
        descriptor: &Descriptor,
        partial: &Path,
        progress: &dyn Progress,
    ) -> Result<(), DownloadError> {
        if descriptor.size > LONGEST {
            let Descriptor { digest, size, .. } = *descriptor;
            return Err(DownloadError::TooLong { digest, size, longest: LONGEST });
        }
        // Never closed.
        let _stream = self.streams.acquire().await.ok();
        let mut doubted = false;
        loop {
            let transfer = Transfer::new(self, descriptor, progress);
            let mut asked = Vec::new();
            let sources = self.mirrors.sources(repository);
            match transfer.run(partial, sources, &mut asked).await {
                Err(DownloadError::WrongContent { .. }) if !asked.is_empty() => {
                    for mirror in &asked {
                        tracing::warn!(%mirror, digest = %descriptor.digest, "the mirror may have lied");
                        self.mirrors.pass_over(mirror);
                    }
                }
                // What was kept may have been wrong from the start, or what came changed on its way.
                Err(DownloadError::WrongContent { .. }) if !doubted => {
                    doubted = true;
                    tracing::warn!(digest = %descriptor.digest, "what came of a blob is wrong: once more");
                }
                Ok(()) => {
                    progress.settled(descriptor, BlobOutcome::Downloaded);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
}
