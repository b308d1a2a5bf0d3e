//! A pass over a bundle that was carried here, in the place of exchange and registries.

use std::{path::Path, sync::Arc};

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{
        Agent, FolderError, Identity, IdentityError, Imported, MarksError, NodeFolder, Outcome,
        Status, marks::MarksFile, source::Carried,
    },
    bundle::{Bundle, Inventory},
    registry::server::storage::{Folder, StorageError},
    sign::Envelope,
    trust::Freshness,
};

/// Why it cannot be said what a node has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// There is no node.
    #[error("the node cannot be opened")]
    Identity(#[from] IdentityError),
    /// Its folder cannot be read.
    #[error("the node's folder cannot be used")]
    Folder(#[from] FolderError),
    /// Its marks cannot be read.
    #[error("the node's marks cannot be used")]
    Marks(#[from] MarksError),
    /// Its content store cannot be read.
    #[error("the node's content store cannot be used")]
    Store(#[from] StorageError),
}

/// What the node in `data` has, for a bundle that leaves that out. An agent may be at work there.
pub async fn inventory(data: &Path) -> Result<Inventory, InventoryError> {
    let folder = NodeFolder::at(data);
    let identity = Identity::load(&folder)?;
    let kept = MarksFile::read(&folder.marks()).await?;
    let documents = kept.documents.values().map(Envelope::digest).collect();
    Ok(Inventory { node: identity.node, documents, blobs: Folder::blobs_in(&folder.store())? })
}

impl Agent {
    /// Accepts what `bundle` brings, with the checks that hold for what the exchange gives, and settles by
    /// it. Neither exchange nor registries are asked, nor told.
    ///
    /// With [`Freshness::with_expiry_waived`] a state is taken whose stamp has expired; that is for the one who is root on
    /// this machine to say, and is written down.
    ///
    /// It is broken off as [`Agent::run_once_until`] is.
    pub async fn import_until(
        &mut self,
        bundle: Bundle,
        freshness: Freshness,
        shutdown: &CancellationToken,
    ) -> Option<Outcome> {
        let before = self.accepted.kept.marks.stamp_seq;
        self.carried = Some(Carried { bundle: Arc::new(bundle), freshness });
        let outcome = self.run_once_until(shutdown).boxed().await;
        self.carried = None;
        let mut outcome = outcome?;
        let marks = &self.accepted.kept.marks;
        if marks.stamp_seq != before {
            let at = outcome.status.at;
            let waived = freshness.is_expiry_waived();
            if waived {
                let stamp = marks.stamp_seq;
                tracing::warn!(stamp, %at, "taken without asking whether the stamp still holds");
            }
            let imported = Imported { at, stamp_seq: marks.stamp_seq, expiry_waived: waived };
            outcome.status = Status { imported: Some(imported), ..outcome.status };
            self.write_down(&outcome.status);
        }
        Some(outcome)
    }
}
