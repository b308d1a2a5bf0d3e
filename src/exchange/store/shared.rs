//! Services that an organization shows to all others.

use super::{Store, StoreError, Write};
use crate::types::{OrgId, ServiceUrl};

impl Store {
    /// Whether the organization has, or had, a signed service that is public.
    pub async fn shares_anything(&self, org: &OrgId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM shared_services WHERE org = $1)";
        Ok(sqlx::query_scalar(sql).bind(org.as_str()).fetch_one(self.read()).await?)
    }

    /// Whether others may read the versions of this service: some version of it is, or was, public. Were
    /// some hidden, whoever reads could be led to an older one.
    pub async fn shares(&self, org: &OrgId, url: &ServiceUrl) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM shared_services WHERE org = $1 AND name = $2)";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(url.mangled());
        Ok(query.fetch_one(self.read()).await?)
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
