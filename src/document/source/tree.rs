//! What a document says, as a tree in which everything knows its place.

use std::{
    collections::{HashMap, HashSet},
    ptr,
};

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

/// What a reader by Horizon's rules makes of a document: fields under another name, items that count for nothing. Fields
/// and items are known by their addresses.
#[derive(Debug, Default)]
pub(in crate::document) struct Edits {
    names: HashMap<*const Member, &'static str>,
    left_out: HashSet<*const Node>,
}

impl Edits {
    /// Reads a field as the one called `name`; whether that is news.
    pub(in crate::document) fn rename(&mut self, member: &Member, name: &'static str) -> bool {
        self.names.insert(ptr::from_ref(member), name).is_none()
    }

    /// Reads a list without one of its items.
    pub(in crate::document) fn leave_out(&mut self, item: &Node) {
        self.left_out.insert(ptr::from_ref(item));
    }

    fn name_of<'m>(&self, member: &'m Member) -> &'m str {
        self.names.get(&ptr::from_ref(member)).copied().unwrap_or(&member.name)
    }
}

impl Node {
    pub(super) fn new(at: usize, content: Content) -> Self {
        Self { at, content, written: None, trace: Trace::default() }
    }

    pub(in crate::document) fn to_value(&self) -> Value {
        self.to_value_with(&Edits::default())
    }

    /// What it says after `edits`. Of several fields that get one name the last counts.
    pub(in crate::document) fn to_value_with(&self, edits: &Edits) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => {
                let counts = |it: &&Self| !edits.left_out.contains(&ptr::from_ref::<Self>(it));
                items.iter().filter(counts).map(|it| it.to_value_with(edits)).collect()
            }
            Content::Object(members) => {
                let pair =
                    |it: &Member| (edits.name_of(it).to_owned(), it.node.to_value_with(edits));
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

    /// A field of an object. Its name is read without regard to case, as Horizon's programs do; of several the last
    /// counts.
    pub(in crate::document) fn member(&self, name: &str) -> Option<&Self> {
        let Content::Object(members) = &self.content else { return None };
        let mut named = members.iter().filter(|it| it.name.eq_ignore_ascii_case(name));
        named.next_back().map(|it| &it.node)
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
                let find = |is_same: fn(&str, &str) -> bool| {
                    members.iter().rev().find_map(|member| {
                        let (name, rest) = path.split_at_checked(member.name.len())?;
                        let ends = rest.is_empty() || rest.starts_with(['.', '[']);
                        if ends && is_same(name, &member.name) {
                            member.node.find(rest)
                        } else {
                            None
                        }
                    })
                };
                find(|a, b| a == b).or_else(|| find(str::eq_ignore_ascii_case))
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
