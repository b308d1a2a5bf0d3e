//! Properties: what a node, a service or a policy says about itself.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value, json};

use crate::{document::schema, types::Version};

/// How the names of those properties begin that a node or a service has by being what it is.
pub(super) const BUILT_IN: &str = "openhorizon.";

/// The one built-in property that a node's owner may set.
pub(crate) const ALLOW_PRIVILEGED: &str = "openhorizon.allowPrivileged";

/// The built-in properties that a node measures: nobody states them.
const MEASURED: [&str; 9] = [
    "openhorizon.cpu",
    "openhorizon.memory",
    "openhorizon.arch",
    "openhorizon.hardwareId",
    "openhorizon.operatingSystem",
    "openhorizon.containerized",
    "openhorizon.kubernetesVersion",
    "openhorizon.kubernetesNamespace",
    "openhorizon.kubernetesNamespaceScoped",
];

/// One named value, as it stands in a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("required" = ["name", "value"]), transform = values_by_type)]
pub struct Property {
    /// Its name, which constraints speak about.
    #[serde(default)]
    pub name: String,
    /// Its value.
    #[serde(default)]
    pub value: PropertyValue,
    /// The type it is declared to have; without one the value speaks for itself.
    #[serde(default, rename = "type", skip_serializing_if = "PropertyType::is_undeclared")]
    pub declared: PropertyType,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The value of a property.
///
/// A policy that is already in an exchange may hold a value that no property can have; it is kept
/// as it is, and satisfies nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PropertyValue {
    /// `true` or `false`.
    Bool(bool),
    /// A number, compared as a 64-bit float.
    Number(Number),
    /// A text; also a version, or a list parted by commas.
    Text(String),
    /// What no property can have: null, an array, an object.
    Unusable(Value),
}

/// What an author may write; [`PropertyValue::Unusable`] is not for authors.
impl JsonSchema for PropertyValue {
    fn schema_name() -> Cow<'static, str> {
        "PropertyValue".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

impl Default for PropertyValue {
    fn default() -> Self {
        Self::Unusable(Value::Null)
    }
}

/// The type that a property declares.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum PropertyType {
    /// None: the value speaks for itself.
    #[default]
    Undeclared,
    /// `string`
    Text,
    /// `boolean`
    Boolean,
    /// `int`
    Int,
    /// `float`
    Float,
    /// `version`
    Version,
    /// `list of strings`: one text, parted by commas.
    List,
    /// A word that is no type.
    Unknown(String),
}

/// The types that a property may declare, by the words for them.
const TYPES: [(&str, PropertyType); 7] = [
    ("", PropertyType::Undeclared),
    ("string", PropertyType::Text),
    ("boolean", PropertyType::Boolean),
    ("int", PropertyType::Int),
    ("float", PropertyType::Float),
    ("version", PropertyType::Version),
    ("list of strings", PropertyType::List),
];

impl JsonSchema for PropertyType {
    fn schema_name() -> Cow<'static, str> {
        "PropertyType".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words = TYPES.map(|(word, _)| word);
        json_schema!({ "enum": words[1..] })
    }
}

/// Where a type is declared, the value is of it; so [`Property::check`] asks.
fn values_by_type(property: &mut Schema) {
    let text_of = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let of_type = |(word, declared): &(&str, PropertyType)| {
        let value = match declared {
            PropertyType::Text | PropertyType::List => json!({ "type": "string" }),
            PropertyType::Boolean => json!({ "type": "boolean" }),
            PropertyType::Int => json!({ "type": "integer" }),
            PropertyType::Float => json!({ "type": "number" }),
            PropertyType::Version => {
                text_of(r"^((0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){0,2}|INFINITY)$")
            }
            PropertyType::Undeclared | PropertyType::Unknown(_) => return None,
        };
        Some(schema::if_then(
            json!({ "properties": { "type": { "const": word } }, "required": ["type"] }),
            json!({ "properties": { "value": value }, "required": ["value"] }),
        ))
    };
    let rules: Vec<_> = TYPES.iter().filter_map(of_type).collect();
    property.insert("allOf".to_owned(), rules.into());
}

impl PropertyType {
    fn is_undeclared(&self) -> bool {
        *self == Self::Undeclared
    }

    /// The word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unknown(word) => word,
            known => TYPES.iter().find(|(_, it)| it == known).map_or("", |(word, _)| word),
        }
    }
}

impl Serialize for PropertyType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for PropertyType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        let known = TYPES.into_iter().find(|(it, _)| *it == word);
        Ok(known.map_or(Self::Unknown(word), |(_, it)| it))
    }
}

/// Why a property cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// It has no name.
    #[error("a property needs a name")]
    NoName,
    /// Its value is null, an array or an object, or is missing.
    #[error("the value of property `{0}` must be a string, a number or a boolean")]
    Unusable(String),
    /// Its type is no type.
    #[error(
        "property `{name}` has the unknown type `{declared}`: use string, int, float, boolean, version or list of strings"
    )]
    UnknownType {
        /// The property.
        name: String,
        /// The word that is no type.
        declared: String,
    },
    /// Its value is not of its type.
    #[error("the value of property `{name}` is not of its type `{declared}`")]
    WrongType {
        /// The property.
        name: String,
        /// The type it declares.
        declared: String,
    },
}

impl Property {
    /// A property whose value speaks for its type.
    pub fn new(name: impl Into<String>, value: impl Into<PropertyValue>) -> Self {
        Self::of(name.into(), value.into(), PropertyType::Undeclared)
    }

    /// A property of type `version`.
    pub fn version(name: impl Into<String>, version: &Version) -> Self {
        let value = PropertyValue::Text(version.as_str().to_owned());
        Self::of(name.into(), value, PropertyType::Version)
    }

    fn of(name: String, value: PropertyValue, declared: PropertyType) -> Self {
        Self { name, value, declared, unknown: Map::new() }
    }

    /// Whether a node measures the property of this name.
    pub fn is_measured(name: &str) -> bool {
        MEASURED.contains(&name)
    }

    /// Whether it says yes.
    pub(super) fn allows(&self) -> bool {
        match &self.value {
            PropertyValue::Bool(value) => *value,
            PropertyValue::Text(text) => text == "true",
            _ => false,
        }
    }

    /// Whether it says no.
    pub(super) fn refuses(&self) -> bool {
        match &self.value {
            PropertyValue::Bool(value) => !value,
            PropertyValue::Text(text) => text == "false",
            _ => false,
        }
    }

    /// Whether it has a name, and a value of its type (Horizon fact, vectors `constraints`).
    pub fn check(&self) -> Result<(), PropertyError> {
        use PropertyType as Type;
        let name = self.name.clone();
        if name.is_empty() {
            return Err(PropertyError::NoName);
        }
        if let Type::Unknown(declared) = &self.declared {
            return Err(PropertyError::UnknownType { name, declared: declared.clone() });
        }
        let fits = match (&self.value, &self.declared) {
            (PropertyValue::Unusable(_), _) => return Err(PropertyError::Unusable(name)),
            (_, Type::Undeclared)
            | (PropertyValue::Bool(_), Type::Boolean)
            | (PropertyValue::Number(_), Type::Float)
            | (PropertyValue::Text(_), Type::Text | Type::List) => true,
            (PropertyValue::Number(number), Type::Int) => {
                number.as_f64().is_some_and(|it| it.fract() == 0.0)
            }
            (PropertyValue::Text(text), Type::Version) => is_plain_version(text),
            _ => false,
        };
        let declared = self.declared.as_str().to_owned();
        if fits { Ok(()) } else { Err(PropertyError::WrongType { name, declared }) }
    }
}

/// The versions that a property can have: one to three numbers without leading zeros, or `INFINITY`.
pub(super) fn is_plain_version(text: &str) -> bool {
    let is_number = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    text == "INFINITY" || (text.split('.').count() <= 3 && text.split('.').all(is_number))
}

impl From<bool> for PropertyValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for PropertyValue {
    fn from(value: u64) -> Self {
        Self::Number(value.into())
    }
}

impl From<&str> for PropertyValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Properties by name; of two with one name the first counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Properties(Vec<Property>);

impl Properties {
    /// The properties in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Property> {
        self.0.iter()
    }

    /// The first property of that name.
    pub fn get(&self, name: &str) -> Option<&Property> {
        self.0.iter().find(|it| it.name == name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts `property` in the place of those of its name.
    pub fn set(&mut self, property: Property) {
        self.0.retain(|it| it.name != property.name);
        self.0.push(property);
    }

    /// The same, without fields that are not Horizon's.
    #[must_use]
    pub fn without_unknown(mut self) -> Self {
        self.0.iter_mut().for_each(|it| it.unknown.clear());
        self
    }

    /// These, and of `others` those whose names are not among these.
    #[must_use]
    pub fn merged_with(&self, others: &Self) -> Self {
        let mut merged = self.clone();
        merged.0.extend(others.iter().filter(|it| self.get(&it.name).is_none()).cloned());
        merged
    }
}

impl FromIterator<Property> for Properties {
    fn from_iter<I: IntoIterator<Item = Property>>(properties: I) -> Self {
        Self(properties.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Properties {
    type Item = &'a Property;
    type IntoIter = std::slice::Iter<'a, Property>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_properties_counts() {
        let one = Properties::from_iter([Property::new("a", "x"), Property::new("a", "y")]);
        let other = Properties::from_iter([Property::new("a", "z"), Property::new("b", true)]);
        let merged = one.merged_with(&other);
        assert_eq!(merged.get("a").unwrap().value, PropertyValue::from("x"));
        assert_eq!(merged.get("b").unwrap().value, PropertyValue::from(true));
    }

    #[test]
    fn what_an_exchange_already_holds_is_kept() {
        let text = r#"{"name":"a","value":["x"],"type":"text"}"#;
        let property: Property = serde_json::from_str(text).unwrap();
        assert!(property.check().is_err());
        assert_eq!(serde_json::to_string(&property).unwrap(), text);
    }
}
