//! Services, and what hangs on one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    exchange::api::{
        Property, Stored,
        bounds::{once, policy_problem, too_many},
        nullable,
    },
    types::{OrgId, ServiceUrl, Version, VersionRange},
};

/// What `POST` and `PUT /orgs/{org}/services` take.
///
/// `arch` and versions stay as their author wrote them: they are part of the service's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ServiceRequest {
    /// A name for people.
    pub label: String,
    /// A sentence for people; the label if empty.
    #[serde(default, deserialize_with = "nullable")]
    pub description: String,
    /// Whether other organizations see it.
    #[serde(default, deserialize_with = "nullable")]
    pub public: bool,
    /// Where to read about it.
    #[serde(default, deserialize_with = "nullable")]
    pub documentation: String,
    /// Its name.
    pub url: ServiceUrl,
    /// Its version.
    pub version: String,
    /// The architecture it is for.
    pub arch: String,
    /// How many of it may run on a node.
    pub sharable: Sharable,
    /// What hardware it needs.
    #[serde(default, deserialize_with = "nullable")]
    pub match_hardware: Map<String, Value>,
    /// Which services it needs.
    #[serde(default, deserialize_with = "nullable")]
    pub required_services: Vec<RequiredService>,
    /// Which variables it takes.
    #[serde(default, deserialize_with = "nullable")]
    pub user_input: Vec<UserInputDeclaration>,
    /// How it is run: a JSON text, signed as it is.
    #[serde(default, deserialize_with = "nullable")]
    pub deployment: String,
    /// Horizon's signature of it.
    #[serde(default, deserialize_with = "nullable")]
    pub deployment_signature: String,
    /// How it is run on a cluster.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_deployment: String,
    /// Horizon's signature of that.
    #[serde(default, deserialize_with = "nullable")]
    pub cluster_deployment_signature: String,
    /// Where its images are.
    #[serde(default, deserialize_with = "nullable")]
    pub image_store: Map<String, Value>,
}

/// How many of a service may run on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharable {
    /// One; whoever needs it shares it.
    Exclusive,
    /// One; an older word for it.
    Single,
    /// One for all who need it.
    Singleton,
    /// One for each who needs it.
    Multiple,
}

/// A service that another one needs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequiredService {
    /// Its name.
    pub url: ServiceUrl,
    /// The organization it belongs to.
    pub org: OrgId,
    /// An older word for the range.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Which versions serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_range: Option<String>,
    /// The architecture; that of the service itself.
    pub arch: String,
}

impl RequiredService {
    /// Which versions serve, if anything readable is said about it.
    pub fn range(&self) -> Option<VersionRange> {
        let text = self.version_range.as_ref().or(self.version.as_ref())?;
        text.parse().ok()
    }
}

/// A variable that a service takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UserInputDeclaration {
    /// Its name.
    pub name: String,
    /// A name for people.
    #[serde(default, deserialize_with = "nullable")]
    pub label: String,
    /// `string`, `int`, `float`, `boolean`, `list of strings`.
    #[serde(default, rename = "type", deserialize_with = "nullable")]
    pub kind: String,
    /// Its value if nobody gives one; without it somebody has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
}

impl ServiceRequest {
    /// The id the exchange gives it: `url_version_arch`.
    pub fn id(&self) -> String {
        format!("{}_{}_{}", self.url.mangled(), self.version, self.arch)
    }

    /// Fills in what may be left out: Horizon's answers always have it. Of equal required services one
    /// remains.
    #[must_use]
    pub fn completed(mut self) -> Self {
        if self.description.is_empty() {
            self.description.clone_from(&self.label);
        }
        for required in &mut self.required_services {
            required.version_range = required.version_range.take().or(required.version.clone());
            required.version = required.version.take().or(required.version_range.clone());
        }
        once(&mut self.required_services);
        self
    }

    /// What is wrong with it by itself, if anything is.
    pub fn problem(&self) -> Option<String> {
        let documented = url::Url::parse(&self.documentation).is_ok();
        if !self.documentation.is_empty() && !documented {
            return Some("documentation is not a URL".to_owned());
        }
        if !is_plain_version(&self.version) {
            return Some(format!("version '{}' is not 1 to 3 numbers", self.version));
        }
        if self.arch.trim().is_empty() || self.arch.contains('/') {
            return Some(format!("arch '{}' cannot name an architecture", self.arch));
        }
        let unsigned =
            |deployment: &str, signature: &str| !deployment.is_empty() && signature.is_empty();
        if unsigned(&self.deployment, &self.deployment_signature)
            || unsigned(&self.cluster_deployment, &self.cluster_deployment_signature)
        {
            return Some("a deployment needs its signature".to_owned());
        }
        let (required, variables) = (self.required_services.len(), self.user_input.len());
        let too_long = too_many("requiredServices", required)
            .or_else(|| too_many("userInput", variables))
            .or_else(|| too_many("matchHardware", self.match_hardware.len()))
            .or_else(|| too_many("imageStore", self.image_store.len()));
        if too_long.is_some() {
            return too_long;
        }
        self.required_services.iter().find_map(|required| {
            let url = &required.url;
            if required.range().is_none() {
                return Some(format!("required service '{url}' has no readable versionRange"));
            }
            (required.arch != self.arch)
                .then(|| format!("required service '{url}' has another arch than the service"))
        })
    }
}

/// Whether it is one to three numbers and no more: the exchange takes no prerelease.
pub(crate) fn is_plain_version(text: &str) -> bool {
    !text.contains('-') && text.parse::<Version>().is_ok()
}

/// A service as it is kept.
pub type Service = Stored<ServiceRequest>;

/// What `GET /orgs/{org}/services` answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Services {
    /// By `org/id`.
    pub services: BTreeMap<String, Service>,
    /// Always 0.
    pub last_index: i64,
}

/// What `PUT /orgs/{org}/services/{id}/policy` takes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServicePolicyRequest {
    /// A name for people.
    #[serde(deserialize_with = "nullable")]
    pub label: String,
    /// A sentence for people.
    #[serde(deserialize_with = "nullable")]
    pub description: String,
    /// What the service says about itself.
    #[serde(deserialize_with = "nullable")]
    pub properties: Vec<Property>,
    /// What it demands of a node.
    #[serde(deserialize_with = "nullable")]
    pub constraints: Vec<String>,
}

impl ServicePolicyRequest {
    /// What is wrong with it by itself, if anything is.
    pub fn problem(&self) -> Option<String> {
        policy_problem(&self.properties, &self.constraints)
    }
}

/// Something that hangs on another, and when it was last written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dated<T> {
    /// As it was given.
    #[serde(flatten)]
    pub value: T,
    /// When it was last written.
    pub last_updated: Timestamp,
}
