//! A map with a bound: the entry used longest ago makes room for a new one.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

/// At most `most` entries, in the order of their last use.
#[derive(Debug)]
pub(crate) struct RecentMap<K, V> {
    most: usize,
    uses: u64,
    entries: HashMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
}

impl<K: Copy + Eq + Hash, V> RecentMap<K, V> {
    /// An empty map with room for `most` entries, at least one.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), uses: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    /// The entry, without counting that as a use.
    pub(crate) fn peek(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// The entry, which becomes the one used last.
    pub(crate) fn get(&mut self, key: &K) -> Option<&mut V> {
        let (used, value) = self.entries.get_mut(key)?;
        self.uses += 1;
        self.order.remove(used);
        self.order.insert(self.uses, *key);
        *used = self.uses;
        Some(value)
    }

    /// Adds or replaces an entry, which becomes the one used last.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.remove(&key);
        while self.entries.len() >= self.most {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.entries.remove(&oldest);
        }
        self.uses += 1;
        self.order.insert(self.uses, key);
        self.entries.insert(key, (self.uses, value));
    }

    /// Removes an entry.
    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((used, _)) = self.entries.remove(key) {
            self.order.remove(&used);
        }
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        assert_eq!(self.entries.len(), self.order.len());
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_used_longest_ago_makes_room() {
        let mut map = RecentMap::new(3);
        for key in 0..3 {
            map.insert(key, key);
        }
        assert_eq!(map.get(&0), Some(&mut 0));
        map.peek(&1);
        map.insert(3, 3);
        assert_eq!(map.len(), 3);
        assert!(map.peek(&1).is_none());
        assert!([0, 2, 3].iter().all(|key| map.peek(key).is_some()));
        map.insert(0, 7);
        map.remove(&2);
        assert_eq!((map.len(), map.peek(&0)), (2, Some(&7)));
    }
}
