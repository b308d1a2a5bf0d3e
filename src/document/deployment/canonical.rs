//! The text that Go's `encoding/json` makes of a value, which is what Horizon signs.

use serde_json::{Map, Number, Value};

/// `value` as Go writes it: no white space, keys sorted by their bytes, every number through a
/// 64-bit float, `<`, `>` and `&` escaped (vectors `canonical_deployment`).
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(it) => out.push_str(&number(it)),
        Value::String(it) => string(it, out),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => object(members, out),
    }
}

fn object(members: &Map<String, Value>, out: &mut String) {
    let mut sorted: Vec<_> = members.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    out.push('{');
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(name, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

/// The shortest digits that give the float back; below 1e-6 and from 1e21 on with an exponent.
fn number(number: &Number) -> String {
    let value = number.as_f64().unwrap_or_default();
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        // Go writes a sign before a positive exponent.
        return format!("{value:e}").replace('e', if size < 1.0 { "e" } else { "e+" });
    }
    format!("{value}")
}

fn string(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::source::Source;

    #[test]
    fn the_text_is_that_of_go() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/horizon/canonical_deployment.jsonl"
        );
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let vector: Value = serde_json::from_str(line).unwrap();
            let read = Source::read_as_it_is("f.json", vector["input"].as_str().unwrap());
            let written = read.ok().map(|it| text(&it.to_value()));
            assert_eq!(written.as_deref(), vector["signed_string"].as_str(), "{line}");
        }
    }
}
