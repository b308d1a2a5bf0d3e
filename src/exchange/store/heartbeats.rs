//! When each node was last heard of. A fleet asks for changes hundreds of times a second, so these
//! are collected and written together.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::{Store, StoreError};
use crate::types::{NodeId, OrgId};

/// Heartbeats that are not written yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Heartbeats(Arc<Mutex<HashMap<(OrgId, NodeId), i64>>>);

impl Heartbeats {
    fn held(&self) -> MutexGuard<'_, HashMap<(OrgId, NodeId), i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Notes that the node was heard of; it is written with the next [`Store::write_heartbeats`].
    pub fn note_heartbeat(&self, org: &OrgId, node: &NodeId, now: Timestamp) {
        self.heartbeats.held().insert((org.clone(), node.clone()), now.as_millisecond());
    }

    /// Writes what was noted. What cannot be written is forgotten: the next heartbeat says it again.
    pub async fn write_heartbeats(&self, now: Timestamp) -> Result<(), StoreError> {
        let noted = std::mem::take(&mut *self.heartbeats.held());
        if noted.is_empty() {
            return Ok(());
        }
        let mut write = self.write(now).await?;
        for ((org, node), time) in noted {
            let sql = "UPDATE nodes SET last_heartbeat = $3 WHERE org = $1 AND id = $2";
            let query = sqlx::query(sql).bind(org.as_str()).bind(node.as_str()).bind(time);
            query.execute(write.sql()).await?;
        }
        write.commit().await
    }
}
