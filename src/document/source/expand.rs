//! Puts variables in, and remembers where everything came from.

use std::collections::BTreeSet;

use super::{Flaw, Variables, strip::string_length};

/// A text with its variables in place.
pub(super) struct Expanded {
    pub(super) text: String,
    /// The pieces it is made of, in order.
    pieces: Vec<Piece>,
}

struct Piece {
    /// Where the piece begins here.
    start: usize,
    /// Where it comes from in the author's file.
    origin: usize,
    /// Whether it is a copy; if not, it is the value of the variable at its origin.
    copied: bool,
}

impl Expanded {
    /// Where in the author's file a byte comes from.
    pub(super) fn origin(&self, at: usize) -> usize {
        let index = self.pieces.partition_point(|piece| piece.start <= at);
        match index.checked_sub(1).and_then(|index| self.pieces.get(index)) {
            Some(piece) if piece.copied => piece.origin + (at - piece.start),
            Some(piece) => piece.origin,
            None => at,
        }
    }

    fn push(&mut self, text: &str, origin: usize, copied: bool) {
        self.pieces.push(Piece { start: self.text.len(), origin, copied });
        self.text.push_str(text);
    }
}

/// Puts the values of variables in the place of `$NAME` and `${NAME}`.
pub(super) fn expand(text: &str, variables: Option<&Variables>, found: &mut Vec<Flaw>) -> Expanded {
    let mut expanded = Expanded { text: String::with_capacity(text.len()), pieces: Vec::new() };
    let Some(variables) = variables else {
        expanded.push(text, 0, true);
        return expanded;
    };
    let mut told = BTreeSet::new();
    // Where the string ends that the place is in, if it is in one.
    let mut string_end = 0;
    let mut copied = 0;
    let mut at = 0;
    while let Some(step) = text[at..].find(['"', '$']) {
        at += step;
        if text[at..].starts_with('"') {
            if at >= string_end {
                string_end = at + string_length(&text[at..]);
            }
            at += 1;
            continue;
        }
        let Some((name, length)) = variable(&text[at..]) else {
            at += 1;
            continue;
        };
        expanded.push(&text[copied..at], copied, true);
        let value = variables.get(name).unwrap_or_else(|| {
            if told.insert(name) {
                let what = format!("the variable {name} is not defined, and so is empty");
                let help = format!("define {name} in hzn.json or in the environment");
                found.push(Flaw::warning(at, what, help));
            }
            ""
        });
        if at < string_end {
            expanded.push(&escaped(value), at, false);
        } else {
            expanded.push(value, at, false);
        }
        at += length;
        copied = at;
    }
    expanded.push(&text[copied..], copied, true);
    expanded
}

/// The name of the variable that `text` begins with, and the bytes it takes.
fn variable(text: &str) -> Option<(&str, usize)> {
    let rest = text.strip_prefix('$')?;
    let (rest, braces) = match rest.strip_prefix('{') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let name = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    match braces {
        true if rest[name.len()..].starts_with('}') => Some((name, name.len() + 3)),
        true => None,
        false => Some((name, name.len() + 1)),
    }
}

/// A value as it stands inside of a JSON text.
fn escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
