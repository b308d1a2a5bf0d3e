//! In what two documents differ: member by member for machines, line by line for people.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};
use similar::TextDiff;

/// One place where two documents differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where, as in `services[0].serviceVersions[1].version`.
    pub path: String,
    /// What the old one says there; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// What the new one says there; `None`: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// Every place where two documents differ, in order. The order of members is no difference; that of
/// the items of a list is one.
pub fn changes(old: &Value, new: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(old), Some(new), &mut changes);
    changes
}

fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    if old == new {
        return;
    }
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for name in names(old, new) {
                compare(&member(path, name), old.get(name), new.get(name), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                let path = format!("{path}[{index}]");
                compare(&path, old.get(index), new.get(index), changes);
            }
        }
        _ => {
            changes.push(Change { path: path.to_owned(), old: old.cloned(), new: new.cloned() });
        }
    }
}

/// The names of the members of both, sorted.
fn names<'a>(old: &'a Map<String, Value>, new: &'a Map<String, Value>) -> Vec<&'a str> {
    let mut names: Vec<_> = old.keys().chain(new.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn member(path: &str, name: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "_-$".contains(c);
    if name.is_empty() || !name.chars().all(is_plain) {
        return format!("{path}[{}]", Value::from(name));
    }
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Two big documents without a line in common take for ever to be compared well.
const LONGEST: Duration = Duration::from_secs(2);

/// The lines in which two documents differ, as a unified diff of their canonical forms under these
/// two names; empty where they say the same. It takes no longer than a few seconds: of big documents that
/// have little in common it may show more lines than need be.
pub fn unified((old_name, old): (&str, &Value), (new_name, new): (&str, &Value)) -> String {
    let (old, new) = (pretty(old), pretty(new));
    TextDiff::configure()
        .timeout(LONGEST)
        .diff_lines(&old, &new)
        .unified_diff()
        .context_radius(3)
        .header(old_name, new_name)
        .to_string()
}

/// The canonical form for people: indented, the members sorted by their names.
fn pretty(value: &Value) -> String {
    // Every key is a text, so that this cannot fail.
    serde_json::to_string_pretty(&sorted(value)).unwrap_or_default() + "\n"
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> =
                members.iter().map(|(name, it)| (name.clone(), sorted(it))).collect();
            members.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(members.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_members_is_no_difference() {
        let (old, new) =
            (json!({"a": 1, "b": {"c": 2, "d": 3}}), json!({"b": {"d": 3, "c": 2}, "a": 1}));
        assert_eq!(changes(&old, &new), []);
        assert_eq!(unified(("live", &old), ("file", &new)), "");
    }

    #[test]
    fn a_change_is_told_by_its_place_with_what_was_and_what_is() {
        let old = json!({"label": "a", "services": [{"v": "1"}], "gone": true});
        let new = json!({"label": "a", "services": [{"v": "2"}, {"v": "3"}], "odd name": null});
        let told = serde_json::to_value(changes(&old, &new)).unwrap();
        let expected = json!([
            {"path": "gone", "old": true},
            {"path": "[\"odd name\"]", "new": null},
            {"path": "services[0].v", "old": "1", "new": "2"},
            {"path": "services[1]", "new": {"v": "3"}},
        ]);
        assert_eq!(told, expected);
    }

    #[test]
    fn people_see_the_lines_that_change() {
        let (old, new) = (json!({"b": 1, "a": [1, 2]}), json!({"a": [1, 3], "b": 1}));
        let text = unified(("live", &old), ("file", &new));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[..2], ["--- live", "+++ file"]);
        assert_eq!(
            lines[3..],
            [" {", "   \"a\": [", "     1,", "-    2", "+    3", "   ],", "   \"b\": 1", " }"]
        );
    }
}
