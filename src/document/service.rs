//! Services: the definition that an author writes, and what a publisher signs about it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::{
    document::{
        deployment::{Deployment, ParseDeploymentError, canonical},
        lenient,
        policy::ServicePolicy,
        user_input::UserInput,
    },
    types::{
        Arch, ImageRef, OrgId, PinnedImage, Platform, Registry, ServiceId, ServiceUrl, Version,
        VersionRange,
    },
};

/// A service for one architecture: Horizon's `service.definition.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceDefinition {
    /// The organization it is written for.
    #[serde(
        default,
        deserialize_with = "lenient::empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub org: Option<OrgId>,
    /// What people call it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub label: String,
    /// What it is for.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub description: String,
    /// A URL where more is said; empty is none.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub documentation: String,
    /// Whether other organizations may use it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub public: bool,
    /// Its name in its organization.
    pub url: ServiceUrl,
    /// Its version.
    pub version: Version,
    /// The architecture it is for.
    pub arch: Arch,
    /// How it is shared when several services of a node require it.
    pub sharable: Sharable,
    /// Hardware it is for; not used by anybody.
    #[serde(default)]
    pub match_hardware: Option<Map<String, Value>>,
    /// The services that must run beside it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub required_services: Vec<RequiredService>,
    /// The variables it asks for.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub user_input: Vec<UserInput>,
    /// Its containers.
    #[serde(default)]
    pub deployment: NativeDeployment,
    /// Horizon's signature over the text of the deployment.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub deployment_signature: String,
    /// How it is deployed in a cluster; kept as it is.
    #[serde(default)]
    pub cluster_deployment: Value,
    /// Horizon's signature over the text of the cluster deployment.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub cluster_deployment_signature: String,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// How a service is shared when several services of a node require it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharable {
    /// One instance for all of them.
    Singleton,
    /// An instance for each of them.
    Multiple,
    /// An old word for [`Sharable::Singleton`].
    Exclusive,
    /// An old word for [`Sharable::Singleton`].
    Single,
}

/// The containers of a service, in the forms that Horizon knows.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum NativeDeployment {
    /// It has none, as a service for clusters alone.
    #[default]
    Absent,
    /// As an author writes it: the publisher pins and signs it.
    Described(Deployment<ImageRef>),
    /// The text that was signed. Its bytes are what counts; nothing re-encodes them.
    Text(String),
}

impl Serialize for NativeDeployment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_str(""),
            Self::Described(deployment) => deployment.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for NativeDeployment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::Absent),
            Value::String(text) if text.is_empty() => Ok(Self::Absent),
            Value::String(text) => Ok(Self::Text(text)),
            object => Deployment::deserialize(object)
                .map(Self::Described)
                .map_err(serde::de::Error::custom),
        }
    }
}

/// A service that must run beside another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequiredService {
    /// Its name.
    pub url: ServiceUrl,
    /// The organization that publishes it.
    pub org: OrgId,
    /// An old name of `versionRange`.
    #[serde(
        default,
        deserialize_with = "lenient::empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub version: Option<VersionRange>,
    /// The versions that will do.
    #[serde(
        default,
        deserialize_with = "lenient::empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub version_range: Option<VersionRange>,
    /// The architecture; always that of the service that requires it.
    pub arch: Arch,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl RequiredService {
    /// The versions that will do, under either name; where nothing is said, every one.
    pub fn versions(&self) -> VersionRange {
        let said = self.version_range.as_ref().or(self.version.as_ref());
        said.cloned().unwrap_or_else(VersionRange::any)
    }
}

impl ServiceDefinition {
    /// What it is called in `org`.
    pub fn service_id(&self, org: &OrgId) -> ServiceId {
        ServiceId {
            org: org.clone(),
            url: self.url.clone(),
            version: self.version.clone(),
            arch: self.arch.clone(),
        }
    }

    /// The definition with the text of `deployment`, and Horizon's signature over that text (empty
    /// if there is none).
    #[must_use]
    pub fn with_deployment(&self, deployment: &Deployment<PinnedImage>, signature: String) -> Self {
        Self {
            deployment: NativeDeployment::Text(deployment.to_canonical()),
            deployment_signature: signature,
            ..self.clone()
        }
    }

    /// Exactly what `hzn` sends for it: deployments as text, no organization, no field that is not
    /// Horizon's.
    pub fn to_horizon(&self) -> Value {
        let deployment = match &self.deployment {
            NativeDeployment::Absent => String::new(),
            // Every key is a text, so that this cannot fail.
            NativeDeployment::Described(deployment) => {
                canonical::text(&serde_json::to_value(deployment).unwrap_or_default())
            }
            NativeDeployment::Text(text) => text.clone(),
        };
        let cluster_deployment = match &self.cluster_deployment {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            object => canonical::text(object),
        };
        let required = |it: &RequiredService| {
            let mut sent = RequiredService { unknown: Map::new(), ..it.clone() };
            sent.version_range = Some(it.versions());
            sent
        };
        let input = |it: &UserInput| UserInput { unknown: Map::new(), ..it.clone() };
        json!({
            "label": self.label,
            "description": self.description,
            "documentation": self.documentation,
            "public": self.public,
            "url": self.url,
            "version": self.version,
            "arch": self.arch,
            "sharable": self.sharable,
            "matchHardware": self.match_hardware,
            "requiredServices": self.required_services.iter().map(required).collect::<Vec<_>>(),
            "userInput": self.user_input.iter().map(input).collect::<Vec<_>>(),
            "deployment": deployment,
            "deploymentSignature": self.deployment_signature,
            "clusterDeployment": cluster_deployment,
            "clusterDeploymentSignature": self.cluster_deployment_signature,
        })
    }
}

/// What a publisher signs about a service: everything that a node needs to run it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceBody {
    /// The definition, its deployment as text.
    pub definition: ServiceDefinition,
    /// The images of the deployment.
    #[serde(default)]
    pub images: Vec<ShippedImage>,
    /// What the service says of itself and asks of nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<ServicePolicy>,
    /// The certificate authority (PEM) of a registry, for that registry alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registry_ca: BTreeMap<Registry, String>,
}

/// An image of a service, as it was shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShippedImage {
    /// The container that runs it.
    pub name: String,
    /// Where it lives; it cannot change there.
    pub image: PinnedImage,
    /// The bytes that a node without any of it downloads.
    pub size: u64,
    /// What it runs on.
    pub platform: Platform,
}

/// Why a service has no containers to run.
#[derive(Debug, thiserror::Error)]
pub enum ServiceBodyError {
    /// It has no deployment for devices.
    #[error("the service has no deployment for devices")]
    Absent,
    /// Its deployment is not the text of one with pinned images.
    #[error("the deployment is not sealed: its images are not pinned in a signed text")]
    NotSealed,
    /// Its text cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ParseDeploymentError),
}

impl ServiceBody {
    /// The containers to run.
    pub fn deployment(&self) -> Result<Deployment<PinnedImage>, ServiceBodyError> {
        match &self.definition.deployment {
            NativeDeployment::Absent => Err(ServiceBodyError::Absent),
            NativeDeployment::Described(_) => Err(ServiceBodyError::NotSealed),
            NativeDeployment::Text(text) => Ok(Deployment::from_text(text)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_exchange() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/horizon/service_id.jsonl");
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let mut text = vector.clone();
            text["sharable"] = "multiple".into();
            text.as_object_mut().unwrap().remove("id");
            let definition: ServiceDefinition = serde_json::from_value(text).unwrap();
            let id = definition.service_id(&"acme".parse().unwrap());
            assert_eq!(id.exchange_id(), vector["id"], "{line}");
        }
    }

    #[test]
    fn horizon_is_sent_its_own_fields_alone() {
        let definition: ServiceDefinition = serde_json::from_str(
            r#"{"org":"acme","owner":"x","label":"l","url":"u","version":"1","arch":"amd64",
                "sharable":"multiple","userInput":null,"matchHardware":null,
                "requiredServices":[{"url":"r","org":"o","version":"1.0.0","arch":"amd64","x":1}],
                "deployment":"{\"services\": {}}","deploymentSignature":"sig"}"#,
        )
        .unwrap();
        let expected = json!({
            "label": "l", "description": "", "documentation": "", "public": false, "url": "u",
            "version": "1", "arch": "amd64", "sharable": "multiple", "matchHardware": null,
            "requiredServices":
                [{"url": "r", "org": "o", "version": "1.0.0", "versionRange": "1.0.0", "arch": "amd64"}],
            "userInput": [], "deployment": "{\"services\": {}}", "deploymentSignature": "sig",
            "clusterDeployment": "", "clusterDeploymentSignature": "",
        });
        assert_eq!(definition.to_horizon(), expected);
    }

    #[test]
    fn only_a_sealed_deployment_is_run() {
        let definition: ServiceDefinition = serde_json::from_str(
            r#"{"url":"u","version":"1","arch":"amd64","sharable":"multiple",
                "deployment":{"services":{"a":{"image":"a.b/c:1"}}}}"#,
        )
        .unwrap();
        let body = |definition| ServiceBody {
            definition,
            images: Vec::new(),
            policy: None,
            registry_ca: BTreeMap::new(),
        };
        let written = body(definition.clone());
        assert!(matches!(written.deployment(), Err(ServiceBodyError::NotSealed)));

        let NativeDeployment::Described(deployment) = &definition.deployment else { panic!() };
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let image = format!("a.b/c@{digest}").parse().unwrap();
        let pinned =
            deployment.pin(&BTreeMap::from([("a.b/c:1".parse().unwrap(), image)])).unwrap();
        let sealed = body(definition.with_deployment(&pinned, String::new()));
        let text = serde_json::to_string(&sealed).unwrap();
        let read: ServiceBody = serde_json::from_str(&text).unwrap();
        assert_eq!(read, sealed);
        assert_eq!(read.deployment().unwrap(), pinned);
    }
}
