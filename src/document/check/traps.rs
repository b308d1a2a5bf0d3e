//! What reads well and means something else, wherever it stands in a document.

use super::{Inspector, Place};
use crate::{
    document::{
        constraint::{self, Constraint},
        problem::{Problem, Severity},
        source::{Content, Node},
    },
    types::VersionRange,
};

/// More digits than a 64-bit float holds for certain.
const EXACT_DIGITS: usize = 17;

impl<'a> Inspector<'a> {
    /// A constraint: where it stops making sense, or what of it means something else.
    pub(super) fn constraint(&mut self, place: &Place<'a>, text: &str) {
        match Constraint::parse(text) {
            Ok(constraint) => {
                for trap in constraint.traps() {
                    self.tell_within(Severity::Warning, place, trap.offset, trap.what, trap.help);
                }
            }
            Err(error) => {
                let (offset, help) = (error.column - 1, error.help.to_owned());
                self.tell_within(Severity::Error, place, offset, error.to_string(), help);
            }
        }
    }

    /// Tells of something `offset` characters into a text.
    fn tell_within(
        &mut self,
        severity: Severity,
        place: &Place<'_>,
        offset: usize,
        what: String,
        help: String,
    ) {
        let found = self.source.place_of(&place.path, offset);
        let (line, column) = found.unwrap_or_else(|| self.source.place(place.node.at));
        let path = place.path.clone();
        self.found.push(Problem { severity, line, column, path, what, help });
    }

    /// What is odd about a range of versions.
    pub(super) fn range(&mut self, found: Option<&(Place<'a>, VersionRange)>) {
        if let Some((place, range)) = found
            && let Some((what, help)) = constraint::trap_of_range(range)
        {
            self.warn(place, what, help);
        }
    }

    /// Numbers that Horizon, which reads each as a 64-bit float, changes.
    pub(super) fn numbers(&mut self) {
        let root = self.root();
        self.numbers_of(root.node, &root.path);
    }

    fn numbers_of(&mut self, node: &'a Node, path: &str) {
        match &node.content {
            Content::Number(_) => {
                let written = node.written.as_deref().unwrap_or_default();
                if let Some(becomes) = changed(written) {
                    let what = format!(
                        "numbers are 64-bit floats to Horizon: {written} becomes {becomes}"
                    );
                    let help = "put it into quotes, if what reads it takes a text".to_owned();
                    self.tell(Severity::Warning, node.at, path, what, help);
                }
            }
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.numbers_of(item, &format!("{path}[{index}]"));
                }
            }
            Content::Object(members) => {
                for member in members {
                    let dot = if path.is_empty() { "" } else { "." };
                    self.numbers_of(&member.node, &format!("{path}{dot}{}", member.name));
                }
            }
            _ => (),
        }
    }
}

/// What a number becomes as a 64-bit float, if its digits do not survive.
fn changed(written: &str) -> Option<String> {
    if written.contains(['.', 'e', 'E']) {
        let mantissa = written.split(['e', 'E']).next().unwrap_or_default();
        let digits = mantissa.replace(['-', '.'], "");
        let significant = digits.trim_matches('0').len();
        let float: f64 = written.parse().ok()?;
        return (significant > EXACT_DIGITS).then(|| float.to_string());
    }
    constraint::rounded(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_whose_digits_do_not_survive_are_told() {
        for (written, becomes) in [
            ("12345678901234567890", Some("12345678901234567000")),
            ("9007199254740993", Some("9007199254740992")),
            ("9007199254740992", None),
            ("-5", None),
            ("1.50", None),
            ("1e400", None),
            ("0.1234567890123456789", Some("0.12345678901234568")),
            ("1e21", None),
        ] {
            assert_eq!(changed(written).as_deref(), becomes, "{written}");
        }
    }
}
