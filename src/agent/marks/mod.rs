//! What the node has accepted, on disk: its marks, the trust behind them, the newest catalog and
//! the documents it needs.
//!
//! A commit is acted on only after it was read back through another connection. After a failed one the
//! file decides what was accepted: it is written once more without content, read, and only then is
//! anything newer looked for.

mod database;
mod error;
mod rows;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use error::MarksError;

use crate::{
    agent::{
        folder::{self, FolderError},
        marks::database::Database,
        settle::told,
        verify::Accepted,
    },
    sign::Envelope,
    trust::Marks,
    types::DocumentKey,
};

/// The node's marks and what belongs to them, in one file.
#[derive(Debug)]
pub(super) struct MarksFile {
    path: PathBuf,
    /// Whether the file is known to hold what was read from it last, and to keep it through a power cut.
    is_settled: bool,
}

/// What the node had accepted when it last committed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Its marks; those of a node that has accepted nothing if there are none.
    pub(super) marks: Marks,
    /// Every version of the trust it has walked, from the first.
    pub(super) trust: Vec<Envelope>,
    /// The exact bytes of the newest catalog.
    pub(super) catalog: Option<Vec<u8>>,
    /// The newest envelopes of the documents it needs.
    pub(super) documents: BTreeMap<DocumentKey, Envelope>,
}

impl MarksFile {
    /// Opens the marks at `path` and reads them; an empty file is made if there is none. They can be read
    /// while the disk is full, and nothing newer is accepted then.
    pub(super) async fn open(path: &Path) -> Result<(Self, Kept), MarksError> {
        let mut file = Self { path: path.to_owned(), is_settled: false };
        if let Err(error) = file.settle().await {
            tracing::warn!(
                event = "rollback_state.write_failed",
                path = %path.display(),
                error = %told(&error),
                "nothing newer is accepted until the rollback state can be written"
            );
        }
        let kept = Self::read(path).await?;
        Ok((file, kept))
    }

    /// Reads the marks at `path`; those of a node that has accepted nothing if there is no file.
    pub(super) async fn read(path: &Path) -> Result<Kept, MarksError> {
        let failed = |source| MarksError::database(path, "find", sqlx::Error::Io(source));
        if !path.try_exists().map_err(failed)? {
            return Ok(Kept::default());
        }
        let mut database = Database::open(path).await?;
        let kept = database.read().await;
        database.close().await?;
        kept
    }

    /// Removes the marks at `path`: whatever the node had accepted, it has not any more.
    pub(super) fn remove(path: &Path) -> Result<(), FolderError> {
        // The journals last: SQLite applies none to a file that is empty or new.
        for suffix in ["", "-journal", "-wal", "-shm"] {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            folder::remove(Path::new(&name))?;
        }
        Ok(())
    }

    /// Makes `new` what was accepted: on the disk first, then in `held`. If that fails, `held` becomes what the
    /// disk has, where that can be found out.
    pub(super) async fn accept(
        &mut self,
        held: &mut Accepted,
        new: Accepted,
    ) -> Result<(), MarksError> {
        let committed = self.commit(&held.kept, &new.kept).await;
        match committed {
            Ok(()) => *held = new,
            Err(_) => {
                if let Err(error) = self.recover(held).await {
                    tracing::debug!(error = %told(&error), "the rollback state is read later");
                }
            }
        }
        committed
    }

    /// Makes `held` what the disk has, if it may be something else since a commit failed.
    ///
    /// # Errors
    /// If the disk takes no writes, is not readable, or holds what does not verify: nothing newer may be
    /// accepted then.
    pub(super) async fn recover(&mut self, held: &mut Accepted) -> Result<(), MarksError> {
        if self.is_settled {
            return Ok(());
        }
        self.settle().await?;
        self.is_settled = false;
        let kept = Self::read(&self.path).await?;
        if kept != held.kept {
            let damaged = |what| MarksError::Damaged { path: self.path.clone(), what };
            let restored = Accepted::restore(kept, &held.trust.pin());
            let restored = restored.map_err(|refused| damaged(told(&refused)))?;
            *held = restored.ok_or_else(|| damaged("it holds no trust".to_owned()))?;
        }
        self.is_settled = true;
        Ok(())
    }

    /// Replaces what was kept by `new`, in one transaction, and reads it back through another connection.
    /// `before` is what was read or committed last, so that only what has changed is written.
    pub(super) async fn commit(&mut self, before: &Kept, new: &Kept) -> Result<(), MarksError> {
        // Stays so if this fails, or if nobody waits for its end.
        self.is_settled = false;
        let mut database = Database::create(&self.path).await?;
        let written = database.write(before, new).await;
        database.close().await?;
        written?;
        if Self::read(&self.path).await? != *new {
            return Err(MarksError::NotKept { path: self.path.clone() });
        }
        self.is_settled = true;
        Ok(())
    }

    /// Commits a transaction without content: the disk takes writes, and whatever is read from the file now
    /// survives a power cut, however the commit before this one ended.
    async fn settle(&mut self) -> Result<(), MarksError> {
        self.is_settled = false;
        let mut database = Database::create(&self.path).await?;
        let touched = database.touch().await;
        database.close().await?;
        touched?;
        self.is_settled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
