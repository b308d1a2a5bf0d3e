//! Signed documents, and the one transaction that publishes one.

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Change, Posted, Store, StoreError, Write, bad, column, number};
use crate::{
    exchange::api::{
        Credential, Operation, PatternRequest, PolicyRequest, PublishedDocument,
        ServicePolicyRequest, ServiceRequest,
    },
    sign::{Envelope, SigningKey},
    trust::{CatalogEntry, Header},
    types::{Digest, DocumentKey, DocumentKind, NodeId, OrgId, Subject},
};

/// A document to publish, verified against the organization's trust.
#[derive(Debug)]
pub struct NewDocument<'a> {
    /// The organization it belongs to.
    pub org: &'a OrgId,
    /// The signed bytes.
    pub envelope: &'a Envelope,
    /// What is signed about its place in the order of things.
    pub header: &'a Header,
    /// `org/user`, who publishes it.
    pub publisher: &'a str,
    /// Whether the publisher may replace what others own.
    pub may_replace: bool,
    /// What hzn and anax see of it.
    pub projection: Projection,
    /// The logins that go with it, in place of those before.
    pub credentials: &'a [Credential],
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publishing {
    /// It is the newest now.
    Published {
        /// The version of the catalog that lists it.
        catalog_version: u64,
    },
    /// The same bytes were there; at most their logins are new, or hzn sees again what it had
    /// deleted.
    Unchanged {
        /// The version of the newest catalog.
        catalog_version: u64,
    },
    /// Something else is there, under the same or a higher number.
    Superseded {
        /// The newest epoch and sequence number.
        newest: (u64, u64),
    },
    /// It belongs to somebody else.
    NotOwned {
        /// `org/user`, whose it is.
        owner: String,
    },
}

/// Where a document stands in the order of things.
struct Place {
    epoch: u64,
    seq: u64,
    sha256: Digest,
}

impl Store {
    /// The envelope with this payload digest.
    pub async fn document(
        &self,
        org: &OrgId,
        sha256: &Digest,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT envelope FROM signed_documents WHERE org = $1 AND sha256 = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(sha256.hex());
        Ok(query.fetch_optional(self.read()).await?)
    }

    /// The envelope of the newest document of this name.
    pub async fn newest_document(
        &self,
        org: &OrgId,
        key: &DocumentKey,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT envelope FROM signed_documents WHERE org = $1 AND document_key = $2 \
                   ORDER BY epoch DESC, seq DESC LIMIT 1";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(key.to_string());
        Ok(query.fetch_optional(self.read()).await?)
    }

    /// Every document of a kind that was ever published, whose digest comes after `after`: at most
    /// `limit` of them, in the order of their digests.
    pub async fn document_history(
        &self,
        org: &OrgId,
        kind: DocumentKind,
        after: Option<&Digest>,
        limit: u32,
    ) -> Result<Vec<PublishedDocument>, StoreError> {
        let sql = "SELECT document_key, sha256 FROM signed_documents \
                   WHERE org = $1 AND sha256 > $2 AND substr(document_key, 1, $3) = $4 \
                   ORDER BY sha256 LIMIT $5";
        let start = format!("{kind}/");
        let query = sqlx::query_as(sql)
            .bind(org.as_str())
            .bind(after.map(Digest::hex).unwrap_or_default())
            .bind(i64::try_from(start.len()).unwrap_or(i64::MAX))
            .bind(start)
            .bind(i64::from(limit));
        let rows: Vec<(String, String)> = query.fetch_all(self.read()).await?;
        let read = |(key, sha256): (String, String)| {
            let sha256 = Digest::from_hex(&sha256).map_err(bad)?;
            Ok(PublishedDocument { key: key.parse().map_err(bad)?, sha256 })
        };
        rows.into_iter().map(read).collect()
    }

    /// Publishes a document: its envelope, what hzn and anax see of it, its logins, the catalog that
    /// lists it, the stamp that vouches for the catalog, and the changes that nodes wait for, or
    /// nothing of it all.
    pub async fn publish(
        &self,
        document: &NewDocument<'_>,
        stamp_key: &SigningKey,
        now: Timestamp,
    ) -> Result<Publishing, StoreError> {
        let (org, header) = (document.org, document.header);
        let key = header.key();
        let sha256 = document.envelope.digest();
        let mut write = self.write(now).await?;
        if let Some(owner) = write.foreign_owner(document, &key).await? {
            return Ok(Publishing::NotOwned { owner });
        }
        if let Some(held) = write.newest_place(org, &key).await? {
            if held.sha256 == sha256 {
                let catalog_version = write.catalog_version(org).await?;
                let restored = write.restore(document, &key).await?;
                let new_logins = write.project_credentials(document, &key).await?;
                if restored || new_logins {
                    write.commit().await?;
                }
                return Ok(Publishing::Unchanged { catalog_version });
            }
            let newest = (held.epoch, held.seq);
            if (header.epoch, header.seq) <= newest {
                return Ok(Publishing::Superseded { newest });
            }
        }
        write.insert_document(document, &key, &sha256).await?;
        write.project(document, &key).await?;
        write.project_credentials(document, &key).await?;
        let state = header.state;
        let entry = CatalogEntry { epoch: header.epoch, seq: header.seq, sha256, state };
        let catalog_version = write.list(org, &key, entry).await?;
        write.stamp(org, stamp_key).await?;
        write.commit().await?;
        Ok(Publishing::Published { catalog_version })
    }
}

/// What hzn and anax see of a document.
#[derive(Debug)]
pub enum Projection {
    /// A service, and its policy if it has one.
    Service {
        /// The service.
        service: Box<ServiceRequest>,
        /// What it says of itself and asks of nodes.
        policy: Option<Box<ServicePolicyRequest>>,
    },
    /// A pattern.
    Pattern(Box<PatternRequest>),
    /// A deployment policy.
    Policy(Box<PolicyRequest>),
    /// The policy of this node, in the place of its own.
    NodePolicy(NodeId),
    /// Nothing any more: its publisher has withdrawn it.
    Withdrawn,
}

impl Write {
    /// Whose the document is, if the publisher may not replace it.
    async fn foreign_owner(
        &mut self,
        document: &NewDocument<'_>,
        key: &DocumentKey,
    ) -> Result<Option<String>, StoreError> {
        if document.may_replace {
            return Ok(None);
        }
        let (org, id) = (document.org, key.id());
        let seen = match &document.header.subject {
            Subject::Service { .. } => self.owner::<ServiceRequest>(org, id).await?,
            Subject::Pattern(_) => self.owner::<PatternRequest>(org, id).await?,
            Subject::Policy(_) => self.owner::<PolicyRequest>(org, id).await?,
            // Whose the node is, whoever published its policy before.
            Subject::NodePolicy(node) => self.node_owner(org, node).await?,
        };
        let sql = "SELECT owner FROM signed_documents WHERE org = $1 AND document_key = $2 \
                   ORDER BY epoch DESC, seq DESC LIMIT 1";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(key.to_string());
        let signed: Option<String> = query.fetch_optional(self.sql()).await?;
        Ok(seen.or(signed).filter(|owner| owner != document.publisher))
    }

    async fn owner<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<String>, StoreError> {
        Ok(self.posted::<T>(org, id).await?.map(|it| it.owner))
    }

    /// Where the newest document of this name stands.
    async fn newest_place(
        &mut self,
        org: &OrgId,
        key: &DocumentKey,
    ) -> Result<Option<Place>, StoreError> {
        let sql = "SELECT epoch, seq, sha256 FROM signed_documents \
                   WHERE org = $1 AND document_key = $2 ORDER BY epoch DESC, seq DESC LIMIT 1";
        let query = sqlx::query(sql).bind(org.as_str()).bind(key.to_string());
        let place = |row: SqliteRow| {
            Ok(Place {
                epoch: number(row.try_get("epoch")?),
                seq: number(row.try_get("seq")?),
                sha256: Digest::from_hex(row.try_get("sha256")?).map_err(bad)?,
            })
        };
        query.fetch_optional(self.sql()).await?.map(place).transpose()
    }

    async fn insert_document(
        &mut self,
        document: &NewDocument<'_>,
        key: &DocumentKey,
        sha256: &Digest,
    ) -> Result<(), StoreError> {
        let (header, now) = (document.header, self.now());
        let sql = "INSERT INTO signed_documents \
                   (org, sha256, document_key, epoch, seq, owner, envelope, last_updated) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        sqlx::query(sql)
            .bind(document.org.as_str())
            .bind(sha256.hex())
            .bind(key.to_string())
            .bind(column(header.epoch))
            .bind(column(header.seq))
            .bind(document.publisher)
            .bind(document.envelope.to_json())
            .bind(now)
            .execute(self.sql())
            .await?;
        Ok(())
    }

    /// Brings what hzn and anax see up to the document.
    async fn project(
        &mut self,
        document: &NewDocument<'_>,
        key: &DocumentKey,
    ) -> Result<(), StoreError> {
        let (org, id, owner) = (document.org, key.id(), document.publisher);
        match &document.projection {
            Projection::Service { service, policy } => {
                self.put(org, id, owner, service.as_ref()).await?;
                if service.public {
                    self.share(org, &service.url).await?;
                }
                match policy {
                    Some(policy) => self.put_service_policy(org, id, policy).await,
                    None => self.clear_service_policy(org, id).await,
                }
            }
            Projection::Pattern(pattern) => self.put(org, id, owner, pattern.as_ref()).await,
            Projection::Policy(policy) => self.put(org, id, owner, policy.as_ref()).await,
            Projection::NodePolicy(node) => match self.node_owner(org, node).await? {
                Some(_) => self.project_node_policy(org, node).await,
                None => Err(StoreError::missing("node", org, node)),
            },
            Projection::Withdrawn => match &document.header.subject {
                Subject::Service { .. } => self.take_away::<ServiceRequest>(org, id).await,
                Subject::Pattern(_) => self.take_away::<PatternRequest>(org, id).await,
                Subject::Policy(_) => self.take_away::<PolicyRequest>(org, id).await,
                // Its node may have gone before.
                Subject::NodePolicy(node) => match self.node_owner(org, node).await? {
                    Some(_) => self.project_node_policy(org, node).await,
                    None => Ok(()),
                },
            },
        }
    }

    /// Shows hzn and anax again what was deleted by their paths; whether that was so.
    async fn restore(
        &mut self,
        document: &NewDocument<'_>,
        key: &DocumentKey,
    ) -> Result<bool, StoreError> {
        let (org, id) = (document.org, key.id());
        let seen = match &document.projection {
            Projection::Service { .. } => self.owner::<ServiceRequest>(org, id).await?,
            Projection::Pattern(_) => self.owner::<PatternRequest>(org, id).await?,
            Projection::Policy(_) => self.owner::<PolicyRequest>(org, id).await?,
            // Nobody deletes what counts of it but by withdrawing it.
            Projection::NodePolicy(_) | Projection::Withdrawn => return Ok(false),
        };
        if seen.is_none() {
            self.project(document, key).await?;
        }
        Ok(seen.is_none())
    }

    async fn put<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
        owner: &str,
        value: &T,
    ) -> Result<(), StoreError> {
        match self.posted::<T>(org, id).await? {
            Some(_) => self.replace(org, id, value, Operation::CreatedOrModified).await,
            None => self.create(org, id, owner, value).await,
        }
    }

    /// Removes what hzn and anax see. Where they see nothing, nodes are told all the same.
    async fn take_away<T: Posted>(&mut self, org: &OrgId, id: &str) -> Result<(), StoreError> {
        match self.remove::<T>(org, id).await {
            Err(StoreError::Missing { .. }) => {
                let (resource, operation) = (T::RESOURCE, Operation::Deleted);
                self.record(Change { org, resource, id, operation, public: false }).await
            }
            other => other,
        }
    }

    async fn clear_service_policy(&mut self, org: &OrgId, id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM service_policies WHERE org = $1 AND service_id = $2";
        sqlx::query(sql).bind(org.as_str()).bind(id).execute(self.sql()).await?;
        Ok(())
    }

    /// Brings the logins up to the document's; whether that changed any. Where none are given, those
    /// that are there stay.
    async fn project_credentials(
        &mut self,
        document: &NewDocument<'_>,
        key: &DocumentKey,
    ) -> Result<bool, StoreError> {
        let (org, credentials) = (document.org, document.credentials);
        if credentials.is_empty() {
            return Ok(false);
        }
        let changed = self.replace_credentials(org, key.id(), credentials).await?;
        if changed {
            self.record_credentials(org, key.id()).await?;
        }
        Ok(changed)
    }
}
