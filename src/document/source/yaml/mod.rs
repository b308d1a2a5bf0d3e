//! YAML in which everything knows its place.
//!
//! What cannot be said in JSON, or means one thing to this reader and another to the next, is refused
//! or told: a document says the same to whoever reads it.

mod align;
mod anchors;
mod explain;
mod scalar;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::ControlFlow};

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle, Span, StrInput, Tag};

use self::{
    anchors::{Anchors, Weight},
    scalar::Meaning,
};
use super::{
    Flaw, Flaws,
    expand::Expander,
    lines::Lines,
    strip::blank_name,
    trace::Traced,
    tree::{Content, DEEPEST, Member, Node},
};

/// Reads a document; what is wrong goes to `found`.
pub(super) fn parse(
    text: &str,
    lines: &Lines,
    expander: Option<Expander<'_>>,
    found: &mut Flaws,
) -> Option<Node> {
    let options = granit_parser::options! { emit_comments: false, emit_unresolved_aliases: true };
    let mut reader = Reader {
        text,
        lines,
        events: Parser::new_from_str_with_options(text, options),
        expander,
        found,
        anchors: Anchors::default(),
        depth: 0,
    };
    match reader.document() {
        ControlFlow::Continue(root) => root,
        ControlFlow::Break(()) => None,
    }
}

struct Reader<'a, 'f> {
    text: &'a str,
    lines: &'f Lines,
    events: Parser<'a, StrInput<'a>>,
    expander: Option<Expander<'a>>,
    found: &'f mut Flaws,
    anchors: Anchors,
    depth: usize,
}

/// A value, or the end of reading, after a flaw.
type Step<T> = ControlFlow<(), T>;

type NextEvent<'a> = (Event<'a>, Span);

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Step<Option<Node>> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => (),
                Event::DocumentStart(..) if root.is_some() => {
                    let help = "a file holds one document: put each into its own file";
                    return self.stop(self.at(&span), "a second document begins here", help);
                }
                Event::DocumentStart(..) => {
                    let first = self.next()?;
                    root = Some(self.node(first)?.0);
                }
                _ => return self.stop(self.at(&span), "a document was expected", ""),
            }
        }
        let is_empty = |it: &Node| matches!(it.content, Content::Null) && it.written.is_none();
        if root.as_ref().is_none_or(is_empty) {
            let help = "a document has fields: `name: value`";
            return self.stop(0, "the file is empty", help);
        }
        ControlFlow::Continue(root)
    }

    fn next(&mut self) -> Step<NextEvent<'a>> {
        if self.found.is_full() {
            return ControlFlow::Break(());
        }
        match self.events.next() {
            Some(Ok(event)) => ControlFlow::Continue(event),
            Some(Err(error)) => {
                let at = byte_of(error.marker(), self.text);
                self.tell_blanks_before(at);
                let (what, help) = explain::explain(error.kind());
                self.stop(at, what, help)
            }
            None => self.stop(self.text.len(), "the file ends too early", ""),
        }
    }

    fn at(&self, span: &Span) -> usize {
        byte_of(&span.start, self.text)
    }

    fn stop<T>(&mut self, at: usize, what: impl Into<String>, help: impl Into<String>) -> Step<T> {
        self.tell(at, what, help);
        ControlFlow::Break(())
    }

    fn tell(&mut self, at: usize, what: impl Into<String>, help: impl Into<String>) {
        self.found.push(Flaw::error(at, what, help));
    }

    /// The value that begins with an event.
    fn node(&mut self, (event, span): NextEvent<'a>) -> Step<(Node, Weight)> {
        let at = self.at(&span);
        if self.depth > DEEPEST {
            return self.stop(at, "nested deeper than 100 levels", "");
        }
        self.depth += 1;
        let (node, weight, anchor) = match event {
            Event::Scalar(value, style, anchor, tag) => {
                let is_text = self.is_text(tag.as_deref(), &span);
                let node = self.scalar(&value, style, is_text, &span);
                let bytes = if let Content::Text(text) = &node.content { text.len() } else { 0 };
                (node, Weight { nodes: 1, bytes }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &span);
                let (items, weight) = self.items()?;
                (Node::new(at, Content::List(items)), weight, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), &span);
                let (members, weight) = self.members()?;
                (Node::new(at, Content::Object(members)), weight, anchor)
            }
            Event::Alias(id) => match self.anchors.get(id) {
                Some((node, weight)) => {
                    self.copy(at, weight)?;
                    (node, weight, 0)
                }
                None => return self.stop(at, "an alias of what it stands in", "write it out"),
            },
            Event::UnresolvedAlias(name) => {
                let what = format!("`*{name}` names nothing that stands before it");
                self.tell(
                    at,
                    what,
                    format!("put &{name} before what is meant, or quotes round it"),
                );
                (Node::new(at, Content::Null), Weight::default(), 0)
            }
            _ => return self.stop(at, "a value was expected", ""),
        };
        self.depth -= 1;
        if anchor > 0 {
            self.copy(at, weight)?;
            self.anchors.keep(anchor, node.clone(), weight);
        }
        ControlFlow::Continue((node, weight))
    }

    fn copy(&mut self, at: usize, weight: Weight) -> Step<()> {
        if !self.anchors.have_room_for(weight) {
            let what = "anchors and aliases make the document too large";
            return self.stop(at, what, "they may copy 100,000 values and 4 MiB of text");
        }
        ControlFlow::Continue(())
    }

    fn items(&mut self) -> Step<(Vec<Node>, Weight)> {
        let mut items = Vec::new();
        let mut weight = Weight { nodes: 1, bytes: 0 };
        loop {
            let event = self.next()?;
            if event.0 == Event::SequenceEnd {
                return ControlFlow::Continue((items, weight));
            }
            let (node, its_weight) = self.node(event)?;
            items.push(node);
            weight.add(its_weight);
        }
    }

    fn members(&mut self) -> Step<(Vec<Member>, Weight)> {
        let mut members: Vec<Member> = Vec::new();
        let mut names = BTreeMap::new();
        let mut merged = Vec::new();
        let mut weight = Weight { nodes: 1, bytes: 0 };
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let at = self.at(&span);
            // It tells editors how to check the file, and is no part of what the file says.
            if self.depth == 1 && matches!(&event, Event::Scalar(name, ..) if name == "$schema") {
                let expander = self.expander.take();
                let value = self.next()?;
                self.node(value)?;
                self.expander = expander;
                continue;
            }
            let is_merge =
                matches!(&event, Event::Scalar(name, ScalarStyle::Plain, ..) if name == "<<");
            let name = self.name(event, &span)?;
            let event = self.next()?;
            let (node, its_weight) = self.node(event)?;
            weight.add(its_weight);
            weight.bytes = weight.bytes.saturating_add(name.len());
            if is_merge {
                if let Err(at) = anchors::merge(node, &mut merged) {
                    self.tell(at, "`<<` takes an object, or a list of objects", "");
                }
            } else if let Some(first) = names.get(&name) {
                let (line, _) = self.lines.place(*first);
                let what = format!("`{name}` stands here for the second time");
                self.tell(at, what, format!("the first stands in line {line}: keep one of them"));
            } else {
                names.insert(name.clone(), at);
                members.push(Member { at, name, node });
            }
        }
        for member in merged {
            if !names.contains_key(&member.name) {
                names.insert(member.name.clone(), member.at);
                members.push(member);
            }
        }
        ControlFlow::Continue((members, weight))
    }

    /// The name of a field.
    fn name(&mut self, event: Event<'a>, span: &Span) -> Step<String> {
        let at = self.at(span);
        match event {
            Event::Scalar(value, style, 0, None) => {
                let written = value.into_owned();
                let meaning = match style {
                    ScalarStyle::Plain => Meaning::of(&written),
                    _ => Meaning::Text,
                };
                match meaning {
                    Meaning::Text | Meaning::Word(_) => (),
                    Meaning::Null => self.tell(at, "a field without a name", ""),
                    _ => {
                        let what = format!("the name `{written}` is not a text");
                        self.tell(at, what, format!("put it into quotes: \"{written}\""));
                    }
                }
                let name = self.traced(&written, style, span);
                ControlFlow::Continue(self.expanded(name).text)
            }
            Event::Scalar(..) | Event::Alias(_) | Event::UnresolvedAlias(_) => self.stop(
                at,
                "the name of a field with a tag, an anchor or an alias",
                "write it out",
            ),
            _ => {
                let help = "the names of fields are texts; put a text with brackets into quotes";
                self.stop(at, "the name of a field is an object or a list", help)
            }
        }
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, is_text: bool, span: &Span) -> Node {
        let at = self.at(span);
        // The parser gives a value that is left out as `~`.
        let is_left_out = style == ScalarStyle::Plain && span.is_empty();
        let value = if is_left_out { "" } else { value };
        let written = self.traced(value, style, span);
        let Traced { text, trace } = self.expanded(written);
        let mut node = Node::new(at, Content::Null);
        let meaning = match style {
            // What only became empty is a text, as it would be in JSON.
            ScalarStyle::Plain if !is_text && (!text.is_empty() || value.is_empty()) => {
                self.warn_of_blanks(value, at);
                Meaning::of(&text)
            }
            _ => Meaning::Text,
        };
        if meaning != Meaning::Text {
            node.written = (!value.is_empty()).then(|| value.to_owned());
        }
        node.content = match meaning {
            Meaning::Null => Content::Null,
            Meaning::Bool(value) => Content::Bool(value),
            Meaning::Number(number) => Content::Number(number),
            Meaning::Refused { what, help } => {
                self.tell(at, what, help);
                Content::Null
            }
            Meaning::Word(word) => {
                let what = format!("`{text}` is a text here, and {word} for other readers of YAML");
                let help = format!("put it into quotes: \"{text}\", or write {word}");
                self.found.push(Flaw::warning(at, what, help));
                Content::Text(text)
            }
            Meaning::Text => Content::Text(text),
        };
        node.trace = trace;
        node
    }

    /// The text of a scalar, with the place of its characters.
    fn traced(&self, value: &str, style: ScalarStyle, span: &Span) -> Traced {
        let raw = span.slice(self.text).unwrap_or_default();
        align::align(value, raw, self.at(span), style)
    }

    fn expanded(&mut self, text: Traced) -> Traced {
        match &mut self.expander {
            Some(expander) => expander.plain(&text, self.found),
            None => text,
        }
    }

    /// Blanks that are none for YAML hide in texts without quotes.
    fn warn_of_blanks(&mut self, value: &str, at: usize) {
        if let Some((c, what, help)) = strange_blank(value) {
            let step = self.text[at..].find(c).unwrap_or_default();
            self.found.push(Flaw::warning(at + step, what, help));
        }
    }

    /// They may also be why the line of an error, or the one before it, cannot be read.
    fn tell_blanks_before(&mut self, at: usize) {
        let start = self.text[..at].rmatch_indices('\n').nth(1).map_or(0, |(end, _)| end + 1);
        if let Some((c, what, help)) = strange_blank(&self.text[start..at]) {
            let step = self.text[start..].find(c).unwrap_or_default();
            self.tell(start + step, what, help);
        }
    }

    /// Whether the tag of a scalar says that it is a text; other tags are refused.
    fn is_text(&mut self, tag: Option<&Tag>, span: &Span) -> bool {
        let Some(tag) = tag else { return false };
        if tag.is_yaml_core_schema_tag("str") {
            return true;
        }
        self.refuse_tag(Some(tag), span);
        true
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: &Span) {
        if tag.is_some() {
            let at = span.tag_start().map_or_else(|| self.at(span), |it| byte_of(&it, self.text));
            let help = "take it away; a text with `!` at its beginning stands in quotes";
            self.tell(at, "documents have no tags", help);
        }
    }
}

/// The first character of a text that looks like a blank and is none, and what to say of it.
fn strange_blank(text: &str) -> Option<(char, String, &'static str)> {
    let name = |c| blank_name(c).map(|name| (c, name));
    let (c, name) = text.chars().find_map(name)?;
    let help = "put an ordinary blank in its place, or the text into quotes";
    Some((c, format!("{name} outside of quotes"), help))
}

/// The byte of a place.
fn byte_of(marker: &granit_parser::Marker, text: &str) -> usize {
    let byte = marker
        .byte_offset()
        .or_else(|| text.char_indices().nth(marker.index()).map(|(byte, _)| byte));
    text.floor_char_boundary(byte.unwrap_or(text.len()))
}
