//! The developer's verb: publish a service.
//!
//! The order makes a crash harmless: images first, then everything else in one commit.

mod body;
mod commit;
mod document;
mod error;
mod find;
mod horizon;
pub mod leftovers;
mod login;
mod note;
mod order;
mod plan;
mod preflight;
mod pushers;
mod report;
mod required;
mod service_policy;
mod ship;
mod waiting;

use std::{collections::BTreeSet, sync::Arc};

pub use document::Publishable;
pub use error::PublishError;
pub use find::registries_of;
pub use login::{ParseLoginError, PullLogin};
pub use note::ImageNote;
pub use order::{Existing, Order, ParseSourceError, Source};
pub use plan::{DocumentPlan, ImagePlan, PublishPlan};
pub(crate) use pushers::pushable;
pub use report::{BlobCounts, Published, ShippedReport, TrustGrade};
pub use required::MissingVersion;

use commit::Draft;
use find::{FoundImage, find_images};
use preflight::ExchangeKind;

use crate::{
    exchange::{api::Credential, client::ExchangeClient},
    registry::{
        client::{Progress, RegistryClient},
        protocol::Reference,
    },
    sign::{SigningKey, compat::horizon::HorizonKey},
    trust::TrustRoot,
    types::{Arch, Clock, DocumentKey, OrgId, Repository, ServiceId, Subject},
};

/// The same registries with two sets of credentials: what may push, and what nodes will have.
#[derive(Debug, Clone)]
pub struct Registries {
    /// With the publisher's own logins.
    pub push: RegistryClient,
    /// With the credentials that go with the service.
    pub pull: RegistryClient,
}

/// Publishes documents of one organization to one exchange.
#[derive(Debug)]
pub struct Publisher {
    org: OrgId,
    exchange: ExchangeClient,
    keys: Vec<SigningKey>,
    horizon_key: Option<HorizonKey>,
    root: TrustRoot,
    clock: Arc<dyn Clock>,
}

impl Publisher {
    /// Publishes to `exchange`, signed by those of `keys` that the trust rules ask for.
    pub fn new(
        org: OrgId,
        exchange: ExchangeClient,
        keys: Vec<SigningKey>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { org, exchange, keys, horizon_key: None, root: TrustRoot::FirstSeen, clock }
    }

    /// Signs deployments in Horizon's way too, for anax nodes.
    #[must_use]
    pub fn horizon_key(mut self, key: Option<HorizonKey>) -> Self {
        self.horizon_key = key;
        self
    }

    /// Knows the organization's trust by its pin, where it need not take the exchange's word for it.
    #[must_use]
    pub fn trusting(mut self, root: TrustRoot) -> Self {
        self.root = root;
        self
    }

    /// What publishing would do. Nothing is sent but questions, nothing is written.
    pub async fn plan(
        &self,
        order: &Order,
        registries: &Registries,
    ) -> Result<PublishPlan, PublishError> {
        Self::check_logins(order)?;
        let (id, found) = self.find(order, registries).await?;
        let body = self.body(order, &found)?;
        let draft = Draft::new(&self.org, Subject::from(&id), &body)?;
        let key = draft.key();
        let exchange = self.exchange_kind().await?;
        self.check_required(&order.definition, exchange == ExchangeKind::Edgepost).await?;
        let document = self.check_service(&draft, &body, order, exchange).await?;
        Self::check_pull_logins(order, &found, registries).await?;
        let mut images = Vec::new();
        for image in &found {
            let reference = Reference::Digest(image.root.digest);
            let head = registries.push.known_manifest(&image.image.repository, &reference).await;
            let head = head.map_err(|source| PublishError::of_registry(&image.image, source))?;
            images.push(ImagePlan::new(image, head.is_some()));
        }
        Ok(PublishPlan { key, document, images })
    }

    /// Publishes a service.
    pub async fn publish(
        &self,
        order: &Order,
        registries: &Registries,
        progress: &dyn Progress,
    ) -> Result<Published, PublishError> {
        Self::check_logins(order)?;
        let (id, found) = self.find(order, registries).await?;
        let body = self.body(order, &found)?;
        let draft = Draft::new(&self.org, Subject::from(&id), &body)?;
        let exchange = self.exchange_kind().await?;
        let edgepost = exchange == ExchangeKind::Edgepost;
        self.check_required(&order.definition, edgepost).await?;
        // Before the first byte is pushed, so that a refusal leaves nothing behind.
        let plan = Box::pin(self.check_service(&draft, &body, order, exchange)).await?;
        if plan == DocumentPlan::Different && order.existing == Existing::Refuse {
            return Err(self.difference(&draft, &body, exchange).await?);
        }
        Self::check_pull_logins(order, &found, registries).await?;
        let mut shipped = Vec::new();
        for image in &found {
            shipped.push(ship::ship(image, order, &self.keys, registries, progress).await?);
        }
        Box::pin(ship::look_again(&found, order.wait, registries)).await?;
        // Before the commit, whose outcome nothing may keep from being told.
        let pushable = Box::pin(self.pushable(order, &found, registries)).await;
        let mut published = if edgepost {
            let logins = credentials(&order.logins)?;
            let published = self.commit(draft, logins, order.existing).await?;
            self.store_horizon_key(&id).await?;
            published
        } else {
            self.commit_horizon(&id, &body, order).await?
        };
        published.images = shipped;
        published.pushable = pushable;
        Ok(published)
    }

    /// The repositories that the logins for nodes can push to.
    async fn pushable(
        &self,
        order: &Order,
        found: &[FoundImage],
        registries: &Registries,
    ) -> BTreeSet<Repository> {
        let with_login = order.logins.iter().map(|it| it.registry.clone()).collect();
        let repositories = found.iter().map(|it| it.image.repository.clone());
        pushable(repositories, &with_login, &registries.pull).await
    }

    /// The architectures of Linux that every image of the service is there for.
    pub async fn architectures(
        &self,
        order: &Order,
        registries: &Registries,
    ) -> Result<Vec<Arch>, PublishError> {
        find::architectures(order, registries).await
    }

    /// Withdraws what stands under `key`: a signed word that it is gone, which no node can miss or
    /// mistake for an exchange that hides it. What was never signed is removed, as Horizon does it.
    /// `false` where nothing stands there.
    pub async fn withdraw(&self, key: &DocumentKey) -> Result<bool, PublishError> {
        if self.speaks_edgepost().await?
            && let Some(withdrawn) = self.commit_withdrawal(key).await?
        {
            return Ok(withdrawn);
        }
        self.exchange.remove_row(key).await.map_err(PublishError::Exchange)
    }

    async fn find(
        &self,
        order: &Order,
        registries: &Registries,
    ) -> Result<(ServiceId, Vec<FoundImage>), PublishError> {
        let id = order.definition.service_id(&self.org);
        let found = find_images(order, &id.arch, registries).await?;
        Ok((id, found))
    }

    /// Which exchange it is.
    async fn exchange_kind(&self) -> Result<ExchangeKind, PublishError> {
        let is_ours = self.speaks_edgepost().await?;
        Ok(if is_ours { ExchangeKind::Edgepost } else { ExchangeKind::Horizon })
    }

    /// Whether the exchange has a place for envelopes, or is Horizon's own.
    async fn speaks_edgepost(&self) -> Result<bool, PublishError> {
        self.exchange.is_edgepost().await.map_err(PublishError::Exchange)
    }
}

/// The logins for nodes, as the exchange takes them.
pub(crate) fn credentials(logins: &[PullLogin]) -> Result<Vec<Credential>, PublishError> {
    logins
        .iter()
        .map(|it| {
            let (registry, username) = (it.registry.clone(), Some(it.username.clone()));
            Credential::new(registry, username, it.token.clone()).map_err(PublishError::Login)
        })
        .collect()
}
