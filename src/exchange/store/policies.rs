//! Deployment policies.

use super::{Posted, StoreError, Write, patterns::exactly};
use crate::{
    exchange::api::{PolicyRequest, Resource},
    types::OrgId,
};

impl Posted for PolicyRequest {
    const NOUN: &'static str = "policy";
    const TABLE: &'static str = "policies";
    const RESOURCE: Resource = Resource::Policy;
    const MOST: i64 = 5000;
    const TELLS_CREATION: bool = true;

    async fn check_references(&self, _: &OrgId, write: &mut Write) -> Result<(), StoreError> {
        let service = &self.service;
        for version in &service.service_versions {
            let range = exactly(&version.version);
            write.needs_service(&service.org, &service.name, &service.arch, range.as_ref()).await?;
        }
        write.needs_services_of(&self.user_input).await
    }
}
