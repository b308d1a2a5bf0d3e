//! The change feed: what happened since.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{exchange::api::nullable, types::OrgId};

/// The most changes that one answer tells, however many are asked for.
pub const MOST_CHANGES: u32 = 10_000;

/// What `POST /orgs/{org}/changes` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct ChangesRequest {
    /// The first change of interest; 0 asks by time.
    #[serde(deserialize_with = "nullable")]
    pub change_id: i64,
    /// The time from which on changes are of interest, where no id is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<Timestamp>,
    /// The most changes to tell; 0 tells none.
    #[serde(deserialize_with = "nullable")]
    pub max_records: u32,
    /// The organizations of interest; only of agreement bots.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org_list: Option<Vec<String>>,
}

impl ChangesRequest {
    /// Asks for the changes from `change_id` on, `most` of them.
    pub fn since(change_id: i64, most: u32) -> Self {
        Self { change_id, max_records: most, ..Self::default() }
    }
}

/// What `POST /orgs/{org}/changes` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangesResponse {
    /// The changes, one entry for each thing that changed.
    pub changes: Vec<ChangedResource>,
    /// Ask from one more than this the next time.
    pub most_recent_change_id: i64,
    /// Whether there may be more than were told.
    pub hit_max_records: bool,
    /// The version of Horizon's exchange that this one is like.
    pub exchange_version: String,
}

/// Everything that happened to one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedResource {
    /// The organization it belongs to.
    pub org_id: OrgId,
    /// What it is.
    pub resource: Resource,
    /// Its name, without the organization.
    pub id: String,
    /// What happened last.
    pub operation: Operation,
    /// Each time something happened.
    pub resource_changes: Vec<ResourceChange>,
}

/// Something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceChange {
    /// The number of the change; numbers rise in the order in which changes become visible.
    pub change_id: i64,
    /// When.
    pub last_updated: Timestamp,
}

/// What `GET /changes/maxchangeid` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MaxChangeId {
    /// The number of the newest change.
    pub max_change_id: i64,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A word that this version does not know.
            Other(String),
        }

        impl $name {
            /// Its word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)+
                    _ => Self::Other(word),
                }
            }
        }

        impl From<$name> for String {
            fn from(it: $name) -> Self {
                it.as_str().to_owned()
            }
        }
    };
}

words!(
    /// What can change.
    Resource {
        /// An organization.
        Org = "org",
        /// An API key of a user.
        ApiKey = "apikey",
        /// A node.
        Node = "node",
        /// A node's policy.
        NodePolicy = "nodepolicies",
        /// A node's status.
        NodeStatus = "nodestatus",
        /// A node's errors.
        NodeErrors = "nodeerrors",
        /// A node's agreement.
        NodeAgreement = "nodeagreements",
        /// Which services of a node are suspended.
        ConfigState = "services_configstate",
        /// A service.
        Service = "service",
        /// A key beside a service.
        ServiceKey = "servicekeys",
        /// A service's policy.
        ServicePolicy = "servicepolicies",
        /// A registry credential of a service.
        DockAuth = "servicedockauths",
        /// A pattern.
        Pattern = "pattern",
        /// A key beside a pattern.
        PatternKey = "patternkeys",
        /// A deployment policy.
        Policy = "policy",
        /// Ours: the organization's trust document.
        Trust = "edgeposttrust",
    }
);

words!(
    /// What happened to it.
    Operation {
        /// It came to be.
        Created = "created",
        /// It came to be or changed.
        CreatedOrModified = "created/modified",
        /// It changed.
        Modified = "modified",
        /// It is gone.
        Deleted = "deleted",
    }
);
