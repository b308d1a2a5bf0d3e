//! What the node's owner allows services beyond the default sandbox of containers. It is in a file of the
//! node's folder, which local commands alone write: nothing that the exchange sends can widen it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    agent::folder::{self, FolderError, NodeFolder},
    document::HostAccess,
};

/// The most entries of each list, so that the file stays small.
const MOST: usize = 1024;

/// What the owner allows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowances {
    /// What the owner allowed by a command.
    #[serde(default)]
    pub allow: BTreeSet<HostAccess>,
    /// What ran when an agent without this rule was replaced, until the owner removes it.
    #[serde(default)]
    pub carried_over: BTreeSet<HostAccess>,
    /// What each service used that ran then, by its full name: its containers do not say it themselves.
    #[serde(default)]
    pub(super) in_use: BTreeMap<String, BTreeSet<HostAccess>>,
    /// Whether `carried_over` is complete. A node of an earlier version has no file, and so it is false.
    #[serde(default)]
    pub(super) is_recorded: bool,
}

/// Errors of changing the allowances of a node.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AllowanceError {
    /// A file of the node's folder cannot be used.
    #[error("failed to access the allowances of the node")]
    Folder(#[from] FolderError),
    /// No node is registered in the folder.
    #[error("no node is registered in {}", path.display())]
    NotRegistered {
        /// The folder.
        path: PathBuf,
    },
    /// More than the file takes.
    #[error("a node has at most {MOST} allowances")]
    TooMany,
    /// What is to be removed is not allowed.
    #[error("{0} is not allowed here")]
    NotAllowed(HostAccess),
}

/// A change of the allowances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowanceChange {
    /// Allows more.
    Allow(Vec<HostAccess>),
    /// Removes these from the list, also where an upgrade has carried them over.
    Remove(Vec<HostAccess>),
}

impl Allowances {
    /// Those of a node that is registered now: nothing of it runs yet.
    pub fn of_new_node(allow: impl IntoIterator<Item = HostAccess>) -> Self {
        let allow = allow.into_iter().collect();
        Self { allow, is_recorded: true, ..Self::default() }
    }

    /// Everything that is allowed.
    pub fn iter(&self) -> impl Iterator<Item = &HostAccess> {
        self.allow.iter().chain(&self.carried_over)
    }

    /// Reads those of the node in `folder`.
    ///
    /// # Errors
    /// If the file is damaged, or others can write it.
    pub(super) fn load(folder: &NodeFolder) -> Result<Self, FolderError> {
        let path = folder.allowances();
        let Some(bytes) = folder::read_private(&path)? else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&bytes).map_err(|error| FolderError::malformed(&path, &error))
    }

    /// Writes them into `folder`.
    pub(super) fn save(&self, folder: &NodeFolder) -> Result<(), FolderError> {
        // Strings and a flag are always JSON.
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        folder::write_whole(&folder.allowances(), &bytes)
    }

    fn apply(&mut self, change: AllowanceChange) -> Result<(), AllowanceError> {
        match change {
            AllowanceChange::Allow(more) => {
                for access in more {
                    self.carried_over.remove(&access);
                    self.allow.insert(access);
                }
                if self.allow.len() > MOST { Err(AllowanceError::TooMany) } else { Ok(()) }
            }
            AllowanceChange::Remove(fewer) => {
                for access in fewer {
                    let was_allowed = self.allow.remove(&access);
                    let was_carried = self.carried_over.remove(&access);
                    if !was_allowed && !was_carried {
                        return Err(AllowanceError::NotAllowed(access));
                    }
                }
                Ok(())
            }
        }
    }
}

/// The allowances of the node in `data`. An agent that runs there reads them before each of its passes.
///
/// # Errors
/// If no node is registered there, or the file is damaged.
pub fn allowances(data: &Path) -> Result<Allowances, AllowanceError> {
    let folder = NodeFolder::at(data);
    if !folder.identity().is_file() {
        return Err(AllowanceError::NotRegistered { path: data.to_owned() });
    }
    Ok(Allowances::load(&folder)?)
}

/// Changes the allowances of the node in `data`, whether or not its agent runs.
///
/// # Errors
/// If no node is registered there, what is to be removed is not allowed, or the file cannot be written.
pub fn change_allowances(
    data: &Path,
    change: AllowanceChange,
) -> Result<Allowances, AllowanceError> {
    let mut changed = allowances(data)?;
    changed.apply(change)?;
    changed.save(&NodeFolder::at(data))?;
    Ok(changed)
}
