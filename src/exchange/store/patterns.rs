//! Patterns.

use super::{Posted, StoreError, Write};
use crate::{
    exchange::api::{ORG_TYPE_IBM, OrgRequest, PatternRequest, Resource, UserInput},
    types::{OrgId, VersionRange},
};

impl Posted for PatternRequest {
    const NOUN: &'static str = "pattern";
    const TABLE: &'static str = "patterns";
    const RESOURCE: Resource = Resource::Pattern;
    const MOST: i64 = 1000;

    fn is_public(&self) -> bool {
        self.public
    }

    async fn check_references(&self, org: &OrgId, write: &mut Write) -> Result<(), StoreError> {
        if self.public && !write.is_ibm(org).await? {
            let msg = "only patterns in organizations of type IBM can be public".to_owned();
            return Err(StoreError::Unfit { msg });
        }
        for service in &self.services {
            for version in &service.service_versions {
                let range = exactly(&version.version);
                let (org, url) = (&service.service_orgid, &service.service_url);
                write.needs_service(org, url, &service.service_arch, range.as_ref()).await?;
            }
        }
        write.needs_services_of(&self.user_input).await
    }
}

/// The range that contains this version alone.
pub(super) fn exactly(version: &str) -> Option<VersionRange> {
    format!("[{version},{version}]").parse().ok()
}

impl Write {
    /// Whether every service is there whose variables get values.
    pub(super) async fn needs_services_of(
        &mut self,
        inputs: &[UserInput],
    ) -> Result<(), StoreError> {
        for it in inputs {
            let range = it.service_version_range.as_ref().and_then(|it| it.parse().ok());
            let arch = it.service_arch.as_deref().unwrap_or_default();
            self.needs_service(&it.service_orgid, &it.service_url, arch, range.as_ref()).await?;
        }
        Ok(())
    }

    async fn is_ibm(&mut self, org: &OrgId) -> Result<bool, StoreError> {
        let sql = "SELECT document FROM orgs WHERE id = $1";
        let query = sqlx::query_scalar::<_, String>(sql).bind(org.as_str());
        let Some(document) = query.fetch_optional(self.sql()).await? else { return Ok(false) };
        Ok(serde_json::from_str::<OrgRequest>(&document)?.org_type == ORG_TYPE_IBM)
    }
}
