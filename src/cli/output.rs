//! What people and scripts see: the result on stdout, all else on stderr.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _},
};

use serde::Serialize;

use crate::cli::error::CliError;

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// Speaks JSON or prose; `quiet` leaves out everything but the result.
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether the result is JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Prints the result: `value` as JSON, or else `text`.
    pub(crate) fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            let json = serde_json::to_string(value).unwrap_or_else(|error| error.to_string());
            write_line(io::stdout(), &plain_json(&json));
        } else {
            write_line(io::stdout(), &plain(text().trim_end_matches('\n')));
        }
    }

    /// Prints a list: `value` as JSON, or else its rows under headings.
    pub(crate) fn list(
        self,
        value: &impl Serialize,
        headings: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) {
        self.result(value, || table(headings, rows));
    }

    /// Prints a document: on one line as JSON, or indented for people.
    pub(crate) fn document(self, document: &impl Serialize) {
        self.result(document, || {
            plain_json(&serde_json::to_string_pretty(document).unwrap_or_default()).into_owned()
        });
    }

    /// Prints a line of a result that is told as it happens; JSON tells it whole at the end.
    pub(crate) fn line(self, text: &str) {
        if !self.json {
            write_line(io::stdout(), &plain(text));
        }
    }

    /// Tells a person what is going on.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        if !self.quiet {
            write_line(io::stderr(), &plain(text.as_ref()));
        }
    }

    /// Tells a person what to do next.
    pub(crate) fn next(self, command: impl std::fmt::Display) {
        self.note(format!("next: {command}"));
    }

    /// One step of a longer command: a short word and what it did.
    pub(crate) fn step(self, word: &str, text: impl AsRef<str>) {
        self.note(format!("{word:<10}{}", text.as_ref()));
    }

    /// Prints an error, in the form of the results.
    pub(crate) fn error(self, error: &CliError) {
        if self.json {
            if error.is_told_as_json() {
                return;
            }
            let json = serde_json::to_string(&error.to_json()).unwrap_or_default();
            write_line(io::stdout(), &plain_json(&json));
        } else {
            write_line(io::stderr(), &plain(&error.to_string()));
        }
    }
}

/// Whether a terminal would obey a character instead of showing it: control codes, and those that
/// change the direction of writing.
fn is_command(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Shows what a terminal would obey; whoever named a thing in the exchange does not command the
/// terminals of its readers.
fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_command(c) && c != '\n', |c| c.escape_unicode().collect())
}

/// The same on one line, such as a cell of a table.
pub(super) fn plain_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_command, |c| c.escape_debug().collect())
}

/// The same for JSON, which has escaped the lower control codes already.
fn plain_json(json: &str) -> Cow<'_, str> {
    escaped(json, |c| is_command(c) && c != '\n', |c| format!("\\u{:04x}", u32::from(c)))
}

fn escaped(
    text: &str,
    escape: impl Fn(char) -> bool,
    how: impl Fn(char) -> String,
) -> Cow<'_, str> {
    if !text.contains(&escape) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if escape(c) {
            escaped.push_str(&how(c));
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Writes a line. A reader that went away, as in `… | head`, is no error.
fn write_line(mut to: impl io::Write, line: &str) {
    let _ = writeln!(to, "{line}");
}

/// Whether log lines may be coloured: a terminal, and no wish for the contrary.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Rows under headings, as wide as they need to be.
pub(crate) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(headings.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| plain_line(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_commands_a_terminal_by_what_things_are_called() {
        assert_eq!(plain("two\nlines \u{1b}[2J\u{9b}2J"), "two\nlines \\u{1b}[2J\\u{9b}2J");
        assert_eq!(plain_line("a\nb\u{202e}c"), "a\\nb\\u{202e}c");
        let json = serde_json::to_string("\u{1b}\u{9b}\u{202e}").unwrap();
        assert_eq!(plain_json(&json), r#""\u001b\u009b\u202e""#);
        let read: String = serde_json::from_str(&plain_json(&json)).unwrap();
        assert_eq!(read, "\u{1b}\u{9b}\u{202e}");
        assert_eq!(table(&["NAME"], [vec!["a\nb".to_owned()]]), "NAME\na\\nb\n");
    }
}
