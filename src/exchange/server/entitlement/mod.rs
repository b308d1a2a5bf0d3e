//! Who gets the pull credentials of a service: the one place that decides it, for every path that hands them out.
//!
//! A node gets the credentials of a service if three things hold, all judged in one snapshot of the database:
//!
//! 1. The service is of the node's own organization, whose settings allow the way that is asked for.
//! 2. The node's registration names the service: its pattern, or a deployment policy that fits it, offers the service
//!    or one that requires it. Documents count if the organization's trust vouches for them; rows without such a
//!    signature count only where the organization chose so, and then only if their author may change the service.
//! 3. Somebody who may stands for that registration: an administrator, the service's owner, any member where the
//!    organization chose so, or a signed policy of the node. What the node itself changes never counts.
//!
//! [`grant`] and [`walk`] decide and are pure; [`documents`] fetches and verifies what they ask for. [`answers`] remembers
//! what a walk has found until something that it depends on changes.

mod answers;
mod documents;
mod opened;
#[cfg(test)]
mod tests;
mod walk;

use self::{answers::Answers, documents::Documents, opened::OpenedDocuments};
use super::{ApiError, AppState, caller::Caller};
use crate::{
    exchange::{
        api::{MaskedCredential, OrgSettings, PlainCredentials, ServiceRequest},
        store::{NodeRecord, Ownership, StoredCredential},
    },
    types::OrgId,
};

/// What was found out for earlier decisions.
#[derive(Debug, Default)]
pub(super) struct EntitlementMemory {
    opened: OpenedDocuments,
    answers: Answers,
}

/// The way by which credentials are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Horizon's: tokens as they are, readable by whatever is between.
    Plain,
    /// Sealed to the key of a node.
    Sealed,
}

/// What a caller gets of the pull credentials of a service.
#[derive(Debug)]
pub(super) enum Access {
    /// Nothing, as if there were none.
    Nothing,
    /// Their names, without tokens.
    Masked(Vec<MaskedCredential>),
    /// All of them, for a node that is to run the service.
    Tokens {
        /// The credentials.
        credentials: Vec<StoredCredential>,
        /// The node's public key; nothing if it is not the one that the node was registered with.
        key: Option<String>,
    },
}

/// What was decided about one service.
#[derive(Debug)]
pub(super) struct Decision {
    /// The service, if there is one.
    pub(super) service: Option<ServiceRequest>,
    /// Its owner, and whether other organizations see it.
    pub(super) held: Option<Ownership>,
    /// What the caller gets.
    pub(super) access: Access,
}

/// What the account of a caller allows at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    Nothing,
    Masked,
    /// Tokens, if the node is entitled to the service.
    TokensIfEntitled,
}

/// What a caller gets at most of the credentials of a service of `org` that belongs to `owner`.
fn grant(caller: &Caller, org: &OrgId, owner: &str, way: Way, settings: &OrgSettings) -> Grant {
    let refused = settings.plain_credentials == PlainCredentials::Refused;
    match caller.node() {
        // Who made a node of another organization can have it run anything.
        Some(_) if caller.org != *org => Grant::Nothing,
        Some(_) if way == Way::Plain && refused => Grant::Nothing,
        Some(_) => Grant::TokensIfEntitled,
        None if caller.keeps(org, owner) => Grant::Masked,
        None => Grant::Nothing,
    }
}

/// Decides what `caller` gets of the credentials of service `id`, and reads it, in one snapshot.
pub(super) async fn decide(
    state: &AppState,
    caller: &Caller,
    (org, id): (&OrgId, &str),
    way: Way,
) -> Result<Decision, ApiError> {
    // The trust is walked before the snapshot, which then has to agree with it: a snapshot waits for nothing.
    let trust = match caller.node() {
        Some(_) if caller.org == *org => state.trust(org).await?,
        _ => None,
    };
    let mut snapshot = state.store.snapshot().await?;
    let held = snapshot.service(org, id).await?;
    let settings = snapshot.settings(org).await?;
    let (Some(held), Some(settings)) = (held, settings) else {
        return Ok(Decision { service: None, held: None, access: Access::Nothing });
    };
    let ownership = held.ownership();
    let access = match (grant(caller, org, &ownership.owner, way, &settings), caller.node()) {
        (Grant::Masked, _) => Access::Masked(snapshot.masked_credentials(org, id).await?),
        (Grant::TokensIfEntitled, Some(node)) => {
            let service = (id, ownership.owner.as_str());
            let mut documents =
                Documents::new(org, &mut snapshot, trust.as_deref(), &state.entitlement).await?;
            match documents.entitled(node, service, settings).await? {
                Some(NodeRecord { public_key, registration, .. }) => {
                    let key = Some(public_key).filter(|it| *it == registration.key);
                    let credentials = snapshot.credentials(org, id).await?;
                    Access::Tokens { credentials, key }
                }
                None => Access::Nothing,
            }
        }
        _ => Access::Nothing,
    };
    Ok(Decision { service: Some(held.value), held: Some(ownership), access })
}
