//! JSON Schemas of what authors write, made from the document types, so that the two cannot differ.
//!
//! A file that our readers take is valid; what a schema refuses, a reader refuses too. Editors see a
//! file before its variables are put in, so wherever a text is asked for, `$VARIABLE` may stand.

mod author;
mod rules;

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Map, Value, json};

pub(super) use self::rules::{
    if_then, old_word, one_of_them, retries_with_a_turn, signed_if_text, value_if_named,
    variable_name,
};
use crate::{
    document::{
        DeploymentPolicy, NodePolicy, Pattern, ServiceDefinition, ServicePolicy, UserInputValue,
    },
    types::{OrgId, ServiceUrl, VersionRange},
};

/// What kind of file a schema is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// `service.definition.json`
    Service,
    /// `pattern.json`
    Pattern,
    /// `deployment.policy.json`
    DeploymentPolicy,
    /// `service.policy.json`
    ServicePolicy,
    /// `node.policy.json`
    NodePolicy,
    /// `userinput.json`
    UserInput,
}

/// A word that is no kind of file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` has no schema")]
pub struct ParseSchemaKindError(String);

impl SchemaKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Service,
        Self::Pattern,
        Self::DeploymentPolicy,
        Self::ServicePolicy,
        Self::NodePolicy,
        Self::UserInput,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Pattern => "pattern",
            Self::DeploymentPolicy => "deployment-policy",
            Self::ServicePolicy => "service-policy",
            Self::NodePolicy => "node-policy",
            Self::UserInput => "user-input",
        }
    }

    /// The name of its schema's file.
    pub fn file_name(self) -> String {
        format!("{self}.schema.json")
    }

    /// What Horizon's projects call such a file.
    pub fn usual_name(self) -> &'static str {
        match self {
            Self::Service => "service.definition.json",
            Self::Pattern => "pattern.json",
            Self::DeploymentPolicy => "deployment.policy.json",
            Self::ServicePolicy => "service.policy.json",
            Self::NodePolicy => "node.policy.json",
            Self::UserInput => "userinput.json",
        }
    }

    /// Its schema. Draft 7 is the newest that editors know whole.
    pub fn schema(self) -> Value {
        let mut settings = SchemaSettings::draft07();
        // Before the rules of the draft, which move what stands beside a reference.
        settings.transforms.insert(0, Box::new(author::may_write));
        let generator = settings.into_generator();
        let schema = match self {
            Self::Service => generator.into_root_schema_for::<ServiceDefinition>(),
            Self::Pattern => generator.into_root_schema_for::<Pattern>(),
            Self::DeploymentPolicy => generator.into_root_schema_for::<DeploymentPolicy>(),
            Self::ServicePolicy => generator.into_root_schema_for::<ServicePolicy>(),
            Self::NodePolicy => generator.into_root_schema_for::<NodePolicy>(),
            Self::UserInput => generator.into_root_schema_for::<UserInputFile>(),
        };
        self.finished(schema)
    }

    /// The text of its schema's file.
    pub fn text(self) -> String {
        format!("{:#}\n", self.schema())
    }

    /// The schema with its id, and `$schema` among its fields.
    fn finished(self, mut schema: Schema) -> Value {
        let mut rest = std::mem::take(schema.ensure_object());
        let mut whole = Map::new();
        rest.insert("$id".to_owned(), json!(format!("urn:edgepost:schema:{self}")));
        for first in ["$schema", "$id", "title", "description"] {
            whole.extend(rest.shift_remove(first).map(|value| (first.to_owned(), value)));
        }
        whole.append(&mut rest);
        if let Some(Value::Object(fields)) = whole.get_mut("properties") {
            let names = json!({
                "description": "The schema that editors check this file with.",
                "type": "string",
            });
            fields.shift_insert(0, "$schema".to_owned(), names);
        }
        Value::Object(whole)
    }
}

impl fmt::Display for SchemaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SchemaKind {
    type Err = ParseSchemaKindError;

    fn from_str(text: &str) -> Result<Self, ParseSchemaKindError> {
        let known = Self::ALL.into_iter().find(|it| it.as_str() == text);
        known.ok_or_else(|| ParseSchemaKindError(text.to_owned()))
    }
}

/// What [`UserInputValue::all_from_source`] reads: a list, or Horizon's older object.
struct UserInputFile;

impl JsonSchema for UserInputFile {
    fn schema_name() -> Cow<'static, str> {
        "User input".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<UserInputValue>();
        let mut variables = json_schema!({
            "type": "object",
            "description": "The values by the names of their variables.",
            "additionalProperties": {
                "type": ["string", "number", "boolean", "array"],
                "items": { "type": "string" },
            },
            "propertyNames": {},
        });
        if let Some(names) = variables.get_mut("propertyNames")
            && let Ok(names) = names.try_into()
        {
            let names: &mut Schema = names;
            variable_name(names);
        }
        json_schema!({
            "description": "Values for the variables of services.",
            "anyOf": [
                { "type": "array", "items": values },
                {
                    "type": "object",
                    "description": "Horizon's older form.",
                    "properties": {
                        "global": { "description": "Not used." },
                        "services": {
                            "type": "array",
                            "items": {
                                "type": "object",
                                "properties": {
                                    "org": generator.subschema_for::<OrgId>(),
                                    "url": generator.subschema_for::<ServiceUrl>(),
                                    "versionRange": generator.subschema_for::<VersionRange>(),
                                    "variables": variables,
                                },
                                "required": ["org", "url"],
                            },
                        },
                    },
                },
            ],
        })
    }
}
