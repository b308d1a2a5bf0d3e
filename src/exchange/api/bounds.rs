//! How long the lists in documents may be: what one author writes, everyone else's requests walk through.

use serde_json::Value;

use super::{Property, SecretBinding, UserInput, constraint_problem};

/// The most entries of a list in a document: required services, services of a pattern, versions with their
/// priorities, properties, constraints, variables, user inputs, secret bindings.
pub const MOST_ENTRIES: usize = 512;
/// The most entries of all inner lists of one kind together: versions of all services of a pattern, values
/// of all user inputs.
pub const MOST_INNER_ENTRIES: usize = 4096;
/// The most bytes of all constraints of a policy: about 4,000 comparisons.
pub const MOST_CONSTRAINT_BYTES: usize = 32 * 1024;
/// The most pull credentials of a service: more registries than any service has images in.
pub const MOST_CREDENTIALS: usize = 1024;
/// The longest value of a property, in bytes of JSON: every comparison may read it.
pub const LONGEST_PROPERTY: usize = 4096;

/// What is wrong with a list of `count` entries, if it is too long.
pub(super) fn too_many(list: &str, count: usize) -> Option<String> {
    (count > MOST_ENTRIES)
        .then(|| format!("{list} has {count} entries; the most is {MOST_ENTRIES}"))
}

/// The same for inner lists together.
pub(super) fn too_many_inside(list: &str, count: usize) -> Option<String> {
    let problem =
        || format!("{list} have {count} entries in all; the most is {MOST_INNER_ENTRIES}");
    (count > MOST_INNER_ENTRIES).then(problem)
}

/// What is too long in a policy's properties and constraints, or cannot be read.
pub(super) fn policy_problem(properties: &[Property], constraints: &[String]) -> Option<String> {
    let length = |value: &Value| match value {
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => value.to_string().len(),
        _ => 0,
    };
    let bytes: usize = constraints.iter().map(String::len).sum();
    too_many("properties", properties.len())
        .or_else(|| too_many("constraints", constraints.len()))
        .or_else(|| {
            let problem =
                || format!("constraints have {bytes} bytes; the most is {MOST_CONSTRAINT_BYTES}");
            (bytes > MOST_CONSTRAINT_BYTES).then(problem)
        })
        .or_else(|| {
            let long = properties.iter().find(|it| length(&it.value) > LONGEST_PROPERTY)?;
            let name = &long.name;
            Some(format!("the value of property '{name}' has more than {LONGEST_PROPERTY} bytes"))
        })
        .or_else(|| constraint_problem(constraints))
}

/// What is too long in values for variables.
pub(super) fn user_input_problem(inputs: &[UserInput]) -> Option<String> {
    let values = inputs.iter().map(|it| it.inputs.len()).sum();
    too_many("userInput", inputs.len()).or_else(|| too_many_inside("inputs of userInput", values))
}

/// What is too long in bindings of secrets.
pub(super) fn secret_binding_problem(bindings: &[SecretBinding]) -> Option<String> {
    let secrets = bindings.iter().map(|it| it.secrets.len()).sum();
    too_many("secretBinding", bindings.len())
        .or_else(|| too_many_inside("secrets of secretBinding", secrets))
}

/// Each entry once, in the order of their first appearance.
pub(super) fn once<T: Clone + Eq + std::hash::Hash>(entries: &mut Vec<T>) {
    let mut seen = std::collections::HashSet::with_capacity(entries.len());
    entries.retain(|it| seen.insert(it.clone()));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn property(value: Value) -> Property {
        Property { name: "p".to_owned(), kind: None, value }
    }

    #[test]
    fn lists_are_allowed_up_to_their_bounds() {
        assert_eq!(too_many("services", MOST_ENTRIES), None);
        assert!(too_many("services", MOST_ENTRIES + 1).unwrap().contains("513"));
        let most = vec![format!("{} == 1", "a".repeat(MOST_CONSTRAINT_BYTES - 5))];
        assert_eq!(policy_problem(&[], &most), None);
        assert!(policy_problem(&[], &["b == 1".to_owned(), most[0].clone()]).is_some());
        let long = |length| property(json!("v".repeat(length)));
        assert_eq!(policy_problem(&[long(LONGEST_PROPERTY)], &[]), None);
        assert!(policy_problem(&[long(LONGEST_PROPERTY + 1)], &[]).is_some());
        assert!(policy_problem(&[property(json!(vec![0; LONGEST_PROPERTY]))], &[]).is_some());
        assert!(policy_problem(&vec![property(json!(1)); MOST_ENTRIES + 1], &[]).is_some());
    }

    #[test]
    fn equal_entries_remain_once_in_their_order() {
        let mut entries = vec![3, 1, 3, 2, 1];
        once(&mut entries);
        assert_eq!(entries, [3, 1, 2]);
    }
}
