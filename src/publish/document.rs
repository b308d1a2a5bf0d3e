//! Publishing what goes with no image: patterns and policies.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    document::{DeploymentPolicy, NodePolicy, Pattern, ServiceRef},
    publish::{
        Publisher,
        commit::Draft,
        error::PublishError,
        horizon::{HorizonDocument, ToHorizon},
        order::Existing,
        plan::DocumentPlan,
        report::Published,
    },
    types::{DocumentBody, NodeId, PatternId, PolicyId, Subject},
};

/// A document that is published by itself, whole, under a name of its own.
pub trait Publishable: DocumentBody + Serialize + DeserializeOwned + Clone {
    /// What names one of its kind in an organization.
    type Id: Clone;

    /// What it is about.
    fn subject(id: &Self::Id) -> Subject;

    /// Exactly what `hzn` sends for it: what an exchange of Horizon's keeps.
    fn to_horizon(&self) -> Value;

    /// The services it offers to nodes: they must be published before it.
    fn offers(&self) -> Vec<ServiceRef> {
        Vec::new()
    }

    /// The document with Horizon's signatures over those parts that Horizon signs, made by
    /// `publisher` if it has a key for that.
    fn signed_for_horizon(&self, _publisher: &Publisher) -> Result<Self, PublishError> {
        Ok(self.clone())
    }

    /// Whether it has such signatures.
    fn is_signed_for_horizon(&self) -> bool {
        false
    }
}

impl<D: Publishable> ToHorizon for D {
    fn row(&self) -> Value {
        self.to_horizon()
    }
}

impl Publishable for Pattern {
    type Id = PatternId;

    fn subject(id: &PatternId) -> Subject {
        Subject::Pattern(id.clone())
    }

    fn to_horizon(&self) -> Value {
        self.to_horizon()
    }

    fn offers(&self) -> Vec<ServiceRef> {
        self.service_refs()
    }

    fn signed_for_horizon(&self, publisher: &Publisher) -> Result<Self, PublishError> {
        publisher.with_signed_overrides(self)
    }

    fn is_signed_for_horizon(&self) -> bool {
        self.has_signed_overrides()
    }
}

impl Publishable for DeploymentPolicy {
    type Id = PolicyId;

    fn subject(id: &PolicyId) -> Subject {
        Subject::Policy(id.clone())
    }

    fn to_horizon(&self) -> Value {
        self.to_horizon()
    }

    fn offers(&self) -> Vec<ServiceRef> {
        vec![self.service_ref()]
    }
}

/// It counts in the place of the policy that the node was registered with, until it is withdrawn.
impl Publishable for NodePolicy {
    type Id = NodeId;

    fn subject(id: &NodeId) -> Subject {
        Subject::NodePolicy(id.clone())
    }

    fn to_horizon(&self) -> Value {
        self.to_horizon()
    }
}

impl Publisher {
    /// Publishes a pattern or a policy.
    pub async fn publish_document<D: Publishable>(
        &self,
        id: &D::Id,
        document: &D,
        existing: Existing,
    ) -> Result<Published, PublishError> {
        let subject = D::subject(id);
        let document = document.signed_for_horizon(self)?;
        self.check_offered(&subject.key(), &document.offers()).await?;
        let published = if self.speaks_edgepost().await? {
            let draft = Draft::new(&self.org, subject.clone(), &document)?;
            self.commit(draft, Vec::new(), existing).await?
        } else {
            self.put_horizon(&HorizonDocument::new(subject.key(), &document), existing).await?
        };
        if let Subject::Pattern(id) = &subject
            && document.is_signed_for_horizon()
        {
            self.store_horizon_pattern_key(id).await?;
        }
        Ok(published)
    }

    /// What publishing a pattern or a policy would do.
    pub async fn plan_document<D: Publishable>(
        &self,
        id: &D::Id,
        document: &D,
    ) -> Result<DocumentPlan, PublishError> {
        let subject = D::subject(id);
        let document = document.signed_for_horizon(self)?;
        self.check_offered(&subject.key(), &document.offers()).await?;
        if !self.speaks_edgepost().await? {
            return self.plan_horizon(&HorizonDocument::new(subject.key(), &document)).await;
        }
        self.check_draft(&Draft::new(&self.org, subject, &document)?).await
    }
}
