//! The constraint language: `name op value`, joined by `AND`, `OR` and parentheses.
//!
//! It reads and means exactly what Horizon's does (vectors `constraints`), with one difference:
//! a text that Horizon takes although its parentheses or its `AND` lead nowhere is refused.

mod ast;
mod eval;
mod judged;
mod lexer;
mod parser;
mod trap;

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::ast::Expression;
pub(in crate::document) use self::trap::{of_range as trap_of_range, rounded};
pub use self::{
    ast::{Comparison, Operator},
    judged::{Judged, Term},
    parser::ParseConstraintError,
    trap::Trap,
};
use crate::document::property::Properties;

/// One constraint; a policy holds if all of its constraints hold. It prints as its author wrote it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(
    inline,
    description = "`property operator value`, joined by AND, OR and parentheses; the operators are \
        =, ==, !=, <, <=, >, >= and in.",
    example = &"openhorizon.memory >= 512",
    example = &"location == \"front door\" AND openhorizon.arch in \"amd64, arm64\"",
    extend("pattern" = r"^[ \t\r\n]*(\([ \t\r\n()]*)?$|[=<>]|[ \t\r\n]in"),
    extend("patternErrorMessage" = "property operator value, such as openhorizon.memory >= 512")
)]
pub struct Constraint {
    text: String,
    expression: Expression,
}

impl Constraint {
    /// Reads a constraint; the error says where it stops making sense.
    pub fn parse(text: &str) -> Result<Self, ParseConstraintError> {
        Ok(Self { text: text.to_owned(), expression: parser::parse(text)? })
    }

    /// Checks that a text has no comparison that Horizon's parser refuses.
    ///
    /// This accepts more than [`Constraint::parse`]: Horizon also reads some texts whose parentheses or whose last
    /// `AND` are incomplete. An exchange that refused those would break authors who use them; here they fit no node.
    ///
    /// # Errors
    /// The first comparison that cannot be read.
    pub fn check_for_horizon(text: &str) -> Result<(), ParseConstraintError> {
        parser::parse(text).map(drop).or_else(|_| parser::check_comparisons(text))
    }

    /// As its author wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether `properties` satisfy it. A property that is not there satisfies nothing, not even `!=`.
    pub fn holds(&self, properties: &Properties) -> bool {
        eval::holds(&self.expression, properties)
    }

    /// How `properties` stand to each part of it, for telling why it holds or does not.
    pub fn judge<'a>(&'a self, properties: &'a Properties) -> Judged<'a> {
        judged::judge(&self.text, &self.expression, properties)
    }

    /// The names of the properties that it asks for, in their order.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.expression.visit(&mut |it| names.push(it.name.trim()));
        names
    }

    /// What reads well and means something else, clause by clause.
    pub fn traps(&self) -> Vec<Trap> {
        trap::traps(&self.text, &self.expression)
    }
}

impl PartialEq for Constraint {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Constraint {}

impl FromStr for Constraint {
    type Err = ParseConstraintError;

    fn from_str(text: &str) -> Result<Self, ParseConstraintError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Constraint {
    type Error = ParseConstraintError;

    fn try_from(text: String) -> Result<Self, ParseConstraintError> {
        text.parse()
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> Self {
        constraint.text
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_property_without_end_lies_in_a_range_that_takes_its_end() {
        let properties = r#"[{"name": "v", "value": "INFINITY", "type": "version"}]"#;
        let properties: Properties = serde_json::from_str(properties).unwrap();
        for (range, holds) in
            [("[1.0.0,INFINITY]", true), ("[1.0.0,INFINITY)", false), ("1.0.0", false)]
        {
            let constraint = Constraint::parse(&format!("v in {range}")).unwrap();
            assert_eq!(constraint.holds(&properties), holds, "{range}");
        }
    }

    #[test]
    fn constraints_mean_what_they_mean_in_horizon() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/horizon/constraints.jsonl");
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let properties: Properties =
                serde_json::from_value(vector["properties"].clone()).unwrap();
            let properties_valid = properties.iter().all(|it| it.check().is_ok());
            assert_eq!(properties_valid, vector["properties_valid"], "{line}");

            let texts: Vec<&str> = vector["constraints"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(Value::as_str)
                .collect();
            let parsed: Result<Vec<_>, _> = texts.into_iter().map(Constraint::parse).collect();
            assert_eq!(parsed.is_ok(), vector["constraints_valid"], "{line}");
            let satisfied = parsed.is_ok_and(|all| all.iter().all(|it| it.holds(&properties)));
            assert_eq!(satisfied, vector["satisfied"], "{line}");
        }
    }

    /// Nothing is kept of a text that is too long, and no more than 64 levels of any other.
    #[test]
    fn a_mebibyte_of_parentheses_is_refused_at_once() {
        const MEBIBYTE: usize = 1 << 20;
        let half = MEBIBYTE / 2;
        for text in [
            "(".repeat(MEBIBYTE),
            format!("{}a == x{}", "(".repeat(half), ")".repeat(half)),
            "(a == x AND ".repeat(MEBIBYTE / 12),
            "(".repeat(parser::LONGEST),
            "(a == x OR ".repeat(parser::LONGEST / 11),
        ] {
            let start = std::time::Instant::now();
            assert!(Constraint::parse(&text).is_err());
            assert!(start.elapsed().as_millis() < 100, "{:?}", start.elapsed());
        }
    }

    #[test]
    fn only_texts_that_horizon_cannot_read_are_refused_when_posted() {
        for text in ["", "()", "a == x", "(a == x", "a == x)", "a == x AND ", "(a == x) OR (b > 5"]
        {
            assert!(Constraint::check_for_horizon(text).is_ok(), "{text}");
        }
        for text in
            ["a ==", "a", "== x", "a == x AND b @ y", "a == x b == y", "a in x", "a == 12ab"]
        {
            assert!(Constraint::check_for_horizon(text).is_err(), "{text}");
        }
        assert!(Constraint::check_for_horizon(&"(".repeat(parser::LONGEST + 1)).is_err());
    }

    #[test]
    fn parentheses_nest_to_a_bound() {
        let deep = |depth| format!("{}a == x{}", "(".repeat(depth), ")".repeat(depth));
        assert!(Constraint::parse(&deep(parser::DEEPEST)).is_ok());
        assert!(Constraint::parse(&deep(parser::DEEPEST + 1)).is_err());
    }

    #[test]
    fn an_error_points_at_its_column() {
        for (text, column) in [
            ("a == x AND b @ y", 14),
            ("(a == x", 8),
            ("a in x", 6),
            ("a > x", 5),
            ("a == x)", 7),
            ("a == 12ab", 8),
            ("ü == \"в\"", 6),
        ] {
            let error = Constraint::parse(text).unwrap_err();
            assert_eq!(error.column, column, "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_read_prints_as_it_was_written(
            text in "(\\(?(a|in_side|n\\.1) ?(==|=|!=|>=|<|=>|in) ?(x|5|1\\.0|\"a b\"|\"a,b\"|\\[1\\.0\\.0,2\\.0\\.0\\))\\)?( AND | OR | && | \\|\\| )?){1,5}"
        ) {
            if let Ok(constraint) = Constraint::parse(&text) {
                prop_assert_eq!(constraint.as_str(), text.as_str());
                let written = serde_json::to_string(&constraint).unwrap();
                let again: Constraint = serde_json::from_str(&written).unwrap();
                prop_assert_eq!(&again.expression, &constraint.expression);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in r#"([ab("',.0-9<>=!\[\])]| |AND|OR|in|\PC){0,40}"#) {
            if let Ok(constraint) = Constraint::parse(&text) {
                prop_assert_eq!(constraint.to_string(), text);
                constraint.holds(&Properties::default());
            }
        }
    }
}
