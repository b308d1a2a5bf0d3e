//! What an author may write where a type has a value: nothing at all, or a variable.

use schemars::{Schema, transform::transform_subschemas};
use serde_json::{Map, Value, json};

/// A text that has a variable in it.
const VARIABLE: &str = r"\$\{?[A-Za-z_]";

/// Loosens a schema to what the readers take: a field that is not required may be null or empty,
/// and a text may have variables.
pub(super) fn may_write(schema: &mut Schema) {
    // The parts first: what is put in here is no part to be loosened again.
    transform_subschemas(&mut may_write, schema);
    let Some(keywords) = schema.as_object_mut() else { return };
    // A condition on fields has properties too, and is no object of its own.
    if keywords.get("type").is_some_and(|it| it == "object") {
        fields(keywords);
    }
    if let Some(pattern) = keywords.get_mut("pattern") {
        *pattern = json!(format!("{}|{VARIABLE}", pattern.as_str().unwrap_or_default()));
    }
    let words = keywords.get("oneOf").or_else(|| keywords.get("enum")).cloned();
    if let Some(words) = words.filter(is_words) {
        let form = if words[0].is_object() { "oneOf" } else { "enum" };
        keywords.shift_remove(form);
        keywords.shift_remove("type");
        let variable = json!({ "type": "string", "pattern": VARIABLE });
        keywords.insert("anyOf".to_owned(), json!([{ form: words }, variable]));
    }
    // Numbers have no formats of Rust for an author.
    keywords.shift_remove("format");
    if keywords.get("default").is_some_and(says_nothing) {
        keywords.shift_remove("default");
    }
}

/// Whether a list of alternatives is one of words.
fn is_words(list: &Value) -> bool {
    let is_word = |it: &Value| it.is_string() || it["const"].is_string();
    list.as_array().is_some_and(|it| !it.is_empty() && it.iter().all(is_word))
}

/// Whether a default is what everybody expects of a field that is left out.
fn says_nothing(default: &Value) -> bool {
    match default {
        Value::Null | Value::Object(_) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(_) => false,
    }
}

fn fields(keywords: &mut Map<String, Value>) {
    let required = keywords.get("required").cloned().unwrap_or_default();
    let is_required =
        |name: &str| required.as_array().is_some_and(|it| it.iter().any(|it| it == name));
    let Some(Value::Object(properties)) = keywords.get_mut("properties") else { return };
    for (name, field) in properties {
        match field {
            Value::Object(field) if is_required(name) => may_not_be_empty(field),
            Value::Object(field) => may_be_nothing(field),
            _ => (),
        }
    }
}

/// An empty text is like none.
fn may_not_be_empty(field: &mut Map<String, Value>) {
    if field.get("type").is_some_and(|it| it == "string") && !field.contains_key("pattern") {
        field.entry("minLength").or_insert(json!(1));
    }
}

fn may_be_nothing(field: &mut Map<String, Value>) {
    if let Some(pattern) = field.get_mut("pattern") {
        *pattern = json!(format!("^$|{}", pattern.as_str().unwrap_or_default()));
    }
    if let Some(kinds) = field.get_mut("type") {
        let mut all = kinds.as_array().cloned().unwrap_or_else(|| vec![kinds.clone()]);
        if !all.iter().any(|it| it == "null") {
            all.push(json!("null"));
        }
        *kinds = Value::Array(all);
    } else if let Some(Value::Array(choices)) = field.get_mut("anyOf") {
        if choices.iter().any(|it| it["pattern"] == VARIABLE) {
            choices.push(json!({ "type": ["string", "null"], "maxLength": 0 }));
        } else if !choices.iter().any(|it| it["type"] == "null") {
            choices.push(json!({ "type": "null" }));
        }
    } else if let Some(reference) = field.shift_remove("$ref") {
        field.insert("anyOf".to_owned(), json!([{ "$ref": reference }, { "type": "null" }]));
    }
}
