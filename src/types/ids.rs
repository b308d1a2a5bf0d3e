//! Names of organizations, users, nodes, patterns and policies.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name taken: file systems and database keys stay comfortable.
const LONGEST: usize = 255;

/// A text that cannot name what it should name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` cannot name {what}: 1 to 255 characters, no `/`, no control characters, no blank at either end"
)]
pub struct ParseIdError {
    what: &'static str,
    text: String,
}

/// One segment of an exchange path. Horizon allows blanks and `@` inside, so we do.
fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST
        && text.trim() == text
        && text != "."
        && text != ".."
        && !text.chars().any(|c| c == '/' || c.is_control())
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(try_from = "String", into = "String")]
        #[schemars(
            inline,
            extend("pattern" = r"^[^/\u0000-\u0020]([^/\u0000-\u001f]*[^/\u0000-\u0020])?$"),
            extend("patternErrorMessage" = "a name without `/`, and without a blank at either end")
        )]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                if is_id(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(ParseIdError { what: $what, text: text.to_owned() })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id_type!(
    /// The name of an organization.
    OrgId, "an organization"
);
id_type!(
    /// The name of a user within its organization.
    UserId, "a user"
);
id_type!(
    /// The name of a node within its organization.
    NodeId, "a node"
);
id_type!(
    /// The name of a pattern within its organization.
    PatternId, "a pattern"
);
id_type!(
    /// The name of a deployment policy within its organization.
    PolicyId, "a policy"
);

macro_rules! ref_type {
    ($(#[$doc:meta])* $name:ident, $id:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            /// The organization it belongs to.
            pub org: OrgId,
            /// Its name there.
            pub id: $id,
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let (org, id) = text
                    .split_once('/')
                    .ok_or_else(|| ParseIdError { what: $what, text: text.to_owned() })?;
                Ok(Self { org: org.parse()?, id: id.parse()? })
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(it: $name) -> Self {
                it.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.org, self.id)
            }
        }
    };
}

ref_type!(
    /// A node anywhere: `org/node`.
    NodeRef, NodeId, "a node of an organization (org/node)"
);
ref_type!(
    /// A pattern anywhere: `org/pattern`.
    PatternRef, PatternId, "a pattern of an organization (org/pattern)"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_real_horizon_projects_are_taken() {
        for text in ["IBM", "e2edev@somecomp.com", "pattern-ibm.helloworld-arm64", "a b"] {
            assert_eq!(text.parse::<OrgId>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_would_change_a_path_is_no_name() {
        for text in ["", "a/b", "..", " a", "a\n", &"x".repeat(256)] {
            assert!(text.parse::<NodeId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_reference_needs_its_organization() {
        assert!("pattern".parse::<PatternRef>().is_err());
        assert_eq!("acme/p".parse::<PatternRef>().unwrap().to_string(), "acme/p");
    }
}
