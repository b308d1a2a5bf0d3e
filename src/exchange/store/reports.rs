//! What nodes say about themselves.

use jiff::Timestamp;

use super::{Store, StoreError, time};
use crate::{
    exchange::api::{NodeReport, ReceivedReport},
    types::NodeRef,
};

impl Store {
    /// Keeps a node's newest report; whether there is such a node. It is no change that anybody
    /// waits for.
    pub async fn put_report(
        &self,
        node: &NodeRef,
        report: &NodeReport,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let document = serde_json::to_string(report)?;
        let mut write = self.write(now).await?;
        let at = write.now();
        let sql = "INSERT INTO node_reports (org, node_id, document, last_updated) \
                   SELECT org, id, $3, $4 FROM nodes WHERE org = $1 AND id = $2 \
                   ON CONFLICT (org, node_id) DO UPDATE SET document = excluded.document, \
                   last_updated = excluded.last_updated";
        let rows = sqlx::query(sql)
            .bind(node.org.as_str())
            .bind(node.id.as_str())
            .bind(document)
            .bind(at)
            .execute(write.sql())
            .await?
            .rows_affected();
        write.commit().await?;
        Ok(rows > 0)
    }

    /// The newest report of a node.
    pub async fn report(&self, node: &NodeRef) -> Result<Option<ReceivedReport>, StoreError> {
        let sql = "SELECT document, last_updated FROM node_reports WHERE org = $1 AND node_id = $2";
        let row: Option<(String, i64)> = sqlx::query_as(sql)
            .bind(node.org.as_str())
            .bind(node.id.as_str())
            .fetch_optional(self.read())
            .await?;
        row.map(|(document, received)| {
            let report = serde_json::from_str(&document)?;
            Ok(ReceivedReport { report, received: time(received) })
        })
        .transpose()
    }
}
