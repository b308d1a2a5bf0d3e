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

/// Why nothing new may have a name that can be parsed. What has such a name already keeps it, and can be read and
/// removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    /// A character that is not shown, or changes how the others are shown.
    #[error("it contains the invisible character U+{0:04X}")]
    Invisible(u32),
    /// A login ends the name of its account at the first colon.
    #[error("it contains `:`, and a login ends its name there")]
    Colon,
    /// The name selects another way to log in.
    #[error("it is reserved for logins by API key")]
    Reserved,
}

/// Names that select another way to log in, in lower case.
const RESERVED: [&str; 3] = ["apikey", "iamapikey", "iamtoken"];

/// Checks a text that people read: the name or the description of something new.
///
/// # Errors
/// [`NameProblem::Invisible`] names the first character that is not shown.
pub fn check_visible(text: &str) -> Result<(), NameProblem> {
    match text.chars().find(|c| is_invisible(*c)) {
        Some(c) => Err(NameProblem::Invisible(u32::from(c))),
        None => Ok(()),
    }
}

/// Checks the name of a new organization, user or node, which has to work in a login.
///
/// # Errors
/// What is wrong with the name.
pub fn check_account_name(name: &str) -> Result<(), NameProblem> {
    check_visible(name)?;
    if name.contains(':') {
        return Err(NameProblem::Colon);
    }
    if RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
        return Err(NameProblem::Reserved);
    }
    Ok(())
}

/// Whether a character is not shown, or changes the direction or the form of others: control characters, white
/// space other than U+0020, and Unicode's default ignorable characters, bidirectional controls and tags among them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
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
    fn names_of_real_horizon_projects_are_given_to_new_things() {
        for text in ["IBM", "e2edev@somecomp.com", "a b", "Zürich", "名前", "node-1.2_x"] {
            assert_eq!(check_account_name(text), Ok(()), "{text}");
        }
        for text in ["pattern-ibm.helloworld-arm64", "https:--network_1.0.0_arm", "a:b"] {
            assert_eq!(check_visible(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn invisible_characters_name_nothing_new_and_are_still_read() {
        let invisible = [
            '\u{0}',
            '\u{7f}',
            '\u{85}',
            '\u{a0}',
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200e}',
            '\u{202e}',
            '\u{2028}',
            '\u{2060}',
            '\u{2066}',
            '\u{3000}',
            '\u{feff}',
            '\u{e0041}',
        ];
        for c in invisible {
            let name = format!("a{c}b");
            assert_eq!(check_visible(&name), Err(NameProblem::Invisible(u32::from(c))), "{c:?}");
            assert!(check_account_name(&name).is_err());
            assert_eq!(name.parse::<UserId>().is_ok(), !c.is_control(), "{c:?}");
        }
    }

    #[test]
    fn names_that_cannot_log_in_are_given_to_no_account() {
        assert_eq!(check_account_name("a:b"), Err(NameProblem::Colon));
        for name in ["apikey", "ApiKey", "iamapikey", "IAMTOKEN"] {
            assert_eq!(check_account_name(name), Err(NameProblem::Reserved), "{name}");
        }
    }

    #[test]
    fn a_reference_needs_its_organization() {
        assert!("pattern".parse::<PatternRef>().is_err());
        assert_eq!("acme/p".parse::<PatternRef>().unwrap().to_string(), "acme/p");
    }
}
