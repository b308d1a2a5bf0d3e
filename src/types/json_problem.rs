//! What is wrong with a JSON text, in words of our own: the parser's quote values, which may be secrets.

use std::error::Error;

use serde_json::error::Category;

use super::foreign_text::escape_foreign;

/// The longest message or name of a field that is repeated, in characters.
const LONGEST: usize = 200;

/// Why a text is not the JSON that was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", describe(what, *line, *column))]
pub struct JsonProblem {
    what: Box<str>,
    /// From 1; 0 if no single place is wrong.
    line: u32,
    column: u32,
}

impl JsonProblem {
    /// What is wrong with the meaning of a text that is JSON.
    pub fn new(what: impl Into<Box<str>>) -> Self {
        Self { what: what.into(), line: 0, column: 0 }
    }

    /// The problem of a text with secrets in it: its kind and place, and no word of its content.
    pub fn of_secret(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            Category::Data => "a field is missing, unknown, or not of the kind that is expected",
            _ => syntax(error),
        };
        Self::at(what.into(), error)
    }

    fn at(what: Box<str>, error: &serde_json::Error) -> Self {
        let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
        Self { what, line: number(error.line()), column: number(error.column()) }
    }
}

impl From<serde_json::Error> for JsonProblem {
    fn from(error: serde_json::Error) -> Self {
        Self::from(&error)
    }
}

/// What a cause of an error says; a JSON parser's in words of our own.
pub fn describe_cause(cause: &(dyn Error + 'static)) -> String {
    match cause.downcast_ref::<serde_json::Error>() {
        Some(error) => JsonProblem::from(error).to_string(),
        None => cause.to_string(),
    }
}

impl From<&serde_json::Error> for JsonProblem {
    fn from(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            Category::Data => data(error),
            _ => syntax(error).to_owned(),
        };
        Self::at(what.into(), error)
    }
}

fn describe(what: &str, line: u32, column: u32) -> String {
    match line {
        0 => what.to_owned(),
        _ => format!("{what} (line {line}, column {column})"),
    }
}

fn syntax(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        Category::Eof => "the JSON breaks off",
        Category::Io => "the text cannot be read",
        Category::Syntax | Category::Data => "it is not valid JSON",
    }
}

/// What is wrong with well-formed JSON. The parser's own messages begin with known words; the others are those of our
/// types, and stay.
fn data(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    let name = || {
        let name = text.split('`').nth(1).unwrap_or_default();
        format!("the field `{}`", escape_foreign(name, LONGEST))
    };
    let begins = |with: &str| text.starts_with(with);
    if begins("missing field `") {
        format!("{} is missing", name())
    } else if begins("unknown field `") {
        format!("{} is not known", name())
    } else if begins("duplicate field `") {
        format!("{} stands twice", name())
    } else if begins("unknown variant `") || begins("data did not match any variant") {
        "a value is none of those that are known".to_owned()
    } else if begins("invalid type: ") || begins("invalid value: ") || begins("invalid length ") {
        "a value is not of the kind that is expected".to_owned()
    } else {
        escape_foreign(text, LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors of reading it are looked at")]
    struct Login {
        user: String,
        id: crate::types::Digest,
    }

    #[test]
    fn no_value_of_a_text_is_repeated() {
        for (json, expected) in [
            ("{", "the JSON breaks off (line 1, column 1)"),
            ("canary", "it is not valid JSON (line 1, column 1)"),
            (r#"{"user":"x"}"#, "the field `id` is missing (line 1, column 12)"),
            (
                r#"{"user":"x","us\ner":"canary"}"#,
                "the field `us\\ner` is not known (line 1, column 20)",
            ),
            (
                r#"{"user":"x","user":"canary"}"#,
                "the field `user` stands twice (line 1, column 18)",
            ),
            (r#""canary""#, "a value is not of the kind that is expected (line 1, column 8)"),
        ] {
            let problem = JsonProblem::from(serde_json::from_str::<Login>(json).unwrap_err());
            assert_eq!(problem.to_string(), expected);
            let secret = JsonProblem::of_secret(&serde_json::from_str::<Login>(json).unwrap_err());
            assert!(!secret.to_string().contains("user"), "{secret}");
        }
    }

    #[test]
    fn messages_of_our_own_types_stay() {
        let read = serde_json::from_str::<BTreeMap<String, crate::types::OrgId>>(r#"{"a":"b/c"}"#);
        let problem = JsonProblem::from(read.unwrap_err()).to_string();
        assert!(problem.contains("b/c"), "{problem}");
    }
}
