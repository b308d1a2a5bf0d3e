//! Publishing to Open Horizon's own exchange, which has no place for an envelope: `hzn`'s calls in
//! `hzn`'s order.
//!
//! What is there already with the same content is not written again; its key, its pull credentials and its policy are
//! brought up to date, so that a publish that broke off is completed by repeating it.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    document::{
        NodePolicy, ServiceBody, ServiceDefinition,
        difference::{Change, changes},
        horizon_row::{authored, said, without_defaults},
    },
    exchange::api::Credential,
    publish::{
        Publisher,
        body::unfolded,
        credentials,
        error::PublishError,
        order::{Existing, Order},
        plan::DocumentPlan,
        report::{Published, TrustGrade},
    },
    types::{DocumentKey, DocumentKind, PatternId, ServiceId},
};

/// What the public key is called beside the service. Nodes take every key that they find there.
const KEY_NAME: &str = "edgepost.pem";

/// A document in the form that Horizon's exchange keeps.
pub(super) struct HorizonDocument {
    /// What it is called.
    key: DocumentKey,
    /// What is sent.
    row: Value,
    /// Reads a row of the exchange, and writes it as it would be sent.
    normalize: fn(&Value) -> Option<Value>,
}

/// How a document compares with the row of its name.
enum Comparison {
    /// There is no row.
    New,
    /// The row says the same, by the same key.
    Same,
    /// The row says the same; another key signed it, or none.
    SignedAnew(Value),
    /// The row says something else.
    Different(Value, Vec<Change>),
}

impl HorizonDocument {
    /// The document called `key`, as the type `T` writes it for Horizon.
    pub(super) fn new<T: DeserializeOwned + ToHorizon>(key: DocumentKey, document: &T) -> Self {
        let normalize = |row: &Value| Some(said::<T>(row).ok()?.row());
        Self { key, row: document.row(), normalize }
    }
}

/// A document that has a form for Horizon's exchange.
pub(super) trait ToHorizon: Serialize {
    /// Exactly what `hzn` sends for it.
    fn row(&self) -> Value;
}

impl ToHorizon for ServiceDefinition {
    fn row(&self) -> Value {
        self.to_horizon()
    }
}

impl Publisher {
    /// What would become of a document there.
    pub(super) async fn plan_horizon(
        &self,
        document: &HorizonDocument,
    ) -> Result<DocumentPlan, PublishError> {
        Ok(match self.compare(document).await? {
            Comparison::New => DocumentPlan::New,
            Comparison::Same => DocumentPlan::Unchanged,
            Comparison::SignedAnew(_) => DocumentPlan::SignedAnew,
            Comparison::Different(..) => DocumentPlan::Different,
        })
    }

    /// The refusal to publish a document over the row of its name.
    pub(super) async fn difference_of_row(
        &self,
        document: &HorizonDocument,
    ) -> Result<PublishError, PublishError> {
        let changes = match self.compare(document).await? {
            Comparison::Different(_, changes) => changes,
            _ => Vec::new(),
        };
        Ok(PublishError::Different { key: document.key.clone(), changes })
    }

    /// Makes the document there, or replaces it; what says the same stays as it is.
    pub(super) async fn put_horizon(
        &self,
        document: &HorizonDocument,
        existing: Existing,
    ) -> Result<Published, PublishError> {
        let HorizonDocument { key, row, .. } = document;
        let unchanged = match self.compare(document).await? {
            Comparison::Same => true,
            Comparison::New => {
                self.exchange.create_row(key, row).await.map_err(PublishError::Exchange)?;
                false
            }
            Comparison::Different(_, changes) if existing == Existing::Refuse => {
                return Err(PublishError::Different { key: key.clone(), changes });
            }
            Comparison::SignedAnew(standing) | Comparison::Different(standing, _) => {
                let measured = match key.kind() {
                    DocumentKind::NodePolicy => Some(over_measured(key, row, standing)?),
                    _ => None,
                };
                let row = measured.as_ref().unwrap_or(row);
                self.exchange.replace_row(key, row).await.map_err(PublishError::Exchange)?;
                false
            }
        };
        Ok(Published { unchanged, ..published(key.clone()) })
    }

    /// Compares a document with the row of its name.
    async fn compare(&self, document: &HorizonDocument) -> Result<Comparison, PublishError> {
        let HorizonDocument { key, row, normalize } = document;
        let standing = self.exchange.row(key).await.map_err(PublishError::Exchange)?;
        let Some(standing) = standing else { return Ok(Comparison::New) };
        let new = match key.kind() {
            DocumentKind::NodePolicy => over_measured(key, row, standing.clone())?,
            _ => row.clone(),
        };
        let live = normalize(&standing).unwrap_or_else(|| authored(&standing));
        let new = self.with_standing_signatures(&new, &live);
        let (live, new) = without_defaults(live, new);
        let changes = changes(&unfolded(&live), &unfolded(&new));
        Ok(match changes.as_slice() {
            [] if live == new => Comparison::Same,
            [] => Comparison::SignedAnew(standing),
            _ => Comparison::Different(standing, changes),
        })
    }

    /// Stores the service, its key, its logins and its policy, in this order.
    pub(super) async fn commit_horizon(
        &self,
        id: &ServiceId,
        body: &ServiceBody,
        order: &Order,
    ) -> Result<Published, PublishError> {
        let document = HorizonDocument::new(DocumentKey::from(id), &body.definition);
        let published = self.put_horizon(&document, order.existing).await?;
        self.store_horizon_key(id).await?;
        let credentials_changed = self.put_logins(id, &credentials(&order.logins)?).await?;
        let policy_changed = match &body.policy {
            Some(policy) => {
                self.update_horizon_service_policy(id, &body.definition, policy).await?
            }
            None => false,
        };
        let unchanged = published.unchanged && !policy_changed;
        let credentials_replaced = unchanged && credentials_changed;
        Ok(Published { unchanged, credentials_replaced, ..published })
    }

    /// Makes these the pull credentials of a service; where none are given, those that are there stay. Whether that
    /// changed any. The new ones come first, so that nodes are never without.
    async fn put_logins(&self, id: &ServiceId, new: &[Credential]) -> Result<bool, PublishError> {
        if new.is_empty() {
            return Ok(false);
        }
        let held = self.exchange.service_logins(id).await.map_err(PublishError::Exchange)?;
        let missing: Vec<_> =
            new.iter().filter(|new| !held.iter().any(|held| held.is(new))).collect();
        for login in &missing {
            let added = self.exchange.add_service_login(id, login).await;
            added.map_err(PublishError::Exchange)?;
        }
        let stale: Vec<_> =
            held.iter().filter(|held| !new.iter().any(|new| held.may_be(new))).collect();
        for login in &stale {
            let removed = self.exchange.remove_service_login(id, login.number).await;
            removed.map_err(PublishError::Exchange)?;
        }
        Ok(!missing.is_empty() || !stale.is_empty())
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
