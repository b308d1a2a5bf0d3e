//! Patterns.

use super::{
    Posted, Quota, StoreError, Write,
    references::{ServiceReference, references_of},
};
use crate::{
    exchange::api::{ORG_TYPE_IBM, OrgRequest, PatternRequest, Resource},
    types::{DocumentKind, OrgId, VersionRange},
};

impl Posted for PatternRequest {
    const NOUN: &'static str = "pattern";
    const KIND: DocumentKind = DocumentKind::Pattern;
    const TABLE: &'static str = "patterns";
    const RESOURCE: Resource = Resource::Pattern;
    const QUOTA: Quota = Quota::PATTERNS;

    fn is_public(&self) -> bool {
        self.public
    }

    async fn check_references(&self, org: &OrgId, write: &mut Write) -> Result<(), StoreError> {
        if self.public && !write.is_ibm(org).await? {
            let msg = "only patterns in organizations of type IBM can be public".to_owned();
            return Err(StoreError::Unfit { msg });
        }
        let mut references = references_of(&self.user_input);
        for service in &self.services {
            let (org, url, arch) =
                (&service.service_orgid, &service.service_url, service.service_arch.as_str());
            for it in &service.service_versions {
                let range = exactly(&it.version);
                references.push(ServiceReference { org, url, arch, range });
            }
        }
        write.check_services(references).await
    }
}

/// The range that contains this version alone.
pub(super) fn exactly(version: &str) -> Option<VersionRange> {
    format!("[{version},{version}]").parse().ok()
}

impl Write {
    async fn is_ibm(&mut self, org: &OrgId) -> Result<bool, StoreError> {
        let sql = "SELECT document FROM orgs WHERE id = $1";
        let query = sqlx::query_scalar::<_, String>(sql).bind(org.as_str());
        let Some(document) = query.fetch_optional(self.sql()).await? else { return Ok(false) };
        Ok(serde_json::from_str::<OrgRequest>(&document)?.org_type == ORG_TYPE_IBM)
    }
}
