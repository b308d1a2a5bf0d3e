//! Services: the definition that an author writes.

use std::{borrow::Cow, collections::BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::{
    document::{
        cluster::ClusterDeployment,
        deployment::{AccessNeed, Container, Deployment, canonical},
        lenient,
        property::{Properties, Property},
        schema,
        user_input::UserInput,
    },
    types::{Arch, ImageRef, OrgId, PinnedImage, ServiceId, ServiceUrl, Version, VersionRange},
};

/// A service for one architecture: Horizon's `service.definition.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(
    title = "Service definition",
    extend("required" = ["url", "version", "arch", "sharable"]),
    transform = schema::signed_if_text("deployment", "deploymentSignature"),
    transform = schema::signed_if_text("clusterDeployment", "clusterDeploymentSignature")
)]
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
    #[schemars(
        example = &"https://example.com/hello",
        extend("pattern" = r"^[\u0000-\u0020]*[A-Za-z][^/?#]*:"),
        extend("patternErrorMessage" = "a URL with its scheme, https://…")
    )]
    pub documentation: String,
    /// Whether other organizations may use it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub public: bool,
    /// Its name in its organization; Horizon calls it a URL, though a plain word is usual.
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
    /// Its containers; or the text of them that was signed.
    #[serde(default)]
    pub deployment: NativeDeployment,
    /// Horizon's signature over the text of the deployment.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub deployment_signature: String,
    /// How it is deployed in a cluster; kept, signed and served, not run on devices.
    #[serde(default)]
    pub cluster_deployment: ClusterDeployment,
    /// Horizon's signature over the text of the cluster deployment.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub cluster_deployment_signature: String,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// How a service is shared when several services of a node require it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sharable {
    /// One instance for all of them.
    Singleton,
    /// An instance for each of them.
    Multiple,
    /// An old word for `singleton`.
    #[schemars(extend("deprecated" = true))]
    Exclusive,
    /// An old word for `singleton`.
    #[schemars(extend("deprecated" = true))]
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

impl JsonSchema for NativeDeployment {
    fn schema_name() -> Cow<'static, str> {
        "NativeDeployment".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let described = generator.subschema_for::<Deployment<ImageRef>>();
        json_schema!({ "anyOf": [described, { "type": "string" }] })
    }
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::one_of_them("version", "versionRange"))]
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
    #[schemars(extend("deprecated" = true))]
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
    /// The same service for `arch`, with what it requires for its own architecture.
    #[must_use]
    pub fn for_arch(mut self, arch: &Arch) -> Self {
        for required in &mut self.required_services {
            if required.arch == self.arch {
                required.arch = arch.clone();
            }
        }
        self.arch = arch.clone();
        self
    }

    /// What it is called in `org`.
    pub fn service_id(&self, org: &OrgId) -> ServiceId {
        ServiceId {
            org: org.clone(),
            url: self.url.clone(),
            version: self.version.clone(),
            arch: self.arch.clone(),
        }
    }

    /// The properties that every service has, from what it is.
    pub fn built_in_properties(&self, org: &OrgId) -> Properties {
        Properties::from_iter([
            Property::new("openhorizon.service.url", self.url.as_str()),
            Property::new("openhorizon.service.name", self.url.as_str()),
            Property::new("openhorizon.service.org", org.as_str()),
            Property::version("openhorizon.service.version", &self.version),
            Property::new("openhorizon.service.arch", self.arch.as_str()),
        ])
    }

    /// Whether it has containers for a device.
    pub fn has_deployment(&self) -> bool {
        self.deployment != NativeDeployment::Absent
    }

    /// Whether it can be deployed in a cluster.
    pub fn has_cluster_deployment(&self) -> bool {
        self.cluster_deployment != ClusterDeployment::Absent
    }

    /// Whether only a node that allows privileged services may run it. A text that cannot be read
    /// needs no privilege: nothing runs it.
    pub fn needs_privilege(&self) -> bool {
        self.containers().is_some_and(|it| it.needs_privilege())
    }

    /// Everything that its containers need of their host beyond the default sandbox. A text that cannot be
    /// read needs nothing: nothing runs it.
    pub fn host_access(&self) -> BTreeSet<AccessNeed> {
        self.containers().map(|it| it.host_access()).unwrap_or_default()
    }

    /// The secrets of its containers: the container, and the name that it knows the secret by.
    pub fn secrets(&self) -> Vec<(String, String)> {
        let Some(deployment) = self.containers() else { return Vec::new() };
        let of_container = |(name, container): (String, Container<String>)| {
            let secrets = container.secrets.unwrap_or_default();
            secrets.into_keys().map(move |secret| (name.clone(), secret))
        };
        deployment.services.into_iter().flat_map(of_container).collect()
    }

    /// Its containers, whatever their images are.
    fn containers(&self) -> Option<Deployment<String>> {
        let value = match &self.deployment {
            NativeDeployment::Absent => return None,
            NativeDeployment::Described(deployment) => serde_json::to_value(deployment).ok()?,
            NativeDeployment::Text(text) => serde_json::from_str(text).ok()?,
        };
        serde_json::from_value(value).ok()
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

    /// The definition with the text of its cluster deployment, and Horizon's signature over that text
    /// (empty if there is none).
    #[must_use]
    pub fn with_cluster_deployment(&self, text: String, signature: String) -> Self {
        Self {
            cluster_deployment: ClusterDeployment::Text(text),
            cluster_deployment_signature: signature,
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
            "clusterDeployment": self.cluster_deployment.to_horizon(),
            "clusterDeploymentSignature": self.cluster_deployment_signature,
        })
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
}
