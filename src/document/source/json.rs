//! JSON in which everything knows its place.

use std::collections::BTreeMap;

use jsonc_parser::{
    CollectOptions, ParseOptions, ast, common::Ranged as _, errors::ParseErrorKind,
};
use serde::de::IgnoredAny;
use serde_json::Number;

use super::{
    Flaw, Flaws,
    trace::{Trace, Traced},
    tree::{Content, DEEPEST, Member, Node},
};

/// Reads strict JSON; what is wrong goes to `found`.
pub(super) fn parse(expanded: &Traced, found: &mut Flaws) -> Option<Node> {
    let strict = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let text = expanded.text.as_str();
    let parsed = match jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &strict) {
        Ok(parsed) => parsed,
        Err(error) => {
            let at = error.range().start;
            let (what, help) = explain(error.kind(), &text[at..]);
            found.push(Flaw::error(expanded.origin(at), what, help));
            return None;
        }
    };
    // The parser keeps places, but lets a few things pass that JSON does not have.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text)
        && parsed.value.is_some()
    {
        found.push(strict_flaw(expanded, &error));
        return None;
    }
    let Some(value) = parsed.value else {
        found.push(Flaw::error(0, "the file is empty", "a document is a JSON object: { … }"));
        return None;
    };
    Some(Builder { expanded, found, depth: 0 }.node(value))
}

/// A number to its last bit, as `serde_json` by itself does not read it; `None` if it is too large.
pub(super) fn number(text: &str) -> Option<Number> {
    if text.contains(['.', 'e', 'E']) || text == "-0" {
        return text.parse().ok().and_then(Number::from_f64);
    }
    let whole = text.parse::<u64>().map(Number::from);
    let whole = whole.or_else(|_| text.parse::<i64>().map(Number::from));
    whole.ok().or_else(|| text.parse().ok().and_then(Number::from_f64))
}

/// What strict JSON does not allow, where it stands.
fn strict_flaw(expanded: &Traced, error: &serde_json::Error) -> Flaw {
    let before = expanded.text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let start: usize = before.map(str::len).sum();
    let mut at = (start + error.column().saturating_sub(1)).min(expanded.text.len());
    while !expanded.text.is_char_boundary(at) {
        at -= 1;
    }
    let said = error.to_string();
    let (what, help) = if said.starts_with("invalid escape") {
        (
            "an escape that JSON does not have",
            "JSON has \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\u0000",
        )
    } else if said.starts_with("invalid number") {
        ("a number that JSON does not have", "numbers have no leading zeros, no + and no lone dot")
    } else if said.starts_with("number out of range") {
        ("the number is out of range", "")
    } else if said.starts_with("control character") {
        ("a control character in a text", "escape it as \\u0000")
    } else {
        ("this is not JSON", "a document is a JSON object: { … }")
    };
    Flaw::error(expanded.origin(at), what, help)
}

/// What is wrong and what helps, in people's words; `rest` is the text from there on.
fn explain(kind: &ParseErrorKind, rest: &str) -> (String, &'static str) {
    use ParseErrorKind as Kind;
    let next = rest.chars().next();
    if matches!(next, Some('\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2018}' | '\u{2019}')) {
        return ("curly quotes".to_owned(), "use straight double quotes: \"");
    }
    let word: String = rest.chars().take_while(char::is_ascii_alphanumeric).take(20).collect();
    let help = match kind {
        Kind::ExpectedComma => "is a comma missing before it?",
        Kind::ExpectedColonAfterObjectKey => "behind the name of a field stands a colon",
        Kind::ExpectedObjectValue => "the field has no value",
        Kind::ExpectedStringObjectProperty | Kind::UnexpectedTokenInObject => {
            "the names of fields stand in double quotes"
        }
        Kind::SingleQuotedStringsNotAllowed => "texts stand in double quotes",
        Kind::UnterminatedArray => "the list is not closed by ]",
        Kind::UnterminatedObject => "the object is not closed by }",
        Kind::MultipleRootJsonValues => "a file holds one document",
        Kind::UnexpectedCloseBrace | Kind::UnexpectedCloseBracket => {
            "it closes nothing, or a value is missing before it"
        }
        Kind::UnexpectedComma => "a value is missing before it",
        Kind::String(jsonc_parser::ParseStringErrorKind::UnterminatedStringLiteral) => {
            "the text is not closed by \""
        }
        _ if ["true", "false", "null"].iter().any(|it| word.eq_ignore_ascii_case(it)) => {
            "write true, false and null in small letters"
        }
        Kind::UnexpectedWord => "texts stand in double quotes",
        _ => "",
    };
    let what = kind.to_string();
    let mut letters = what.chars();
    let what = letters
        .next()
        .map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect());
    let shows = matches!(kind, Kind::UnexpectedWord | Kind::UnexpectedToken) && !word.is_empty();
    (if shows { format!("{what} `{word}`") } else { what }, help)
}

struct Builder<'a> {
    expanded: &'a Traced,
    found: &'a mut Flaws,
    depth: usize,
}

impl Builder<'_> {
    fn node(&mut self, value: ast::Value<'_>) -> Node {
        let at = self.expanded.origin(value.start());
        if self.depth > DEEPEST {
            self.found.push(Flaw::error(at, "nested deeper than 100 levels", ""));
            return Node::new(at, Content::Null);
        }
        self.depth += 1;
        let mut node = Node::new(at, Content::Null);
        node.content = match value {
            ast::Value::NullKeyword(_) => Content::Null,
            ast::Value::BooleanLit(it) => Content::Bool(it.value),
            ast::Value::StringLit(it) => {
                node.trace = self.trace(it.range.start + 1, &it.value);
                Content::Text(it.value.into_owned())
            }
            ast::Value::NumberLit(it) => {
                node.written = Some(it.value.to_owned());
                if let Some(number) = number(it.value) {
                    Content::Number(number)
                } else {
                    let what = format!("the number {} is out of range", it.value);
                    self.found.push(Flaw::error(at, what, ""));
                    Content::Null
                }
            }
            ast::Value::Array(it) => {
                Content::List(it.elements.into_iter().map(|it| self.node(it)).collect())
            }
            ast::Value::Object(it) => Content::Object(self.members(it)),
        };
        self.depth -= 1;
        node
    }

    /// Where the characters of a text come from that is written from `at` on.
    fn trace(&self, mut at: usize, text: &str) -> Trace {
        let mut traced = Traced::default();
        let mut rest = text;
        while !rest.is_empty() {
            let written = &self.expanded.text[at..];
            let same = rest.bytes().zip(written.bytes()).take_while(|(a, b)| a == b && *b != b'\\');
            let same = rest.floor_char_boundary(same.count());
            traced.push_part(self.expanded, at, at + same);
            at += same;
            rest = &rest[same..];
            let Some(c) = rest.chars().next() else { break };
            // One character of the text, by an escape: `\n`, `\u00e9`, or a pair of those.
            let length = match written.as_bytes().get(same + 1) {
                Some(b'u') if u32::from(c) > 0xffff => 12,
                Some(b'u') => 6,
                _ => 2,
            };
            traced.push_other(&rest[..c.len_utf8()], self.expanded.origin(at));
            at = self.expanded.text.floor_char_boundary(at + length);
            rest = &rest[c.len_utf8()..];
        }
        // What stands behind the text is its end.
        traced.push_copy("", self.expanded.origin(at));
        traced.trace
    }

    /// Of two fields with one name the last counts, as everywhere.
    fn members(&mut self, object: ast::Object<'_>) -> Vec<Member> {
        let mut members: Vec<Member> = Vec::new();
        let mut places = BTreeMap::new();
        for property in object.properties {
            let at = self.expanded.origin(property.range.start);
            let node = self.node(property.value);
            let member = Member { at, name: property.name.into_string(), node };
            if let Some(index) = places.get(&member.name) {
                let what = format!("`{}` stands here for the second time", member.name);
                self.found.push(Flaw::warning(at, what, "the last one counts"));
                members[*index] = member;
            } else {
                places.insert(member.name.clone(), members.len());
                members.push(member);
            }
        }
        members
    }
}
