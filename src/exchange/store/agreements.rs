//! Agreements of Horizon's nodes, as they report them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row as _;

use super::{Ownership, Permit, Quota, Store, StoreError, Write, nodes::NodeOwnershipRow, time};
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

    /// Keeps an agreement of a node, if the permit allows it; `beats` if that is a sign of life.
    pub async fn put_agreement<E: From<StoreError>>(
        &self,
        org: &OrgId,
        node: &NodeId,
        (id, agreement, beats): (&str, &AgreementRequest, bool),
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) = self.write_if(&NodeOwnershipRow(org, node), permit, now).await?;
        write.put_agreement(org, node, (id, agreement)).await?;
        if beats {
            write.heartbeat(org, node).await?;
        }
        Ok(write.commit().await?)
    }

    /// Removes an agreement of a node, or all of them, if the permit allows it.
    pub async fn remove_agreements<E: From<StoreError>>(
        &self,
        org: &OrgId,
        node: &NodeId,
        id: Option<&str>,
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let (mut write, ()) = self.delete_if(&NodeOwnershipRow(org, node), permit, now).await?;
        write.remove_agreements(org, node, id).await?;
        Ok(write.commit().await?)
    }
}

impl Write {
    async fn put_agreement(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        (id, agreement): (&str, &AgreementRequest),
    ) -> Result<(), StoreError> {
        self.limit(&Quota::AGREEMENTS, org, format!("{org}/{node}")).await?;
        let now = self.now();
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
            .execute(self.sql())
            .await
            .map_err(|error| StoreError::without(error, || format!("node '{org}/{node}'")))?;
        let (resource, operation) = (Resource::NodeAgreement, Operation::CreatedOrModified);
        self.tell_of_node(org, node, resource, operation).await
    }

    async fn remove_agreements(
        &mut self,
        org: &OrgId,
        node: &NodeId,
        id: Option<&str>,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM agreements
                   WHERE org = $1 AND node_id = $2 AND ($3 IS NULL OR id = $3)";
        let query = sqlx::query(sql).bind(org.as_str()).bind(node.as_str()).bind(id);
        if query.execute(self.sql()).await?.rows_affected() == 0 {
            return Err(StoreError::missing("agreement of node", org, node));
        }
        self.tell_of_node(org, node, Resource::NodeAgreement, Operation::Deleted).await
    }
}
