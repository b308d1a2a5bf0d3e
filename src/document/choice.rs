//! Which services a pattern or a policy means: architectures, versions, priorities.

use std::{collections::BTreeMap, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    document::{
        deployment::{ENTRY_PATTERN, canonical},
        lenient, schema,
        service::ServiceDefinition,
    },
    types::{Arch, OrgId, ServiceUrl, Version, VersionRange, platform::ParseArchError},
};

/// The architectures that are meant: every one, written `*` or left empty, or a single one.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    example = &"*",
    example = &"$ARCH",
    example = &"amd64",
    extend("pattern" = r"^(\*|[0-9A-Za-z_.-]{1,64})$"),
    extend("patternErrorMessage" = "an architecture, such as amd64; or * for every one")
)]
pub enum ArchChoice {
    /// Every architecture.
    #[default]
    Any,
    /// This one.
    Only(Arch),
}

impl ArchChoice {
    /// Whether `arch` is meant.
    pub fn includes(&self, arch: &Arch) -> bool {
        match self {
            Self::Any => true,
            Self::Only(only) => only == arch,
        }
    }
}

impl FromStr for ArchChoice {
    type Err = ParseArchError;

    fn from_str(text: &str) -> Result<Self, ParseArchError> {
        match text {
            "" | "*" => Ok(Self::Any),
            arch => arch.parse().map(Self::Only),
        }
    }
}

impl TryFrom<String> for ArchChoice {
    type Error = ParseArchError;

    fn try_from(text: String) -> Result<Self, ParseArchError> {
        text.parse()
    }
}

impl From<ArchChoice> for String {
    fn from(choice: ArchChoice) -> Self {
        choice.to_string()
    }
}

impl fmt::Display for ArchChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Only(arch) => arch.fmt(f),
        }
    }
}

/// One version of a service that a pattern or a policy offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionChoice {
    /// The version itself; never a range.
    pub version: Version,
    /// When it is its turn.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub priority: Priority,
    /// When a node goes to a newer version.
    #[serde(default, rename = "upgradePolicy", deserialize_with = "lenient::or_default")]
    pub upgrade_policy: UpgradePolicy,
    /// Environment to put over that of the service's deployment: an object, its text, or null.
    #[serde(default, skip_serializing_if = "is_nothing")]
    #[schemars(extend("type" = ["object", "string"]), extend("properties" = overrides()))]
    pub deployment_overrides: Value,
    /// Horizon's signature over the text of the overrides.
    #[serde(
        default,
        deserialize_with = "lenient::or_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub deployment_overrides_signature: String,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl VersionChoice {
    /// The text of deployment overrides that are not signed yet, as Horizon signs it: of each
    /// container only the environment is passed on. `None` where there are none, or they are signed.
    pub fn overrides_text(&self) -> Option<String> {
        let parsed;
        let overrides = match &self.deployment_overrides {
            Value::String(text) if self.deployment_overrides_signature.is_empty() => {
                parsed = serde_json::from_str::<Value>(text).ok()?;
                parsed.as_object()?
            }
            overrides => overrides.as_object()?,
        };
        let services = overrides.get("services").and_then(Value::as_object);
        let environment = |(name, container): (&String, &Value)| {
            let environment = container.get("environment").and_then(Value::as_array);
            let passed_on = environment.filter(|it| !it.is_empty());
            let passed_on = passed_on.map(|it| json!({"environment": it}));
            (name.clone(), passed_on.unwrap_or_else(|| json!({})))
        };
        let services: Map<_, _> = services.into_iter().flatten().map(environment).collect();
        Some(canonical::text(&json!({"services": services})))
    }
}

/// The environments that overrides may set.
fn overrides() -> Value {
    let environment = json!({
        "type": ["array", "null"],
        "items": { "type": "string", "pattern": ENTRY_PATTERN },
    });
    let container = json!({ "type": "object", "properties": { "environment": environment } });
    json!({ "services": { "type": ["object", "null"], "additionalProperties": container } })
}

/// Null, or an empty text.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// When a version gets its turn, and for how long. All zero where there is but one version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(transform = schema::retries_with_a_turn)]
pub struct Priority {
    /// The lowest number is tried first.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "is_zero")]
    pub priority_value: u64,
    /// How many failures lead to the next version.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// The seconds within which the failures count.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "is_zero")]
    pub retry_durations: u64,
    /// After running for so many seconds a version is kept for good.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "is_zero")]
    pub verified_durations: u64,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// When a node goes to a newer version of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UpgradePolicy {
    /// `immediate`, `never` or `agreement`.
    #[schemars(extend("enum" = ["immediate", "never", "agreement"]))]
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "String::is_empty")]
    pub lifecycle: String,
    /// A time of day, such as `01:00AM`.
    #[schemars(example = &"01:00AM")]
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "String::is_empty")]
    pub time: String,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// After how many seconds of silence a node counts as gone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeHealth {
    /// Seconds without a heartbeat.
    #[serde(deserialize_with = "lenient::or_default")]
    pub missing_heartbeat_interval: u64,
    /// Seconds between looks at the agreement.
    #[serde(deserialize_with = "lenient::or_default")]
    pub check_agreement_status: u64,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// Which services something is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct ServiceSelector<'a> {
    pub(super) org: &'a OrgId,
    pub(super) url: &'a ServiceUrl,
    pub(super) arch: &'a ArchChoice,
    /// None is every version.
    pub(super) versions: Option<&'a VersionRange>,
}

impl ServiceSelector<'_> {
    /// Whether it is for that version of that service.
    pub(super) fn includes(
        &self,
        org: &OrgId,
        url: &ServiceUrl,
        version: &Version,
        arch: &Arch,
    ) -> bool {
        self.org == org
            && self.url == url
            && self.arch.includes(arch)
            && self.versions.is_none_or(|it| it.contains(version))
    }
}

/// The secrets that a service asks for, each bound to one in the secret store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretBinding {
    /// The organization of the service.
    pub service_orgid: OrgId,
    /// Its name there.
    pub service_url: ServiceUrl,
    /// The architectures of it.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub service_arch: ArchChoice,
    /// The versions of it; none is every version.
    #[serde(
        default,
        deserialize_with = "lenient::empty_is_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub service_version_range: Option<VersionRange>,
    /// `{"name in the service": "name in the store"}`, one pair each.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub secrets: Vec<BTreeMap<String, String>>,
    /// Fields that are not ours, kept as they are.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl SecretBinding {
    /// Whether the secrets are for that service.
    pub fn is_for(&self, org: &OrgId, definition: &ServiceDefinition) -> bool {
        let selector = ServiceSelector {
            org: &self.service_orgid,
            url: &self.service_url,
            arch: &self.service_arch,
            versions: self.service_version_range.as_ref(),
        };
        let ServiceDefinition { url, version, arch, .. } = definition;
        selector.includes(org, url, version, arch)
    }
}

/// The versions in the order in which they get their turn: by priority, the lowest number first,
/// those without one last; of equals the newest first.
pub fn in_turn(choices: &[VersionChoice]) -> Vec<&VersionChoice> {
    let turn = |choice: &VersionChoice| match choice.priority.priority_value {
        0 => u64::MAX,
        value => value,
    };
    let mut sorted: Vec<_> = choices.iter().collect();
    sorted.sort_by(|a, b| turn(a).cmp(&turn(b)).then_with(|| b.version.cmp(&a.version)));
    sorted
}

/// The version whose turn it is: the first in turn that is not used up, or the last of all if every
/// one is. What uses a version up, [`crate::document::trial::Trial`] says.
pub fn choose_version(
    choices: &[VersionChoice],
    is_used_up: impl Fn(&VersionChoice) -> bool,
) -> Option<&VersionChoice> {
    let sorted = in_turn(choices);
    sorted.iter().find(|it| !is_used_up(it)).or(sorted.last()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices() -> Vec<VersionChoice> {
        serde_json::from_str(
            r#"[{"version":"1.0.0","priority":{"priority_value":3,"retries":1,"retry_durations":60}},
                {"version":"2.0.0","priority":{"priority_value":2,"retries":1,"retry_durations":60}}]"#,
        )
        .unwrap()
    }

    #[test]
    fn the_lowest_priority_value_goes_first() {
        let choices = choices();
        let chosen = |used_up: &[&str]| {
            let is_used_up = |it: &VersionChoice| used_up.contains(&it.version.as_str());
            choose_version(&choices, is_used_up).unwrap().version.to_string()
        };
        assert_eq!(chosen(&[]), "2.0.0");
        assert_eq!(chosen(&["1.0.0"]), "2.0.0");
        assert_eq!(chosen(&["2.0.0"]), "1.0.0");
        assert_eq!(chosen(&["2.0.0", "1.0.0"]), "1.0.0", "the last is stayed with");
        assert!(choose_version(&[], |_| false).is_none());
    }

    #[test]
    fn overrides_become_the_text_that_horizon_signs() {
        let text = |overrides: &str, signature: &str| {
            let choice: VersionChoice = serde_json::from_str(&format!(
                r#"{{"version":"1.0.0","deployment_overrides":{overrides},
                    "deployment_overrides_signature":"{signature}"}}"#
            ))
            .unwrap();
            choice.overrides_text()
        };
        let object = r#"{"services":{"b":{"environment":["A=<"],"image":"x"},"a":{"environment":[]}},"x":1}"#;
        let signed = r#"{"services":{"a":{},"b":{"environment":["A=\u003c"]}}}"#;
        assert_eq!(text(object, "").as_deref(), Some(signed));
        let quoted = serde_json::to_string(object).unwrap();
        assert_eq!(text(&quoted, "").as_deref(), Some(signed));
        assert_eq!(text(&quoted, "made elsewhere"), None);
        assert_eq!(text("null", ""), None);
        assert_eq!(text("\"\"", ""), None);
    }

    #[test]
    fn a_star_is_every_architecture() {
        for text in ["", "*"] {
            assert!(text.parse::<ArchChoice>().unwrap().includes(&"arm".parse().unwrap()));
        }
        let only: ArchChoice = "x86_64".parse().unwrap();
        assert!(only.includes(&"amd64".parse().unwrap()));
        assert_eq!(only.to_string(), "amd64");
    }
}
