//! The wire contract of the exchange, used by both ends.
//!
//! Requests are read strictly: a field that is not known is refused, `null` is as good as absent.
//! Answers are read leniently, so that a newer exchange can say more.

mod admin;
pub mod bounds;
mod changes;
pub mod credentials;
mod dock_auths;
mod error;
mod node_parts;
mod node_profiles;
mod nodes;
mod orgs;
mod patterns;
mod policies;
mod properties;
pub mod publication;
mod rekey;
pub mod report;
mod secret;
mod services;
pub mod trust;
mod users;
pub mod wait;

pub use admin::{AdminStatus, NodesOfOrgs, OrgStatus};
pub use changes::{
    ChangedResource, ChangesRequest, ChangesResponse, MOST_CHANGES, MaxChangeId, Operation,
    Resource, ResourceChange,
};
pub use credentials::{
    BadCredential, Credential, CredentialError, HeldCredentials, MaskedCredential, NewCredentials,
    SealedCredential,
};
pub use dock_auths::{DockAuth, ShownToken};
pub use error::{Code, Reply};
use jiff::Timestamp;
pub use node_parts::{
    AgreedService, Agreement, AgreementRequest, AgreementService, Agreements, ContainerStatus,
    NodeErrorsRequest, NodePolicyRequest, NodeStatus, NodeStatusRequest, PolicyTerms,
    RunningService,
};
pub use node_profiles::{MOST_PROFILES, NodeProfile, NodeProfileError, NodeProfiles};
pub use nodes::{
    ConfigState, ConfigStateRequest, NoMessages, Node, NodeApproval, NodeDescription, NodeRequest,
    NodeType, Nodes, RegisteredProperty, RegisteredService,
};
pub use orgs::{
    AgbotsNone, HeartbeatIntervals, NodeCredentials, ORG_TYPE_IBM, Org, OrgLimits, OrgRequest,
    OrgSettings, OrgSettingsChange, Orgs, PlainCredentials, UnsignedDocuments,
};
pub use patterns::{
    AgreementProtocol, Pattern, PatternRequest, PatternService, PatternServiceVersion, Patterns,
};
pub use policies::{Policies, Policy, PolicyRequest, PolicyService, PolicyServiceVersion};
use properties::constraint_problem;
pub use properties::{
    Input, NodeHealth, Priority, Property, PropertyType, SecretBinding, UpgradePolicy, UserInput,
};
pub use publication::{DocumentHistory, Publication, Published, PublishedDocument};
pub use rekey::{RekeyRequest, Rekeyed};
pub use report::{
    HOST_ACCESS, LONGEST_REASON, MOST_REFUSING, MOST_STATES, MOST_UNFIT, NodeReport, NodeState,
    NodeStates, ReceivedReport, RefusalReport, RefusingNodes, ReportedState, ServiceReport,
    ServiceState, UnfitReport,
};
pub use secret::{Hidden, WireSecret};
use serde::{Deserialize, Deserializer, Serialize};
pub use services::{
    Dated, RequiredService, Service, ServicePolicyRequest, ServiceRequest, Services, Sharable,
    UserInputDeclaration,
};
pub use trust::{StampKey, TrustHead};
pub use users::{
    ApiKey, ApiKeyRequest, ApiKeys, ChangePassword, ExpiringKey, ExpiringKeyRequest, NewApiKey,
    NewPassword, RevokedKeys, User, UserPatch, UserRequest, Users,
};
pub use wait::{ChangesWait, LONGEST_WAIT};

/// The header by which our exchange tells itself apart from Open Horizon's: its version.
pub const VERSION_HEADER: &str = "edgepost-version";

/// Something that is kept, and by whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stored<T> {
    /// `org/user`, who made it.
    pub owner: String,
    /// As it was given.
    #[serde(flatten)]
    pub value: T,
    /// When it was made; told of deployment policies only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// When it was last written.
    pub last_updated: Timestamp,
}

/// One attribute of something: what a `GET` with `?attribute=` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// Its name.
    pub attribute: String,
    /// Its value, as JSON where it is no text.
    pub value: String,
}

/// Reads `null` as the default: clients in Go send it for whatever is empty.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
