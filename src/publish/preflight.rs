//! What can refuse a publish, asked before the first byte is pushed: a refusal then leaves nothing behind, neither a tag
//! that moved nor a signature. `--dry-run` asks the same.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::timeout;

use crate::{
    document::ServiceBody,
    exchange::api::{Publication, bounds::MOST_CREDENTIALS},
    publish::{
        Publisher, PullLogin, Registries,
        commit::Draft,
        credentials,
        error::PublishError,
        find::FoundImage,
        horizon::HorizonDocument,
        order::{Existing, Order},
        plan::DocumentPlan,
    },
    registry::client::{RegistryClient, RegistryError},
    types::{ImageRef, Registry, Repository},
};

/// How long a registry may take to say whether it accepts a pull login. Without an answer the push goes on, and is
/// checked at its end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What stands in the exchange, and who may publish there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExchangeKind {
    /// Ours, which keeps envelopes.
    Edgepost,
    /// Horizon's own.
    Horizon,
}

impl Publisher {
    /// Refuses the logins for nodes that cannot be kept, and those that no image uses. Nothing is sent.
    pub(super) fn check_logins(order: &Order) -> Result<(), PublishError> {
        credentials(&order.logins)?;
        if order.logins.len() > MOST_CREDENTIALS {
            return Err(PublishError::TooManyLogins);
        }
        // Which images an operator names is in its archive.
        if order.definition.has_cluster_deployment() {
            return Ok(());
        }
        let used = order.registries()?;
        match order.logins.iter().find(|it| !used.contains(&it.registry)) {
            Some(PullLogin { registry, .. }) => {
                Err(PublishError::UnusedLogin { registry: registry.clone(), used })
            }
            None => Ok(()),
        }
    }

    /// What would become of a service's document; refuses what the exchange would refuse.
    pub(super) async fn check_service(
        &self,
        draft: &Draft,
        body: &ServiceBody,
        order: &Order,
        exchange: ExchangeKind,
    ) -> Result<DocumentPlan, PublishError> {
        match exchange {
            ExchangeKind::Edgepost => self.check_draft(draft).await,
            ExchangeKind::Horizon => {
                if self.horizon_key.is_none() {
                    return Err(PublishError::NeedsHorizonKey);
                }
                let version = &order.definition.version;
                if version.as_str().contains('-') {
                    return Err(PublishError::HorizonVersion(version.clone()));
                }
                self.plan_horizon(&HorizonDocument::new(draft.key(), &body.definition)).await
            }
        }
    }

    /// The refusal to publish a service over other content, with what differs.
    pub(super) async fn difference(
        &self,
        draft: &Draft,
        body: &ServiceBody,
        exchange: ExchangeKind,
    ) -> Result<PublishError, PublishError> {
        match exchange {
            ExchangeKind::Edgepost => self.difference_of_draft(draft).await,
            ExchangeKind::Horizon => {
                let document = HorizonDocument::new(draft.key(), &body.definition);
                self.difference_of_row(&document).await
            }
        }
    }

    /// What would become of a draft; refuses what the exchange would refuse: it is signed as it would be, and the exchange
    /// judges it without keeping it.
    pub(super) async fn check_draft(&self, draft: &Draft) -> Result<DocumentPlan, PublishError> {
        self.exchange.check_clock(self.clock.now())?;
        let plan = self.plan_draft(draft).await?;
        let envelope = self.envelope(draft.clone(), Existing::Overwrite).await?;
        let trust = self.trust().await?;
        trust.open::<serde_json::Value>(&envelope, &draft.key()).map_err(PublishError::Trust)?;
        let publication = Publication { envelope, credentials: Vec::new() };
        // An exchange of an earlier version does not have the question.
        self.exchange.check_publication(&publication).await.map_err(PublishError::Exchange)?;
        Ok(plan)
    }

    /// Refuses a login for nodes that its registry refuses, and images that are in their registry already and that the
    /// login cannot pull.
    pub(super) async fn check_pull_logins(
        order: &Order,
        found: &[FoundImage],
        registries: &Registries,
    ) -> Result<(), PublishError> {
        let with_login: BTreeSet<_> = order.logins.iter().map(|it| &it.registry).collect();
        let images = found.iter().map(|it| &it.image);
        let asked = images.filter(|it| with_login.contains(it.repository.registry()));
        let mut repositories = BTreeSet::new();
        for image in asked {
            if repositories.insert(&image.repository) {
                check_pull_login(image, &registries.pull).await?;
            }
        }
        Ok(())
    }
}

/// Whether the registry of an image accepts the pull login; what it does not answer is no refusal.
async fn check_pull_login(image: &ImageRef, client: &RegistryClient) -> Result<(), PublishError> {
    let repository: &Repository = &image.repository;
    match timeout(PATIENCE, client.may_pull(repository)).await {
        Ok(Err(source @ RegistryError::Unauthorized { user: Some(_), .. })) => {
            Err(PublishError::PullLoginRefused {
                image: Box::new(image.clone()),
                source: Box::new(source),
            })
        }
        Ok(Err(error)) => {
            tracing::debug!(%repository, %error, "whether nodes can pull is not known before the push");
            Ok(())
        }
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

impl Order {
    /// The registries of the images.
    fn registries(&self) -> Result<BTreeSet<Registry>, PublishError> {
        let images = super::find::images(&self.definition)?.into_iter();
        Ok(images.map(|it| it.repository.registry().clone()).collect())
    }
}
