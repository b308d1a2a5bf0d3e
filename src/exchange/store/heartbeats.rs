//! When each node was last heard of. A fleet asks for changes hundreds of times a second, so these
//! are collected and written together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::{Condition, Store, StoreError};
use crate::types::{NodeId, OrgId};

/// When nodes were last heard of.
type Noted = HashMap<(OrgId, NodeId), i64>;

/// Heartbeats that are not written yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Heartbeats(Arc<Mutex<Noted>>);

impl Heartbeats {
    fn held(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.held().len()
    }
}

impl Store {
    /// Notes that the node was heard of; it is written with the next [`Store::write_heartbeats`].
    pub fn note_heartbeat(&self, org: &OrgId, node: &NodeId, now: Timestamp) {
        self.heartbeats.held().insert((org.clone(), node.clone()), now.as_millisecond());
    }

    /// Writes what was noted. What cannot be written stays for the next time: one time for each node.
    pub async fn write_heartbeats(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.heartbeats.held().is_empty() || self.condition() == Condition::DiskFull {
            return Ok(());
        }
        let noted = std::mem::take(&mut *self.heartbeats.held());
        let written = self.write_noted(&noted, now).await;
        if written.is_err() {
            let mut held = self.heartbeats.held();
            for (node, time) in noted {
                // One that came meanwhile is newer.
                held.entry(node).or_insert(time);
            }
        }
        written
    }

    async fn write_noted(&self, noted: &Noted, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.write(now).await?;
        for ((org, node), time) in noted {
            let sql = "UPDATE nodes SET last_heartbeat = $3 WHERE org = $1 AND id = $2";
            let query = sqlx::query(sql).bind(org.as_str()).bind(node.as_str()).bind(time);
            query.execute(write.sql()).await?;
        }
        write.commit().await
    }
}
