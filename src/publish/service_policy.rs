//! A service's policy, published anew while all else about the service stays as it is.

use serde_json::Value;

use crate::{
    document::{ServiceBody, ServiceDefinition, ServicePolicy},
    publish::{
        Publisher,
        commit::Draft,
        error::PublishError,
        horizon::published,
        plan::DocumentPlan,
        report::{Published, TrustGrade},
    },
    trust::{Header, Marks, State, TrustRoot},
    types::{DocumentKey, ServiceId, Subject},
};

/// The member of a service's body.
const POLICY: &str = "policy";

/// A service as it stands in the exchange, verified.
struct Standing {
    header: Header,
    body: Value,
}

impl Publisher {
    /// Publishes the policy of a service that is published already, or takes it away: what stands
    /// there is verified, and sealed again with another policy. Whoever publishes the service at the
    /// same moment is not overtaken: one of the two is refused.
    pub async fn publish_service_policy(
        &self,
        id: &ServiceId,
        policy: Option<&ServicePolicy>,
    ) -> Result<Published, PublishError> {
        let key = DocumentKey::from(id);
        if !self.speaks_edgepost().await? {
            return self.set_horizon_service_policy(id, policy).await;
        }
        let standing = self.standing_service(id).await?;
        let body = standing.with(policy)?;
        if body == standing.body {
            return Ok(Published::new(key, standing.header.seq, true, TrustGrade::Full));
        }
        let draft = Draft::active(Subject::from(id), body);
        let envelope = self.seal(draft, Some(&standing.header)).await?;
        self.send(key, envelope, Vec::new()).await
    }

    /// What publishing the policy of a service, or taking it away, would do.
    pub async fn plan_service_policy(
        &self,
        id: &ServiceId,
        policy: Option<&ServicePolicy>,
    ) -> Result<DocumentPlan, PublishError> {
        let (had_one, unchanged) = if self.speaks_edgepost().await? {
            let standing = self.standing_service(id).await?;
            (standing.body.get(POLICY).is_some(), standing.with(policy)? == standing.body)
        } else {
            let definition = self.horizon_service(id).await?;
            let standing = self.horizon_service_policy(id).await?;
            let policy = policy.map(|it| for_horizon(id, &definition, it));
            (standing.is_some(), standing == policy)
        };
        Ok(match (unchanged, had_one) {
            (true, _) => DocumentPlan::Unchanged,
            (false, true) => DocumentPlan::Different,
            (false, false) => DocumentPlan::New,
        })
    }

    /// The newest state of a service, verified as a node would. What is signed again must have been
    /// trusted before: unless the trust is pinned, by one of the publisher's own keys, since the
    /// exchange's word for the trust is no reason to sign whatever it shows.
    async fn standing_service(&self, id: &ServiceId) -> Result<Standing, PublishError> {
        let key = DocumentKey::from(id);
        let trust = self.trust().await?;
        let now = self.clock.now();
        let stamp = self.exchange.stamp().await.map_err(PublishError::Exchange)?;
        let stamp = trust.open_stamp(&stamp, now).map_err(PublishError::Trust)?;
        let bytes = self.exchange.catalog(stamp.catalog.version).await;
        let bytes = bytes.map_err(PublishError::Exchange)?;
        let admitted = Marks::default().admit(&trust, &stamp, &bytes, now);
        let (_, catalog) = admitted.map_err(PublishError::Trust)?;
        let entry = catalog.entries.get(&key).filter(|it| it.state == State::Active);
        let entry = entry.ok_or_else(|| PublishError::Absent(key.clone()))?;
        let envelope = self.exchange.document(&entry.sha256).await;
        let envelope = envelope.map_err(PublishError::Exchange)?;
        catalog.open::<ServiceBody>(&trust, &envelope, &key).map_err(PublishError::Trust)?;
        let verified =
            catalog.open::<Value>(&trust, &envelope, &key).map_err(PublishError::Trust)?;
        let is_ours = self.keys.iter().any(|key| verified.signers().contains(&key.key_id()));
        if self.root == TrustRoot::FirstSeen && !is_ours {
            return Err(PublishError::NotOurs(key));
        }
        Ok(Standing { header: verified.header().clone(), body: verified.into_body() })
    }

    /// Puts the policy beside a service of Horizon's exchange, as `hzn` puts it.
    pub(super) async fn put_horizon_service_policy(
        &self,
        id: &ServiceId,
        definition: &ServiceDefinition,
        policy: &ServicePolicy,
    ) -> Result<(), PublishError> {
        let policy = serde_json::to_value(for_horizon(id, definition, policy));
        let policy = policy.map_err(|it| PublishError::Encode(it.into()))?;
        self.exchange.put_service_policy(id, &policy).await.map_err(PublishError::Exchange)
    }

    /// The same, unless it is there already; whether it was put.
    pub(super) async fn update_horizon_service_policy(
        &self,
        id: &ServiceId,
        definition: &ServiceDefinition,
        policy: &ServicePolicy,
    ) -> Result<bool, PublishError> {
        if self.horizon_service_policy(id).await? == Some(for_horizon(id, definition, policy)) {
            return Ok(false);
        }
        self.put_horizon_service_policy(id, definition, policy).await?;
        Ok(true)
    }

    /// The policy that is beside a service of Horizon's exchange.
    async fn horizon_service_policy(
        &self,
        id: &ServiceId,
    ) -> Result<Option<ServicePolicy>, PublishError> {
        let standing = self.exchange.service_policy(id).await.map_err(PublishError::Exchange)?;
        let standing = standing.map(|it| serde_json::to_value(it.value)).transpose();
        let standing =
            standing.map_err(|it| PublishError::Encode(it.into()))?.map(serde_json::from_value);
        standing
            .transpose()
            .map_err(|source| PublishError::Published { key: id.into(), source: source.into() })
    }

    async fn set_horizon_service_policy(
        &self,
        id: &ServiceId,
        policy: Option<&ServicePolicy>,
    ) -> Result<Published, PublishError> {
        let definition = self.horizon_service(id).await?;
        let unchanged = if let Some(policy) = policy {
            !self.update_horizon_service_policy(id, &definition, policy).await?
        } else {
            let removed = self.exchange.remove_service_policy(id).await;
            !removed.map_err(PublishError::Exchange)?
        };
        Ok(Published { unchanged, ..published(DocumentKey::from(id)) })
    }

    /// The definition of a service of Horizon's exchange.
    async fn horizon_service(&self, id: &ServiceId) -> Result<ServiceDefinition, PublishError> {
        let found = self.exchange.service(id).await.map_err(PublishError::Exchange)?;
        let found = found.ok_or_else(|| PublishError::Absent(id.into()))?.value;
        let value = serde_json::to_value(found).map_err(|it| PublishError::Encode(it.into()))?;
        serde_json::from_value(value)
            .map_err(|source| PublishError::Published { key: id.into(), source: source.into() })
    }
}

impl Standing {
    /// The body with another policy; every other member as it is, in its place.
    fn with(&self, policy: Option<&ServicePolicy>) -> Result<Value, PublishError> {
        let mut body = self.body.clone();
        if let Some(members) = body.as_object_mut() {
            match policy {
                Some(policy) => {
                    let policy = serde_json::to_value(policy)
                        .map_err(|it| PublishError::Encode(it.into()))?;
                    members.insert(POLICY.to_owned(), policy);
                }
                None => {
                    members.shift_remove(POLICY);
                }
            }
        }
        Ok(body)
    }
}

/// The policy with the built-in properties of its service, without fields that are not Horizon's.
fn for_horizon(
    id: &ServiceId,
    definition: &ServiceDefinition,
    policy: &ServicePolicy,
) -> ServicePolicy {
    policy.of_service(&id.org, definition).without_unknown()
}
