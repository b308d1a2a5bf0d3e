//! Services that an organization shows to all others.

use super::{Store, StoreError, Write, bad};
use crate::types::{Digest, DocumentKey, DocumentKind, OrgId, ServiceUrl};

impl Store {
    /// Whether the organization has, or had, a signed service that is public.
    pub async fn shares_anything(&self, org: &OrgId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM shared_services WHERE org = $1)";
        Ok(sqlx::query_scalar(sql).bind(org.as_str()).fetch_one(self.read()).await?)
    }

    /// Whether others may read this document: a version of a service of which some version is, or was,
    /// public. Were some versions hidden, whoever reads could be led to an older one.
    pub async fn shares(&self, org: &OrgId, key: &DocumentKey) -> Result<bool, StoreError> {
        let name = key.id().rsplitn(3, '_').nth(2);
        let Some(name) = name.filter(|_| key.kind() == DocumentKind::Service) else {
            return Ok(false);
        };
        let sql = "SELECT EXISTS (SELECT 1 FROM shared_services WHERE org = $1 AND name = $2)";
        Ok(sqlx::query_scalar(sql).bind(org.as_str()).bind(name).fetch_one(self.read()).await?)
    }

    /// The name of the document with this payload digest.
    pub async fn document_key(
        &self,
        org: &OrgId,
        sha256: &Digest,
    ) -> Result<Option<DocumentKey>, StoreError> {
        let sql = "SELECT document_key FROM signed_documents WHERE org = $1 AND sha256 = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(sha256.hex());
        let key: Option<String> = query.fetch_optional(self.read()).await?;
        key.map(|it| it.parse().map_err(bad)).transpose()
    }
}

impl Write {
    /// From now on others may read every version of the service.
    pub(super) async fn share(&mut self, org: &OrgId, url: &ServiceUrl) -> Result<(), StoreError> {
        let sql = "INSERT INTO shared_services (org, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        sqlx::query(sql).bind(org.as_str()).bind(url.mangled()).execute(self.sql()).await?;
        Ok(())
    }
}
