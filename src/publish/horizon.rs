//! Publishing to Open Horizon's own exchange, which has no place for an envelope: `hzn`'s calls in
//! `hzn`'s order.

use crate::{
    document::{DeploymentPolicy, Pattern, ServiceBody},
    exchange::client::ExchangeError,
    publish::{
        Publisher, credentials,
        error::PublishError,
        order::{Existing, Order},
        plan::DocumentPlan,
        report::{Published, TrustGrade},
    },
    types::{DocumentKey, PatternId, PolicyId, ServiceId},
};

/// What the public key is called beside the service. Nodes take every key that they find there.
const KEY_NAME: &str = "edgepost.pem";

impl Publisher {
    /// What would become of a service there. Its content is not compared: Horizon's signature says
    /// nothing about most of it.
    pub(super) async fn plan_horizon(&self, id: &ServiceId) -> Result<DocumentPlan, PublishError> {
        let standing =
            self.exchange.find_service(&id.exchange_id()).await.map_err(PublishError::Exchange)?;
        Ok(if standing.is_some() { DocumentPlan::Different } else { DocumentPlan::New })
    }

    /// Stores the service, its key, its logins and its policy, in this order.
    pub(super) async fn commit_horizon(
        &self,
        id: &ServiceId,
        body: &ServiceBody,
        order: &Order,
    ) -> Result<Published, PublishError> {
        let service = body.definition.to_horizon();
        let stored = match self.plan_horizon(id).await? {
            DocumentPlan::New => self.exchange.create_service(&service).await,
            _ if order.existing == Existing::Refuse => {
                return Err(PublishError::Different(DocumentKey::from(id)));
            }
            _ => self.exchange.replace_service(id, &service).await,
        };
        stored.map_err(PublishError::Exchange)?;
        self.store_horizon_key(id).await?;
        for login in credentials(&order.logins)? {
            let added = self.exchange.add_service_login(id, &login).await;
            added.map_err(PublishError::Exchange)?;
        }
        if let Some(policy) = &body.policy {
            let policy = serde_json::to_value(policy).map_err(PublishError::Encode)?;
            let put = self.exchange.put_service_policy(id, &policy).await;
            put.map_err(PublishError::Exchange)?;
        }
        Ok(published(DocumentKey::from(id)))
    }

    /// Puts the public half of the RSA key beside the service, for anax nodes; nothing without one.
    /// An Ed25519 key never goes there: anax would not survive it.
    pub(super) async fn store_horizon_key(&self, id: &ServiceId) -> Result<(), PublishError> {
        let Some(key) = &self.horizon_key else { return Ok(()) };
        let pem = key.public_pem().map_err(PublishError::HorizonKey)?;
        self.exchange.put_service_key(id, KEY_NAME, &pem).await.map_err(PublishError::Exchange)
    }

    /// What would become of a pattern there.
    pub(super) async fn plan_horizon_pattern(
        &self,
        id: &PatternId,
    ) -> Result<DocumentPlan, PublishError> {
        let standing = self.exchange.find_pattern(id).await.map_err(PublishError::Exchange)?;
        Ok(if standing.is_some() { DocumentPlan::Different } else { DocumentPlan::New })
    }

    /// What would become of a deployment policy there.
    pub(super) async fn plan_horizon_policy(
        &self,
        id: &PolicyId,
    ) -> Result<DocumentPlan, PublishError> {
        let standing = self.exchange.find_policy(id).await.map_err(PublishError::Exchange)?;
        Ok(if standing.is_some() { DocumentPlan::Different } else { DocumentPlan::New })
    }

    /// Makes the pattern there, or replaces it.
    pub(super) async fn put_horizon_pattern(
        &self,
        id: &PatternId,
        pattern: &Pattern,
    ) -> Result<Published, PublishError> {
        let pattern = pattern.to_horizon();
        let put = match self.exchange.create_pattern(id, &pattern).await {
            Err(ExchangeError::Conflict { .. }) => {
                self.exchange.replace_pattern(id, &pattern).await
            }
            created => created,
        };
        put.map_err(PublishError::Exchange)?;
        Ok(published(DocumentKey::pattern(id)))
    }

    /// Makes the deployment policy there, or replaces it.
    pub(super) async fn put_horizon_policy(
        &self,
        id: &PolicyId,
        policy: &DeploymentPolicy,
    ) -> Result<Published, PublishError> {
        let policy = policy.to_horizon();
        let put = match self.exchange.create_policy(id, &policy).await {
            Err(ExchangeError::Conflict { .. }) => self.exchange.replace_policy(id, &policy).await,
            created => created,
        };
        put.map_err(PublishError::Exchange)?;
        Ok(published(DocumentKey::policy(id)))
    }
}

fn published(key: DocumentKey) -> Published {
    Published { key, seq: 0, unchanged: false, trust: TrustGrade::Horizon, images: Vec::new() }
}
