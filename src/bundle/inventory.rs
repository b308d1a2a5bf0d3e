//! What a node has, so that a bundle can leave it out.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::types::{Digest, NodeRef};

/// What a node has already. It is nobody's secret, and nothing is believed for it: a bundle that leaves
/// too much out is one that the node cannot use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inventory {
    /// The node.
    pub node: NodeRef,
    /// The payload hashes of the signed documents that it keeps.
    pub documents: BTreeSet<Digest>,
    /// The configurations and layers that it keeps.
    pub blobs: BTreeSet<Digest>,
}
