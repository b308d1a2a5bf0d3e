//! What a document says, as a tree in which everything knows its place.

use serde_json::{Map, Number, Value};

use super::trace::Trace;

/// Deeper nesting is refused: other readers of JSON, such as the exchange's, stop at 127 levels.
pub(super) const DEEPEST: usize = 100;

/// A value, and where in the author's file it begins.
#[derive(Debug, Clone)]
pub(in crate::document) struct Node {
    pub(in crate::document) at: usize,
    pub(in crate::document) content: Content,
    /// How the author wrote what is no text: `1.10`, `yes`.
    pub(in crate::document) written: Option<String>,
    /// Where the characters of a text come from.
    pub(super) trace: Trace,
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
    pub(super) fn new(at: usize, content: Content) -> Self {
        Self { at, content, written: None, trace: Trace::default() }
    }

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

    /// A field of an object.
    pub(in crate::document) fn member(&self, name: &str) -> Option<&Self> {
        let Content::Object(members) = &self.content else { return None };
        members.iter().find(|it| it.name == name).map(|it| &it.node)
    }

    /// The value at a path such as `deployment.services.web.binds[0]`. A name may itself have dots
    /// and brackets.
    pub(super) fn find(&self, path: &str) -> Option<&Self> {
        if path.is_empty() {
            return Some(self);
        }
        match &self.content {
            Content::Object(members) => {
                let path = path.strip_prefix('.').unwrap_or(path);
                members.iter().find_map(|member| {
                    let rest = path.strip_prefix(member.name.as_str())?;
                    if rest.is_empty() || rest.starts_with(['.', '[']) {
                        return member.node.find(rest);
                    }
                    None
                })
            }
            Content::List(items) => {
                let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
                items.get(index.parse::<usize>().ok()?)?.find(rest)
            }
            _ => None,
        }
    }

    /// Where in the author's file a character of a text comes from; of anything else, its beginning.
    pub(in crate::document) fn origin(&self, offset: usize) -> usize {
        let Content::Text(text) = &self.content else { return self.at };
        let byte = text.char_indices().nth(offset).map_or(text.len(), |(byte, _)| byte);
        self.trace.origin(byte)
    }
}
