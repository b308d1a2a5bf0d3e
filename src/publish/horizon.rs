//! Publishing to Open Horizon's own exchange, which has no place for an envelope: `hzn`'s calls in
//! `hzn`'s order.

use serde_json::Value;

use crate::{
    document::{NodePolicy, ServiceBody},
    publish::{
        Publisher, credentials,
        error::PublishError,
        order::{Existing, Order},
        plan::DocumentPlan,
        report::{Published, TrustGrade},
    },
    types::{DocumentKey, DocumentKind, PatternId, ServiceId},
};

/// What the public key is called beside the service. Nodes take every key that they find there.
const KEY_NAME: &str = "edgepost.pem";

impl Publisher {
    /// What would become of a document there. Its content is not compared: nothing signed says what
    /// it is.
    pub(super) async fn plan_horizon(
        &self,
        key: &DocumentKey,
    ) -> Result<DocumentPlan, PublishError> {
        let standing = self.exchange.row(key).await.map_err(PublishError::Exchange)?;
        Ok(if standing.is_some() { DocumentPlan::Different } else { DocumentPlan::New })
    }

    /// Makes the document there, or replaces it.
    pub(super) async fn put_horizon(
        &self,
        key: DocumentKey,
        document: &Value,
        existing: Existing,
    ) -> Result<Published, PublishError> {
        let standing = self.exchange.row(&key).await.map_err(PublishError::Exchange)?;
        let put = match standing {
            None => self.exchange.create_row(&key, document).await,
            Some(_) if existing == Existing::Refuse => return Err(PublishError::Different(key)),
            Some(standing) if key.kind() == DocumentKind::NodePolicy => {
                let document = over_measured(&key, document, standing)?;
                self.exchange.replace_row(&key, &document).await
            }
            Some(_) => self.exchange.replace_row(&key, document).await,
        };
        put.map_err(PublishError::Exchange)?;
        Ok(published(key))
    }

    /// Stores the service, its key, its logins and its policy, in this order.
    pub(super) async fn commit_horizon(
        &self,
        id: &ServiceId,
        body: &ServiceBody,
        order: &Order,
    ) -> Result<Published, PublishError> {
        let service = body.definition.to_horizon();
        let published = self.put_horizon(DocumentKey::from(id), &service, order.existing).await?;
        self.store_horizon_key(id).await?;
        for login in credentials(&order.logins)? {
            let added = self.exchange.add_service_login(id, &login).await;
            added.map_err(PublishError::Exchange)?;
        }
        if let Some(policy) = &body.policy {
            self.put_horizon_service_policy(id, &body.definition, policy).await?;
        }
        Ok(published)
    }

    /// Puts the public half of the RSA key beside the service, for anax nodes; nothing without one.
    /// An Ed25519 key never goes there: anax would not survive it.
    pub(super) async fn store_horizon_key(&self, id: &ServiceId) -> Result<(), PublishError> {
        let Some(key) = &self.horizon_key else { return Ok(()) };
        let pem = key.public_pem().map_err(PublishError::HorizonKey)?;
        self.exchange.put_service_key(id, KEY_NAME, &pem).await.map_err(PublishError::Exchange)
    }

    /// The same beside a pattern whose deployment overrides the key has signed.
    pub(super) async fn store_horizon_pattern_key(
        &self,
        id: &PatternId,
    ) -> Result<(), PublishError> {
        let Some(key) = &self.horizon_key else { return Ok(()) };
        let pem = key.public_pem().map_err(PublishError::HorizonKey)?;
        self.exchange.put_pattern_key(id, KEY_NAME, &pem).await.map_err(PublishError::Exchange)
    }
}

/// What is told of a document there.
pub(super) fn published(key: DocumentKey) -> Published {
    Published::new(key, 0, false, TrustGrade::Horizon)
}

/// A node's policy with what the node has measured, which stands in the same row.
fn over_measured(
    key: &DocumentKey,
    policy: &Value,
    standing: Value,
) -> Result<Value, PublishError> {
    let read = |value| {
        serde_json::from_value::<NodePolicy>(value)
            .map_err(|source| PublishError::Published { key: key.clone(), source: source.into() })
    };
    Ok(read(policy.clone())?.replacing(&read(standing)?).to_horizon())
}
