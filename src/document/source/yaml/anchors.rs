//! What is written once and stands in several places: anchors with their aliases, and `<<`.

use std::collections::BTreeMap;

use crate::document::source::tree::{Content, Member, Node};

/// Aliases may make so many copies of values, and so many bytes of texts: enough for every honest
/// use, and too little for a bomb.
const COPIES: Weight = Weight { nodes: 100_000, bytes: 4 << 20 };

/// How much a value has in it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weight {
    pub(super) nodes: usize,
    pub(super) bytes: usize,
}

impl Weight {
    pub(super) fn add(&mut self, other: Self) {
        self.nodes = self.nodes.saturating_add(other.nodes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// The values that have anchors, and how much was copied for them.
#[derive(Default)]
pub(super) struct Anchors {
    values: BTreeMap<usize, (Node, Weight)>,
    copied: Weight,
}

impl Anchors {
    /// The value of an anchor.
    pub(super) fn get(&self, id: usize) -> Option<(Node, Weight)> {
        self.values.get(&id).cloned()
    }

    pub(super) fn keep(&mut self, id: usize, node: Node, weight: Weight) {
        self.values.insert(id, (node, weight));
    }

    /// Counts a copy; `false` if it is one too many.
    pub(super) fn have_room_for(&mut self, copy: Weight) -> bool {
        self.copied.add(copy);
        self.copied.nodes <= COPIES.nodes && self.copied.bytes <= COPIES.bytes
    }
}

/// Adds the members that `<<` brings along: of an object, or of each of a list of objects. An error is
/// the place of what has none.
pub(super) fn merge(node: Node, merged: &mut Vec<Member>) -> Result<(), usize> {
    match node.content {
        Content::Object(members) => merged.extend(members),
        Content::List(items) if items.iter().all(|it| matches!(it.content, Content::Object(_))) => {
            for item in items {
                merge(item, merged)?;
            }
        }
        _ => return Err(node.at),
    }
    Ok(())
}
