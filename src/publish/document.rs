//! Publishing what goes with no image: patterns and policies.

use serde::Serialize;
use serde_json::Value;

use crate::{
    document::{DeploymentPolicy, Pattern},
    publish::{
        Publisher, commit::Draft, error::PublishError, order::Existing, plan::DocumentPlan,
        report::Published,
    },
    types::{DocumentBody, PatternId, PolicyId, Subject},
};

/// A document that is published by itself, whole, under a name of its own.
pub trait Publishable: DocumentBody + Serialize {
    /// What names one of its kind in an organization.
    type Id: Clone;

    /// What it is about.
    fn subject(id: &Self::Id) -> Subject;

    /// Exactly what `hzn` sends for it: what an exchange of Horizon's keeps.
    fn to_horizon(&self) -> Value;
}

impl Publishable for Pattern {
    type Id = PatternId;

    fn subject(id: &PatternId) -> Subject {
        Subject::Pattern(id.clone())
    }

    fn to_horizon(&self) -> Value {
        self.to_horizon()
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
        if !self.speaks_edgepost().await? {
            return self.put_horizon(subject.key(), &document.to_horizon(), existing).await;
        }
        let draft = Draft::new(&self.org, subject, document)?;
        self.commit(draft, Vec::new(), existing).await
    }

    /// What publishing a pattern or a policy would do.
    pub async fn plan_document<D: Publishable>(
        &self,
        id: &D::Id,
        document: &D,
    ) -> Result<DocumentPlan, PublishError> {
        let subject = D::subject(id);
        if !self.speaks_edgepost().await? {
            return self.plan_horizon(&subject.key()).await;
        }
        self.plan_draft(&Draft::new(&self.org, subject, document)?).await
    }
}
