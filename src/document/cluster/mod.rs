//! How a service is deployed in a cluster: by a Kubernetes operator, whose YAML files are packed
//! into an archive that travels inside the signed text.

mod archive;

use std::{borrow::Cow, collections::BTreeMap};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

pub use self::archive::{LARGEST_ARCHIVE, OperatorArchive, OperatorArchiveError};
use crate::document::{deployment::canonical, lenient};

/// The cluster deployment of a service, in the forms that Horizon knows.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ClusterDeployment {
    /// It has none, as a service for devices alone.
    #[default]
    Absent,
    /// As an author writes it: the publisher packs the archive into it, and signs it.
    Described(Box<OperatorDeployment>),
    /// The text that was signed. Its bytes are what counts; nothing re-encodes them.
    Text(String),
}

/// An operator, and what it needs: Horizon's `clusterDeployment` as an object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperatorDeployment {
    /// In an author's file the path of the archive (a tar.gz of YAML files), from the file on; in a
    /// signed text the archive itself, in base64.
    pub operator_yaml_archive: String,
    /// What the publisher has found in the archive; an author does not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ClusterMetadata>,
    /// What the operator needs from a secret store, by the name it knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<BTreeMap<String, Map<String, Value>>>,
    /// The volume for objects of the model management system.
    #[serde(default, rename = "mmsPVC", skip_serializing_if = "Option::is_none")]
    pub mms_volume: Option<MmsVolume>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// What a publisher has found in an operator's archive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct ClusterMetadata {
    /// The name space that the operator's files name; empty if they name none.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub namespace: String,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The volume for objects of the model management system.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct MmsVolume {
    /// Whether the operator gets one; without it, the rest means nothing and is not published.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub enable: bool,
    /// Its size in GB.
    #[serde(default, rename = "pvcSizeGB", skip_serializing_if = "Option::is_none")]
    pub size_gb: Option<u64>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl JsonSchema for ClusterDeployment {
    fn schema_name() -> Cow<'static, str> {
        "ClusterDeployment".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let described = generator.subschema_for::<OperatorDeployment>();
        json_schema!({ "anyOf": [described, { "type": "string" }] })
    }
}

impl Serialize for ClusterDeployment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent => serializer.serialize_unit(),
            Self::Described(operator) => operator.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for ClusterDeployment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(Self::Absent),
            Value::String(text) if text.is_empty() => Ok(Self::Absent),
            Value::String(text) => Ok(Self::Text(text)),
            object => {
                Box::deserialize(object).map(Self::Described).map_err(serde::de::Error::custom)
            }
        }
    }
}

impl ClusterDeployment {
    /// The operator, whichever form it has; `None` if there is none, or its text cannot be read.
    pub fn operator(&self) -> Option<OperatorDeployment> {
        match self {
            Self::Absent => None,
            Self::Described(operator) => Some(OperatorDeployment::clone(operator)),
            Self::Text(text) => serde_json::from_str(text).ok(),
        }
    }

    /// As Horizon sends it: one text, empty if there is none.
    pub(super) fn to_horizon(&self) -> String {
        match self {
            Self::Absent => String::new(),
            // Every key is a text, so that this cannot fail.
            Self::Described(operator) => {
                canonical::text(&serde_json::to_value(operator).unwrap_or_default())
            }
            Self::Text(text) => text.clone(),
        }
    }
}

impl OperatorDeployment {
    /// The text that is signed and stored: the archive in the place of its path, the name space that
    /// it names, and the volume only where it is enabled; as Go's `encoding/json` writes it.
    pub fn to_canonical(&self, archive: &OperatorArchive) -> String {
        let mut sealed = self.clone();
        archive.to_base64().clone_into(&mut sealed.operator_yaml_archive);
        sealed.metadata = Some(ClusterMetadata {
            namespace: archive.namespace().to_owned(),
            unknown: Map::new(),
        });
        sealed.mms_volume = sealed.mms_volume.filter(|it| it.enable);
        // Every key is a text, so that this cannot fail.
        canonical::text(&serde_json::to_value(sealed).unwrap_or_default())
    }

    /// The operator for people and lists: with the size of the archive in its place.
    pub fn outline(&self) -> Value {
        let size = self.operator_yaml_archive.len() / 4 * 3;
        json!({
            "namespace": self.metadata.as_ref().map_or("", |it| &it.namespace),
            "archiveBytes": size,
            "secrets": self.secrets.iter().flat_map(BTreeMap::keys).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{archive::testing::archive, *};

    fn read(text: &str) -> ClusterDeployment {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_cluster_deployment_is_read_in_every_form() {
        assert_eq!(read("null"), ClusterDeployment::Absent);
        assert_eq!(read("\"\""), ClusterDeployment::Absent);
        assert_eq!(read("\"{}\""), ClusterDeployment::Text("{}".to_owned()));
        assert!(matches!(
            read(r#"{"operatorYamlArchive": "a.tar.gz"}"#),
            ClusterDeployment::Described(_)
        ));
        for wrong in ["5", "[]", "{}", r#"{"operatorYamlArchive": 1}"#] {
            assert!(serde_json::from_str::<ClusterDeployment>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_field_survives() {
        let text = r#"{"operatorYamlArchive":"a","metadata":{"namespace":"n","x":1},
            "secrets":{"s":{"description":"d"}},"mmsPVC":{"enable":true,"pvcSizeGB":5,"y":2},"z":[1]}"#;
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(read(text)).unwrap(), value);
    }

    #[test]
    fn the_signed_text_holds_the_archive_and_what_was_found_in_it() {
        let ClusterDeployment::Described(operator) = read(
            r#"{"operatorYamlArchive":"a.tar.gz","mmsPVC":{"enable":true,"pvcSizeGB":5},"x":"<"}"#,
        ) else {
            panic!()
        };
        let archive = OperatorArchive::read(&archive(&[(
            "operator.yaml",
            "kind: Deployment\nmetadata: {namespace: shop}\n",
        )]))
        .unwrap();
        let text = operator.to_canonical(&archive);
        let expected = format!(
            "{{\"metadata\":{{\"namespace\":\"shop\"}},\"mmsPVC\":{{\"enable\":true,\"pvcSizeGB\":5}},\
             \"operatorYamlArchive\":\"{}\",\"x\":\"\\u003c\"}}",
            archive.to_base64()
        );
        assert_eq!(text, expected);
        assert_eq!(
            ClusterDeployment::Text(text).operator().unwrap().outline()["namespace"],
            "shop"
        );
    }

    #[test]
    fn a_volume_that_is_not_enabled_is_not_published() {
        let ClusterDeployment::Described(operator) =
            read(r#"{"operatorYamlArchive":"a.tar.gz","mmsPVC":{"pvcSizeGB":5}}"#)
        else {
            panic!()
        };
        let archive = OperatorArchive::read(&archive(&[("a.yaml", "kind: Role\n")])).unwrap();
        let text = operator.to_canonical(&archive);
        assert!(!text.contains("mmsPVC") && text.contains("\"namespace\":\"\""), "{text}");
    }
}
