//! Signed documents, and the one transaction that publishes one.

use jiff::Timestamp;
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{
    Change, Permit, Posted, Quota, Store, StoreError, Write, bad,
    claims::{ClaimsRow, NameClaims},
    column, number,
};
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
    /// Version and digest of the trust against which it was verified.
    pub trust: (u64, Digest),
    /// What hzn and anax see of it.
    pub projection: Projection,
    /// The logins that go with it, in place of those before.
    pub credentials: &'a [Credential],
}

/// Whether a transaction keeps what it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// All of it.
    Committed,
    /// Nothing: it was a question.
    Undone,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publishing {
    /// It is the newest now.
    Published {
        /// The version of the catalog that lists it.
        catalog_version: u64,
    },
    /// The same bytes were there; at most their pull credentials are new, or Horizon's API shows them again.
    Unchanged {
        /// The version of the newest catalog.
        catalog_version: u64,
        /// Whether the pull credentials were replaced.
        has_new_credentials: bool,
    },
    /// Something else is there, under the same or a higher number.
    Superseded {
        /// The newest epoch and sequence number.
        newest: (u64, u64),
    },
    /// The organization's trust changed after the document was verified: it has to be verified again.
    TrustChanged,
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
    /// nothing of it all. The permit decides on the claims that others have on the name; `outcome` says whether what was
    /// written is kept.
    pub async fn publish<E: From<StoreError>>(
        &self,
        document: &NewDocument<'_>,
        stamp_key: &SigningKey,
        permit: Permit<'_, NameClaims, NameClaims, E>,
        now: Timestamp,
        outcome: WriteOutcome,
    ) -> Result<Publishing, E> {
        let row = ClaimsRow { org: document.org, header: document.header };
        let (mut write, claims) = self.write_if(&row, permit, now).await?;
        if write.newest_trust(document.org).await? != Some(document.trust) {
            return Ok(Publishing::TrustChanged);
        }
        let publishing = write.publish(document, &claims, stamp_key).await?;
        if outcome == WriteOutcome::Undone {
            write.check_limits().await?;
            return Ok(publishing);
        }
        if let Publishing::Published { .. } | Publishing::Unchanged { .. } = publishing {
            write.commit().await?;
            if let Some(former_owner) = claims.yielding(document.publisher) {
                tracing::info!(
                    event = "document.unsigned_row_replaced",
                    org = %document.org, key = %document.header.key(),
                    publisher = document.publisher, former_owner,
                    "a signed document replaced the unsigned row of another user"
                );
            }
        }
        Ok(publishing)
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

/// The row of a signed document, which is to be written.
struct RowToPut<'a> {
    org: &'a OrgId,
    id: &'a str,
    owner: &'a str,
    claims: &'a NameClaims,
}

impl Write {
    async fn publish(
        &mut self,
        document: &NewDocument<'_>,
        claims: &NameClaims,
        stamp_key: &SigningKey,
    ) -> Result<Publishing, StoreError> {
        let (org, header) = (document.org, document.header);
        let key = header.key();
        let sha256 = document.envelope.digest();
        if let Some(held) = self.newest_place(org, &key).await? {
            if held.sha256 == sha256 {
                let catalog_version = self.catalog_version(org).await?;
                self.restore(document, &key, claims).await?;
                let has_new_credentials = self.project_credentials(document, &key).await?;
                return Ok(Publishing::Unchanged { catalog_version, has_new_credentials });
            }
            let newest = (held.epoch, held.seq);
            if (header.epoch, header.seq) <= newest {
                return Ok(Publishing::Superseded { newest });
            }
        }
        self.insert_document(document, &key, &sha256).await?;
        self.project(document, &key, claims).await?;
        self.project_credentials(document, &key).await?;
        let state = header.state;
        let entry = CatalogEntry { epoch: header.epoch, seq: header.seq, sha256, state };
        let catalog_version = self.list(org, &key, entry).await?;
        self.stamp(org, stamp_key).await?;
        Ok(Publishing::Published { catalog_version })
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
        self.limit(&Quota::SIGNED_DOCUMENTS, document.org, document.publisher).await?;
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
        claims: &NameClaims,
    ) -> Result<(), StoreError> {
        let (org, id, owner) = (document.org, key.id(), document.publisher);
        let row = RowToPut { org, id, owner, claims };
        match &document.projection {
            Projection::Service { service, policy } => {
                self.put(&row, service.as_ref()).await?;
                if service.public {
                    self.share(org, &service.url).await?;
                }
                match policy {
                    Some(policy) => self.put_service_policy(org, id, policy).await,
                    None => self.clear_service_policy(org, id).await,
                }
            }
            Projection::Pattern(pattern) => self.put(&row, pattern.as_ref()).await,
            Projection::Policy(policy) => self.put(&row, policy.as_ref()).await,
            Projection::NodePolicy(node) => match self.node_owner(org, node).await? {
                Some(_) => {
                    let sha256 = document.envelope.digest();
                    self.register_signed_policy(org, node, &sha256).await?;
                    self.project_node_policy(org, node).await
                }
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

    /// Shows hzn and anax the document again where they see something else: older exchanges let their paths delete
    /// and change what is signed.
    async fn restore(
        &mut self,
        document: &NewDocument<'_>,
        key: &DocumentKey,
        claims: &NameClaims,
    ) -> Result<(), StoreError> {
        match &document.projection {
            // Publishing the same policy again vouches for a node that was created again under this name.
            Projection::NodePolicy(node) => {
                let sha256 = document.envelope.digest();
                self.register_signed_policy(document.org, node, &sha256).await.map(drop)
            }
            Projection::Withdrawn => Ok(()),
            _ if claims.yielding(document.publisher).is_none()
                && self.is_shown(document, key).await? =>
            {
                Ok(())
            }
            _ => self.project(document, key, claims).await,
        }
    }

    /// Whether hzn and anax see exactly the document.
    async fn is_shown(
        &mut self,
        document: &NewDocument<'_>,
        key: &DocumentKey,
    ) -> Result<bool, StoreError> {
        let (org, id) = (document.org, key.id());
        match &document.projection {
            Projection::Service { service, policy } => {
                let shown = self.service_policy_row(org, id).await?;
                let policy = policy.as_ref().map(serde_json::to_string).transpose()?;
                Ok(shown == policy && self.shows(org, id, service.as_ref()).await?)
            }
            Projection::Pattern(pattern) => self.shows(org, id, pattern.as_ref()).await,
            Projection::Policy(policy) => self.shows(org, id, policy.as_ref()).await,
            Projection::NodePolicy(_) | Projection::Withdrawn => Ok(true),
        }
    }

    async fn shows<T: Posted>(
        &mut self,
        org: &OrgId,
        id: &str,
        value: &T,
    ) -> Result<bool, StoreError> {
        let Some(held) = self.posted::<T>(org, id).await? else { return Ok(false) };
        Ok(serde_json::to_value(&held.value)? == serde_json::to_value(value)?)
    }

    /// Writes the row of a signed document. An unsigned row of another user is removed first, with its keys, its
    /// policy and its pull credentials, so that the publisher owns the new one.
    async fn put<T: Posted>(&mut self, row: &RowToPut<'_>, value: &T) -> Result<(), StoreError> {
        let RowToPut { org, id, owner, claims } = *row;
        if claims.yielding(owner).is_some() {
            self.remove::<T>(org, id).await?;
            return self.create(org, id, owner, value).await;
        }
        if claims.has_row() {
            return self.replace(org, id, value, Operation::CreatedOrModified).await;
        }
        self.create(org, id, owner, value).await
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

    /// Replaces the pull credentials by the document's; whether that changed any. Where none are given, those that
    /// are there stay.
    async fn project_credentials(
        &mut self,
        document: &NewDocument<'_>,
        key: &DocumentKey,
    ) -> Result<bool, StoreError> {
        let (org, credentials) = (document.org, document.credentials);
        if credentials.is_empty() || !self.replace_credentials(org, key.id(), credentials).await? {
            return Ok(false);
        }
        self.record_credentials(org, key.id()).await?;
        Ok(true)
    }
}
