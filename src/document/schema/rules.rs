//! What the readers ask for across the fields of an object.

use schemars::{Schema, json_schema};
use serde_json::{Value, json};

/// Where `condition` holds, so does `then`.
pub(in crate::document) fn if_then(condition: Value, then: Value) -> Value {
    let mut rule = json!({});
    rule["if"] = condition;
    rule["then"] = then;
    rule
}

fn add_rule(schema: &mut Schema, rule: Value) {
    match schema.get_mut("allOf") {
        Some(Value::Array(rules)) => rules.push(rule),
        _ => {
            schema.insert("allOf".to_owned(), json!([rule]));
        }
    }
}

/// An object whose field `name` is there, and is `value`.
fn with(name: &str, value: &Value) -> Value {
    json!({ "properties": { name: value }, "required": [name] })
}

/// A deployment that is a text must have been signed already.
pub(in crate::document) fn signed_if_text(
    field: &'static str,
    signature: &'static str,
) -> impl FnMut(&mut Schema) {
    move |schema| {
        let text = json!({ "type": "string", "minLength": 1 });
        add_rule(schema, if_then(with(field, &text), with(signature, &text)));
    }
}

/// At least one of two texts is there.
pub(in crate::document) fn one_of_them(
    one: &'static str,
    other: &'static str,
) -> impl FnMut(&mut Schema) {
    move |schema| {
        let text = json!({ "type": "string", "minLength": 1 });
        schema.insert("anyOf".to_owned(), json!([with(other, &text), with(one, &text)]));
    }
}

/// A version that has its turn says how often it is tried, and one without a turn says nothing.
pub(in crate::document) fn retries_with_a_turn(priority: &mut Schema) {
    let some = json!({ "type": "integer", "minimum": 1 });
    let retried = json!({
        "properties": { "retries": some, "retry_durations": some },
        "required": ["retries", "retry_durations"],
    });
    add_rule(priority, if_then(with("priority_value", &some), retried));
    for name in ["retries", "retry_durations", "verified_durations"] {
        add_rule(priority, if_then(with(name, &some), with("priority_value", &some)));
    }
}

/// A variable that is named has a value.
pub(in crate::document) fn value_if_named(input: &mut Schema) {
    let text = json!({ "type": "string", "minLength": 1 });
    add_rule(input, if_then(with("name", &text), json!({ "required": ["value"] })));
}

/// The name of a variable of the environment.
pub(in crate::document) fn variable_name(name: &mut Schema) {
    name.insert("pattern".to_owned(), json!(r"^[^=\u0000-\u0020]+$"));
    let message = "a name of an environment variable: letters, digits and _";
    name.insert("patternErrorMessage".to_owned(), json!(message));
}

/// A word that is still read, and that nobody should write any more.
pub(in crate::document) fn old_word(
    word: &'static str,
    description: &'static str,
) -> impl FnMut(&mut Schema) {
    move |schema| {
        let old = json_schema!({ "const": word, "description": description, "deprecated": true });
        if let Some(Value::Array(words)) = schema.get_mut("oneOf") {
            words.push(old.into());
        }
    }
}
