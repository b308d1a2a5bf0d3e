//! Deployment policies.

use super::{
    Posted, Quota, StoreError, Write,
    patterns::exactly,
    references::{ServiceReference, references_of},
};
use crate::{
    exchange::api::{PolicyRequest, Resource},
    types::{DocumentKind, OrgId},
};

impl Posted for PolicyRequest {
    const NOUN: &'static str = "policy";
    const KIND: DocumentKind = DocumentKind::Policy;
    const TABLE: &'static str = "policies";
    const RESOURCE: Resource = Resource::Policy;
    const QUOTA: Quota = Quota::POLICIES;
    const TELLS_CREATION: bool = true;

    async fn check_references(&self, _: &OrgId, write: &mut Write) -> Result<(), StoreError> {
        let service = &self.service;
        let (org, url, arch) = (&service.org, &service.name, service.arch.as_str());
        let mut references = references_of(&self.user_input);
        for it in &service.service_versions {
            let range = exactly(&it.version);
            references.push(ServiceReference { org, url, arch, range });
        }
        write.check_services(references).await
    }
}
