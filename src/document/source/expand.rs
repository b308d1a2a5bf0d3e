//! Puts variables in, and remembers where everything came from.

use std::collections::BTreeSet;

use super::{Flaw, Flaws, Variables, flaw::Undefined, strip::string_length, trace::Traced};

/// All values that are put in, together, may have so many bytes.
const LONGEST_VALUES: usize = 4 << 20;

/// Puts the values of variables in the place of `$NAME` and `${NAME}`.
pub(super) struct Expander<'a> {
    variables: &'a Variables,
    /// Those that were told of, since they are named like secrets.
    told: BTreeSet<String>,
    /// How many bytes the values may still have; `None` once they were too many.
    room: Option<usize>,
}

impl<'a> Expander<'a> {
    pub(super) fn new(variables: &'a Variables) -> Self {
        Self { variables, told: BTreeSet::new(), room: Some(LONGEST_VALUES) }
    }

    /// Expands a JSON document. Inside of its strings a value stands for itself, whatever quotes and
    /// backslashes it has; the `$schema` of the document is no variable.
    pub(super) fn json(&mut self, text: &Traced, found: &mut Flaws) -> Traced {
        let mut work = Work::on(text);
        let (mut at, mut depth) = (0, 0_usize);
        while let Some(step) = text.text[at..].find(['"', '$', '{', '[', '}', ']']) {
            at += step;
            let rest = &text.text[at..];
            at += match rest.as_bytes().first() {
                Some(b'"') => {
                    let schema = schema_length(rest).filter(|_| depth == 1);
                    schema.unwrap_or_else(|| {
                        let length = string_length(rest);
                        self.variables_in(&mut work, at, at + length, Where::InText, found);
                        length
                    })
                }
                Some(b'$') => {
                    let length = variable(rest).map_or(1, |(_, length)| length);
                    self.variables_in(&mut work, at, at + length, Where::Bare, found);
                    length
                }
                Some(b'{' | b'[') => {
                    depth += 1;
                    1
                }
                _ => {
                    depth = depth.saturating_sub(1);
                    1
                }
            };
        }
        work.finish()
    }

    /// Expands a text that stands for itself.
    pub(super) fn plain(&mut self, text: &Traced, found: &mut Flaws) -> Traced {
        let mut work = Work::on(text);
        self.variables_in(&mut work, 0, text.text.len(), Where::Plain, found);
        work.finish()
    }

    /// Expands what stands from `at` to `end`.
    fn variables_in(
        &mut self,
        work: &mut Work<'_>,
        mut at: usize,
        end: usize,
        place: Where,
        found: &mut Flaws,
    ) {
        while let Some(step) = work.text.text[at..end].find('$') {
            at += step;
            let Some((name, length)) = variable(&work.text.text[at..end]) else {
                if let Some(cut) = cut_by_hzn(&work.text.text[at..end]) {
                    let what = format!("hzn takes `{cut}` for a variable, and cuts it");
                    let help = "give a variable this text as its value, and name that here";
                    found.push(Flaw::warning(work.text.origin(at), what, help));
                }
                at += 1;
                continue;
            };
            let origin = work.text.origin(at);
            let value = self.value(name, origin, place, found);
            let value = if place == Where::InText { escaped(value) } else { value.to_owned() };
            let Some(room) = self.room else { return };
            self.room = room.checked_sub(value.len());
            if self.room.is_none() {
                let help = "they may have 4 MiB";
                found.push(Flaw::error(origin, "the values of the variables are too long", help));
                return;
            }
            work.replace(at, length, &value);
            at += length;
        }
    }

    fn value(&mut self, name: &str, origin: usize, place: Where, found: &mut Flaws) -> &'a str {
        let value = self.variables.get(name);
        if value.is_some() && is_named_like_a_secret(name) && self.told.insert(name.to_owned()) {
            let what =
                format!("the value of {name} goes into the document, where others can see it");
            let help = "a secret does not belong there; give another name to what is none";
            found.push(Flaw::warning(origin, what, help));
        }
        value.unwrap_or_else(|| {
            let (name, is_bare) = (name.to_owned(), place == Where::Bare);
            found.undefined(Undefined { at: origin, name, is_bare });
            ""
        })
    }
}

/// Whether people name secrets so: a document of somebody else may ask for any variable of the
/// environment.
fn is_named_like_a_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let words = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];
    name.ends_with("_KEY") || words.iter().any(|word| name.contains(word))
}

/// Where a variable stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Between the quotes of JSON.
    InText,
    /// In JSON, outside of quotes.
    Bare,
    /// In a text that stands for itself.
    Plain,
}

/// A text that is being expanded.
struct Work<'t> {
    text: &'t Traced,
    expanded: Traced,
    /// Up to where the text has been taken over.
    done: usize,
}

impl<'t> Work<'t> {
    fn on(text: &'t Traced) -> Self {
        Self { text, expanded: Traced::default(), done: 0 }
    }

    fn replace(&mut self, at: usize, length: usize, value: &str) {
        self.expanded.push_part(self.text, self.done, at);
        self.expanded.push_other(value, self.text.origin(at));
        self.done = at + length;
    }

    fn finish(mut self) -> Traced {
        self.expanded.push_part(self.text, self.done, self.text.text.len());
        self.expanded
    }
}

/// The bytes of the member `$schema`, without its value unless that is a string, if `text` begins
/// with it.
fn schema_length(text: &str) -> Option<usize> {
    const NAME: &str = "\"$schema\"";
    let rest = text.strip_prefix(NAME)?.trim_start();
    let value = rest.strip_prefix(':')?.trim_start();
    let string = if value.starts_with('"') { string_length(value) } else { 0 };
    Some(text.len() - value.len() + string)
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

/// What `hzn` takes for a variable at the start of `text`, and we do not: one of the shell's own, such
/// as `$5`, or a `${` that leads nowhere.
fn cut_by_hzn(text: &str) -> Option<&str> {
    let next = text.chars().nth(1)?;
    let is_special = next.is_ascii_digit() || "*#$@!?-{".contains(next);
    is_special.then(|| &text[..2])
}

/// A value as it stands inside of a JSON text.
fn escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}
