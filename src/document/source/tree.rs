//! JSON in which everything knows its place.

use std::collections::BTreeMap;

use jsonc_parser::{
    CollectOptions, ParseOptions, ast, common::Ranged as _, errors::ParseErrorKind,
};
use serde::de::IgnoredAny;
use serde_json::{Map, Number, Value};

use super::{Flaw, expand::Expanded};

/// Deeper nesting is refused: other readers of JSON, such as the exchange's, stop at 127 levels.
const DEEPEST: usize = 100;

/// A value, and where in the author's file it begins.
#[derive(Debug, Clone)]
pub(in crate::document) struct Node {
    pub(in crate::document) at: usize,
    pub(in crate::document) content: Content,
}

#[derive(Debug, Clone)]
pub(in crate::document) enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

/// A field of an object, and where its name begins.
#[derive(Debug, Clone)]
pub(in crate::document) struct Member {
    pub(in crate::document) at: usize,
    pub(in crate::document) name: String,
    pub(in crate::document) node: Node,
}

impl Node {
    pub(in crate::document) fn to_value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => items.iter().map(Self::to_value).collect(),
            Content::Object(members) => {
                let pair = |it: &Member| (it.name.clone(), it.node.to_value());
                Value::Object(members.iter().map(pair).collect::<Map<_, _>>())
            }
        }
    }

    /// What it is, with an article.
    pub(in crate::document) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Null => "null",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::Text(_) => "a text",
            Content::List(_) => "a list",
            Content::Object(_) => "an object",
        }
    }
}

/// Reads strict JSON; what is wrong goes to `found`.
pub(super) fn parse(expanded: &Expanded, found: &mut Vec<Flaw>) -> Option<Node> {
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
fn number(text: &str) -> Option<Number> {
    if text.contains(['.', 'e', 'E']) || text == "-0" {
        return text.parse().ok().and_then(Number::from_f64);
    }
    let whole = text.parse::<u64>().map(Number::from);
    let whole = whole.or_else(|_| text.parse::<i64>().map(Number::from));
    whole.ok().or_else(|| text.parse().ok().and_then(Number::from_f64))
}

/// What strict JSON does not allow, where it stands.
fn strict_flaw(expanded: &Expanded, error: &serde_json::Error) -> Flaw {
    let before = expanded.text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let start: usize = before.map(str::len).sum();
    let mut at = (start + error.column().saturating_sub(1)).min(expanded.text.len());
    while !expanded.text.is_char_boundary(at) {
        at -= 1;
    }
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or(&what);
    Flaw::error(expanded.origin(at), what, "")
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
    expanded: &'a Expanded,
    found: &'a mut Vec<Flaw>,
    depth: usize,
}

impl Builder<'_> {
    fn node(&mut self, value: ast::Value<'_>) -> Node {
        let at = self.expanded.origin(value.start());
        if self.depth > DEEPEST {
            self.found.push(Flaw::error(at, "nested deeper than 100 levels", ""));
            return Node { at, content: Content::Null };
        }
        self.depth += 1;
        let content = match value {
            ast::Value::NullKeyword(_) => Content::Null,
            ast::Value::BooleanLit(it) => Content::Bool(it.value),
            ast::Value::StringLit(it) => Content::Text(it.value.into_owned()),
            ast::Value::NumberLit(it) => {
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
        Node { at, content }
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
