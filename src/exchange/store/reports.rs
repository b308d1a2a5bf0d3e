//! What nodes say about themselves.

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use sqlx::QueryBuilder;

use super::{
    Db, Ownership, Permit, ProfilesOf, Quota, Store, StoreError, Write, bad, column,
    nodes::NodeOwnershipRow, readable, time,
};
use crate::{
    exchange::api::{
        MOST_REFUSING, NodeReport, NodeStates, ReceivedReport, RefusingNodes, ReportedState,
    },
    types::{NodeId, NodeRef, OrgId},
};

/// More names than a node has reasons for: the list of all nodes must not grow by what one of them says.
const MOST_ATTACKS: usize = 8;
/// The longest name of an attack that is handed on, in bytes.
const LONGEST_ATTACK: usize = 64;
/// The name of what no node can notice by itself: others have seen another stamp of the same number.
const SPLIT_VIEW: &str = "split-view";
/// A report without refusals holds this; inside a text its quotes would be escaped.
const NO_REFUSALS: &str = "%\"refusals\":[]%";

impl Store {
    /// Keeps a node's newest report, if the permit allows it; whether there is such a node. It is no change that
    /// anybody waits for.
    pub async fn put_report<E: From<StoreError>>(
        &self,
        node: &NodeRef,
        report: &NodeReport,
        permit: Permit<'_, Ownership, (), E>,
        now: Timestamp,
    ) -> Result<bool, E> {
        let document = serde_json::to_string(report).map_err(StoreError::from)?;
        let (mut write, ()) =
            self.write_if(&NodeOwnershipRow(&node.org, &node.id), permit, now).await?;
        let is_kept = write.put_report(node, report, document).await?;
        write.commit().await?;
        Ok(is_kept)
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

    /// How the nodes do that have reported, by name: all, or of one owner, or one; those after `after`, at most `limit`.
    pub async fn node_states(
        &self,
        org: &OrgId,
        which: ProfilesOf<'_>,
        limit: u32,
    ) -> Result<NodeStates, StoreError> {
        let ProfilesOf { owner, only, after } = which;
        let mut query = QueryBuilder::<Db>::new(
            "SELECT r.node_id, r.document, r.last_updated FROM node_reports r \
             JOIN nodes n ON n.org = r.org AND n.id = r.node_id WHERE r.org = ",
        );
        query.push_bind(org.as_str());
        for (condition, value) in [
            (" AND n.owner = ", owner),
            (" AND n.id = ", only.map(NodeId::as_str)),
            (" AND r.node_id > ", after.map(NodeId::as_str)),
        ] {
            if let Some(value) = value {
                query.push(condition).push_bind(value.to_owned());
            }
        }
        query.push(" ORDER BY r.node_id LIMIT ").push_bind(i64::from(limit));
        let mut states = NodeStates::default();
        let query = query.build_query_as::<(String, String, i64)>();
        let mut rows = query.fetch(self.read());
        let (mut read, mut last) = (0, None);
        while let Some((id, document, received)) = rows.try_next().await? {
            let id: NodeId = id.parse().map_err(bad)?;
            (read, last) = (read + 1, Some(id.clone()));
            let report = serde_json::from_str::<NodeReport>(&document).map_err(StoreError::from);
            let Some(report) = readable("node_reports", report) else { continue };
            let state = ReportedState { state: report.state(), received: time(received) };
            states.nodes.insert(id, state);
        }
        states.next = last.filter(|_| read == limit);
        Ok(states)
    }

    /// The nodes whose newest report has refusals, and those that were shown another stamp than others
    /// under its number: all, or of one owner, or one.
    pub async fn refusing_nodes(
        &self,
        org: &OrgId,
        owner: Option<&str>,
        only: Option<&NodeId>,
    ) -> Result<RefusingNodes, StoreError> {
        let visible = |query: &mut QueryBuilder<Db>| {
            if let Some(owner) = owner {
                query.push(" AND n.owner = ").push_bind(owner.to_owned());
            }
            if let Some(id) = only {
                query.push(" AND n.id = ").push_bind(id.as_str().to_owned());
            }
        };
        let mut query = QueryBuilder::<Db>::new(
            "SELECT r.node_id, r.document FROM node_reports r \
             JOIN nodes n ON n.org = r.org AND n.id = r.node_id WHERE r.org = ",
        );
        query.push_bind(org.as_str()).push(" AND r.document NOT LIKE ").push_bind(NO_REFUSALS);
        visible(&mut query);
        query.push(" ORDER BY r.node_id LIMIT ").push_bind(i64::from(MOST_REFUSING) + 1);
        let mut refusing = RefusingNodes::default();
        let query = query.build_query_as::<(String, String)>();
        let mut rows = query.fetch(self.read());
        while let Some((id, document)) = rows.try_next().await? {
            let report = serde_json::from_str::<NodeReport>(&document).map_err(StoreError::from);
            let Some(report) = readable("node_reports", report) else { continue };
            let names = report.refusals.into_iter().map(|it| it.attack);
            let names = names.filter(|it| it.len() <= LONGEST_ATTACK).take(MOST_ATTACKS).collect();
            refusing.nodes.insert(id.parse().map_err(bad)?, names);
        }
        drop(rows);
        let mut query = QueryBuilder::<Db>::new(
            "SELECT r.node_id FROM node_reports r \
             JOIN nodes n ON n.org = r.org AND n.id = r.node_id WHERE r.org = ",
        );
        // One look at each report, however many nodes have seen the same.
        query.push_bind(org.as_str()).push(
            " AND r.stamp_seq IN (SELECT stamp_seq FROM node_reports WHERE stamp_seq > 0 AND org = ",
        );
        query.push_bind(org.as_str());
        query.push(" GROUP BY stamp_seq HAVING MIN(stamp_sha256) <> MAX(stamp_sha256))");
        visible(&mut query);
        query.push(" ORDER BY r.node_id LIMIT ").push_bind(i64::from(MOST_REFUSING) + 1);
        let split: Vec<String> = query.build_query_scalar().fetch_all(self.read()).await?;
        for id in split {
            let names = refusing.nodes.entry(id.parse().map_err(bad)?).or_default();
            names.insert(SPLIT_VIEW.to_owned());
        }
        while refusing.nodes.len() > MOST_REFUSING as usize {
            refusing.nodes.pop_last();
            refusing.more = true;
        }
        Ok(refusing)
    }
}

impl Write {
    async fn put_report(
        &mut self,
        node: &NodeRef,
        report: &NodeReport,
        document: String,
    ) -> Result<bool, StoreError> {
        self.limit_of_org(&Quota::NODE_REPORTS, &node.org).await?;
        let now = self.now();
        let sql = "INSERT INTO node_reports \
                   (org, node_id, document, stamp_seq, stamp_sha256, last_updated) \
                   SELECT org, id, $3, $4, $5, $6 FROM nodes WHERE org = $1 AND id = $2 \
                   ON CONFLICT (org, node_id) DO UPDATE SET document = excluded.document, \
                   stamp_seq = excluded.stamp_seq, stamp_sha256 = excluded.stamp_sha256, \
                   last_updated = excluded.last_updated";
        let rows = sqlx::query(sql)
            .bind(node.org.as_str())
            .bind(node.id.as_str())
            .bind(document)
            .bind(column(report.stamp_seq))
            .bind(report.stamp_sha256.map(|it| it.hex()).unwrap_or_default())
            .bind(now)
            .execute(self.sql())
            .await?
            .rows_affected();
        Ok(rows > 0)
    }
}
