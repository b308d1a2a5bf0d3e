//! Services, and the policy that may hang on one.

use jiff::Timestamp;
use sqlx::Row as _;

use super::{
    Change, HorizonName, Ownership, Permit, Posted, Quota, Store, StoreError, Write,
    posted::NameRow, references::ServiceReference, time,
};
use crate::{
    exchange::api::{
        Dated, Operation, RequiredService, Resource, ServicePolicyRequest, ServiceRequest,
    },
    types::{DocumentKind, OrgId},
};

impl Posted for ServiceRequest {
    const NOUN: &'static str = "service";
    const KIND: DocumentKind = DocumentKind::Service;
    const TABLE: &'static str = "services";
    const RESOURCE: Resource = Resource::Service;
    const QUOTA: Quota = Quota::SERVICES;
    const PUBLIC_QUOTA: Option<Quota> = Some(Quota::PUBLIC_SERVICES);

    fn is_public(&self) -> bool {
        self.public
    }

    fn searched(&self) -> Vec<(&'static str, String)> {
        vec![
            ("url", self.url.to_string()),
            ("version", self.version.clone()),
            ("arch", self.arch.clone()),
        ]
    }

    async fn check_references(&self, _: &OrgId, write: &mut Write) -> Result<(), StoreError> {
        let mut references = Vec::with_capacity(self.required_services.len());
        for it in &self.required_services {
            let RequiredService { org, url, arch, .. } = it;
            references.push(ServiceReference { org, url, arch, range: it.range() });
        }
        write.check_services(references).await
    }
}

impl Store {
    /// The policy of a service, if it has one.
    pub async fn service_policy(
        &self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<Dated<ServicePolicyRequest>>, StoreError> {
        let sql = "SELECT * FROM service_policies WHERE org = $1 AND service_id = $2";
        let query = sqlx::query(sql).bind(org.as_str()).bind(id);
        let Some(row) = query.fetch_optional(self.read()).await? else { return Ok(None) };
        let value = serde_json::from_str(row.try_get("document")?)?;
        Ok(Some(Dated { value, last_updated: time(row.try_get("last_updated")?) }))
    }

    /// Gives a service this policy, if the permit allows it.
    pub async fn put_service_policy<E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &str,
        policy: &ServicePolicyRequest,
        permit: Permit<'_, HorizonName<Ownership>, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let service = NameRow::<ServiceRequest>::new(org, id);
        let (mut write, ()) = self.write_if(&service, permit, now).await?;
        write.put_service_policy(org, id, policy).await?;
        Ok(write.commit().await?)
    }

    /// Takes a service's policy away, if the permit allows it.
    pub async fn remove_service_policy<E: From<StoreError>>(
        &self,
        org: &OrgId,
        id: &str,
        permit: Permit<'_, HorizonName<Ownership>, (), E>,
        now: Timestamp,
    ) -> Result<(), E> {
        let service = NameRow::<ServiceRequest>::new(org, id);
        let (mut write, ()) = self.delete_if(&service, permit, now).await?;
        write.remove_service_policy(org, id).await?;
        Ok(write.commit().await?)
    }
}

impl Write {
    async fn remove_service_policy(&mut self, org: &OrgId, id: &str) -> Result<(), StoreError> {
        let sql = "DELETE FROM service_policies WHERE org = $1 AND service_id = $2";
        let gone = sqlx::query(sql).bind(org.as_str()).bind(id).execute(self.sql()).await?;
        if gone.rows_affected() == 0 {
            return Err(StoreError::missing("policy of service", org, id));
        }
        self.tell_policy(org, id, Operation::Deleted).await
    }

    /// The policy of a service as it is stored, if it has one.
    pub(super) async fn service_policy_row(
        &mut self,
        org: &OrgId,
        id: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT document FROM service_policies WHERE org = $1 AND service_id = $2";
        let query = sqlx::query_scalar(sql).bind(org.as_str()).bind(id);
        Ok(query.fetch_optional(self.sql()).await?)
    }

    /// Gives a service this policy.
    pub(crate) async fn put_service_policy(
        &mut self,
        org: &OrgId,
        id: &str,
        policy: &ServicePolicyRequest,
    ) -> Result<(), StoreError> {
        self.limit_of_org(&Quota::SERVICE_POLICIES, org).await?;
        let now = self.now();
        let sql = "INSERT INTO service_policies (org, service_id, document, last_updated)
                   VALUES ($1, $2, $3, $4)
                   ON CONFLICT (org, service_id) DO UPDATE
                   SET document = excluded.document, last_updated = excluded.last_updated";
        sqlx::query(sql)
            .bind(org.as_str())
            .bind(id)
            .bind(serde_json::to_string(policy)?)
            .bind(now)
            .execute(self.sql())
            .await
            .map_err(|error| StoreError::without(error, || format!("service '{org}/{id}'")))?;
        self.tell_policy(org, id, Operation::CreatedOrModified).await
    }

    async fn tell_policy(
        &mut self,
        org: &OrgId,
        id: &str,
        operation: Operation,
    ) -> Result<(), StoreError> {
        let resource = Resource::ServicePolicy;
        self.record(Change { org, resource, id, operation, public: false }).await
    }
}
