//! Agreements of Horizon's nodes, as they report them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row as _;

use super::{Store, StoreError, time};
use crate::{
    exchange::api::{Agreement, AgreementRequest, Operation, Resource},
    types::{NodeId, OrgId},
};

impl Store {
    /// The agreements of a node: all, or the one of this id.
    pub async fn agreements(
        &self,
        org: &OrgId,
        node: &NodeId,
        id: Option<&str>,
    ) -> Result<BTreeMap<String, Agreement>, StoreError> {
        let sql = "SELECT * FROM agreements
                   WHERE org = $1 AND node_id = $2 AND ($3 IS NULL OR id = $3)";
        let query = sqlx::query(sql).bind(org.as_str()).bind(node.as_str()).bind(id);
        let mut agreements = BTreeMap::new();
        for row in &query.fetch_all(self.read()).await? {
            let request = serde_json::from_str::<AgreementRequest>(row.try_get("document")?)?;
            let agreement = Agreement {
                services: request.services.unwrap_or_default(),
                agr_service: request.agreement_service.unwrap_or_default(),
                state: request.state,
                last_updated: time(row.try_get("last_updated")?),
            };
            agreements.insert(row.try_get("id")?, agreement);
        }
        Ok(agreements)
    }

    /// Keeps an agreement of a node; `beats` if that is a sign of life.
    pub async fn put_agreement(
        &self,
        org: &OrgId,
        node: &NodeId,
        id: &str,
        agreement: &AgreementRequest,
        beats: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(now).await?;
        let now = write.now();
        let sql = "INSERT INTO agreements (org, node_id, id, document, last_updated)
                   VALUES ($1, $2, $3, $4, $5)
                   ON CONFLICT (org, node_id, id) DO UPDATE
                   SET document = excluded.document, last_updated = excluded.last_updated";
        sqlx::query(sql)
            .bind(org.as_str())
            .bind(node.as_str())
            .bind(id)
            .bind(serde_json::to_string(agreement)?)
            .bind(now)
            .execute(write.sql())
            .await
            .map_err(|error| StoreError::without(error, || format!("node '{org}/{node}'")))?;
        if beats {
            write.heartbeat(org, node).await?;
        }
        let (resource, operation) = (Resource::NodeAgreement, Operation::CreatedOrModified);
        write.tell_of_node(org, node, resource, operation).await?;
        write.commit().await
    }

    /// Removes an agreement of a node, or all of them.
    pub async fn remove_agreements(
        &self,
        org: &OrgId,
        node: &NodeId,
        id: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.write(now).await?;
        let sql = "DELETE FROM agreements
                   WHERE org = $1 AND node_id = $2 AND ($3 IS NULL OR id = $3)";
        let query = sqlx::query(sql).bind(org.as_str()).bind(node.as_str()).bind(id);
        if query.execute(write.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::missing("agreement of node", org, node));
        }
        write.tell_of_node(org, node, Resource::NodeAgreement, Operation::Deleted).await?;
        write.commit().await
    }
}
