//! Answers that were found, by everything that they depend on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::walk::Question;
use crate::{recent_map::RecentMap, types::Digest};

/// The most answers that are remembered, some 120 bytes each.
const MOST: usize = 65_536;

/// Everything that an answer depends on, as one digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AnswerKey(Digest);

impl AnswerKey {
    /// The key of a question that is answered by the pattern of a node, or by policies.
    ///
    /// `version` is the number of the organization that grows with its documents, accounts and settings; `trust` is
    /// the document that judges signatures. Nodes that differ in nothing that counts share their answers.
    pub(super) fn new(
        version: i64,
        trust: Option<Digest>,
        pattern: Option<&str>,
        question: &Question<'_>,
    ) -> Self {
        let Question { org, service, owner: _, settings: _, facts, policy } = question;
        let trust = trust.map(|it| it.hex());
        let node = json!([facts.arch, facts.node_type, policy]);
        let key = json!([org, version, trust, pattern, service, node]);
        Self(Digest::of(key.to_string().as_bytes()))
    }
}

/// Whether nodes are to run services; what was asked for longest ago is forgotten first.
#[derive(Debug)]
pub(super) struct Answers(Mutex<RecentMap<AnswerKey, bool>>);

impl Default for Answers {
    fn default() -> Self {
        Self(Mutex::new(RecentMap::new(MOST)))
    }
}

impl Answers {
    pub(super) fn get(&self, key: &AnswerKey) -> Option<bool> {
        self.held().get(key).copied()
    }

    pub(super) fn insert(&self, key: AnswerKey, answer: bool) {
        self.held().insert(key, answer);
    }

    fn held(&self) -> MutexGuard<'_, RecentMap<AnswerKey, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
