//! The variables that a service asks for, and the values that nodes, policies and patterns give.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    document::{ArchChoice, choice::ServiceSelector, lenient, schema},
    types::{Arch, OrgId, ServiceUrl, Version, VersionRange},
};

/// A variable that a service asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserInput {
    /// The name of the environment variable. An entry without one asks for nothing, as in Horizon.
    #[serde(default, deserialize_with = "lenient::or_default")]
    #[schemars(transform = schema::variable_name)]
    pub name: String,
    /// What it is for, in people's words.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub label: String,
    /// What kind of value it takes.
    #[serde(default, rename = "type", deserialize_with = "lenient::or_default")]
    pub kind: InputKind,
    /// The value when nobody gives one. Empty is none, as in Horizon: somebody must give a value.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub default_value: String,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl UserInput {
    /// Whether somebody must give a value.
    pub fn is_required(&self) -> bool {
        !self.name.is_empty() && self.default_value.is_empty()
    }
}

/// The kind of value that a variable takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(inline, transform = schema::old_word("bool", "An old word for `boolean`."))]
pub enum InputKind {
    /// A text; also what an empty word means.
    #[default]
    #[serde(rename = "string", alias = "")]
    Text,
    /// A whole number.
    #[serde(rename = "int")]
    Int,
    /// A number.
    #[serde(rename = "float")]
    Float,
    /// `true` or `false`.
    #[serde(rename = "boolean", alias = "bool")]
    Boolean,
    /// A list of texts.
    #[serde(rename = "list of strings")]
    List,
}

impl InputKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::List => "list of strings",
        }
    }

    /// Whether a variable of this kind takes `value`.
    pub fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, Value::String(_))
            | (Self::Float, Value::Number(_))
            | (Self::Boolean, Value::Bool(_)) => true,
            (Self::Int, Value::Number(number)) => {
                number.as_f64().is_some_and(|it| it.fract() == 0.0)
            }
            (Self::List, Value::Array(items)) => items.iter().all(Value::is_string),
            _ => false,
        }
    }
}

/// Values for the variables of one service, or of those that its selectors reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserInputValue {
    /// The organization of the service.
    pub service_orgid: OrgId,
    /// Its name there.
    pub service_url: ServiceUrl,
    /// The architectures of it that the values are for.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub service_arch: ArchChoice,
    /// The versions of it that the values are for; none is every version.
    #[serde(
        default,
        deserialize_with = "lenient::empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub service_version_range: Option<VersionRange>,
    /// The values.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub inputs: Vec<InputValue>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// One variable and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::value_if_named)]
pub struct InputValue {
    /// The name of the environment variable. An entry without one counts for nothing.
    #[serde(default, deserialize_with = "lenient::or_default")]
    #[schemars(transform = schema::variable_name)]
    pub name: String,
    /// Its value: a text, a number, a boolean, or a list of texts.
    #[serde(default)]
    #[schemars(
        extend("type" = ["string", "number", "boolean", "array"]),
        extend("items" = {"type": "string"})
    )]
    pub value: Value,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl InputValue {
    /// A variable with its value.
    pub fn new(name: impl Into<String>, value: Value) -> Self {
        Self { name: name.into(), value, unknown: Map::new() }
    }
}

impl UserInputValue {
    /// The same, without fields that are not Horizon's.
    pub(super) fn remove_unknown(&mut self) {
        self.unknown.clear();
        self.inputs.iter_mut().for_each(|it| it.unknown.clear());
    }

    /// Whether the values are for that version of that service.
    pub fn is_for(&self, org: &OrgId, url: &ServiceUrl, version: &Version, arch: &Arch) -> bool {
        let selector = ServiceSelector {
            org: &self.service_orgid,
            url: &self.service_url,
            arch: &self.service_arch,
            versions: self.service_version_range.as_ref(),
        };
        selector.includes(org, url, version, arch)
    }
}

/// Why the environment of a container cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvironmentError {
    /// A value cannot stand in an environment.
    #[error("the value of `{name}` is {found}, which cannot stand in an environment")]
    Unusable {
        /// The variable.
        name: String,
        /// What its value is: `null` or `an object`.
        found: &'static str,
    },
    /// A variable without a default has no value.
    #[error("`{name}` has no default, and nobody gives a value")]
    Missing {
        /// The variable.
        name: String,
    },
}

/// The environment that user input makes: each variable that is asked for, with the last value
/// given or its default; then the values that nobody asked for, as Horizon passes them on too.
pub fn environment(
    asked: &[UserInput],
    given: &[InputValue],
) -> Result<Vec<(String, String)>, EnvironmentError> {
    let mut variables = Vec::new();
    for input in asked.iter().filter(|it| !it.name.is_empty()) {
        let text = match given.iter().rfind(|it| it.name == input.name) {
            Some(given) => environment_text(given)?,
            None if input.is_required() => {
                return Err(EnvironmentError::Missing { name: input.name.clone() });
            }
            None => input.default_value.clone(),
        };
        variables.push((input.name.clone(), text));
    }
    for (index, extra) in given.iter().enumerate() {
        let is_asked = asked.iter().any(|it| it.name == extra.name);
        let comes_again = given[index + 1..].iter().any(|it| it.name == extra.name);
        if !is_asked && !comes_again && !extra.name.is_empty() {
            variables.push((extra.name.clone(), environment_text(extra)?));
        }
    }
    Ok(variables)
}

/// The text that a container sees (vectors `userinput_env`).
pub fn environment_text(input: &InputValue) -> Result<String, EnvironmentError> {
    let unusable = |found| EnvironmentError::Unusable { name: input.name.clone(), found };
    match &input.value {
        Value::Bool(value) => Ok(value.to_string()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            // 2^63: above it a float is no `int64`, and Go writes it with six decimals.
            let is_whole = number.fract() == 0.0 && number.abs() < 9_223_372_036_854_775_808.0;
            Ok(if is_whole { format!("{:.0}", number + 0.0) } else { format!("{number:.6}") })
        }
        Value::Array(items) => {
            Ok(items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        Value::Null => Err(unusable("null")),
        Value::Object(_) => Err(unusable("an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_the_text_they_become_in_horizon() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/horizon/userinput_env.jsonl");
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let value = serde_json::from_str(vector["json"].as_str().unwrap()).unwrap();
            let text = environment_text(&InputValue::new("V", value));
            assert_eq!(text.ok().as_deref(), vector["env"].as_str(), "{line}");
        }
    }

    #[test]
    fn a_given_value_wins_over_the_default() {
        let asked: Vec<UserInput> = serde_json::from_str(
            r#"[{"name":"A","type":"string","defaultValue":"a"},{"name":"B","type":"int"}]"#,
        )
        .unwrap();
        let value = |name: &str, value: Value| InputValue::new(name, value);
        let given = [value("B", 5.into()), value("C", true.into()), value("B", 6.into())];
        let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(
            environment(&asked, &given).unwrap(),
            [pair("A", "a"), pair("B", "6"), pair("C", "true")]
        );
        assert_eq!(
            environment(&asked, &[]),
            Err(EnvironmentError::Missing { name: "B".to_owned() })
        );
    }

    /// `hzn` publishes the nameless entry of its own old template, and Horizon's agent passes over it.
    #[test]
    fn entries_without_a_name_count_for_nothing() {
        let asked: Vec<UserInput> =
            serde_json::from_str(r#"[{"name":"","type":""},{},{"name":"A","defaultValue":"a"}]"#)
                .unwrap();
        assert!(!asked.iter().any(UserInput::is_required));
        let given = [InputValue::new("", Value::Null)];
        let expected = [("A".to_owned(), "a".to_owned())];
        assert_eq!(environment(&asked, &given).unwrap(), expected);
    }
}
