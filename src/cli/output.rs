//! What people and scripts see: the result on stdout, all else on stderr.

use std::{
    borrow::Cow,
    io::{self, IsTerminal as _},
    sync::OnceLock,
};

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{
    cli::{code, error::CliError, progress::beside_lines},
    types::foreign_text::is_terminal_command as is_command,
};

/// How a command speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// The form of the result.
    pub(crate) form: Form,
    /// Whether anything but the result is told.
    pub(crate) notes: Notes,
    /// Whether differences are coloured.
    pub(crate) colour: Colour,
}

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people
    Text,
    /// JSON, indented
    Json,
    /// YAML
    Yaml,
    /// JSON on one line, errors too: what `--json` asks for.
    #[value(skip)]
    JsonLine,
}

/// What is told beside the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notes {
    /// What is going on, and what to do next.
    Told,
    /// Nothing.
    Quiet,
}

/// Whether a terminal is told to colour lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Lines as they are.
    Plain,
    /// Lines with the codes of a terminal.
    Ansi,
}

/// In which form a command's result is printed.
#[derive(Debug, Args)]
pub(crate) struct FormatArgs {
    /// The form of the result; --json gives JSON on one line
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "json")]
    format: Option<Form>,
}

impl FormatArgs {
    /// Speaks as is asked for.
    pub(crate) fn of(&self, output: Output) -> Output {
        Output { form: self.format.unwrap_or(output.form), ..output }
    }
}

impl Output {
    /// Whether result and errors are JSON objects.
    pub(crate) fn is_json(self) -> bool {
        self.form == Form::JsonLine
    }

    /// Prints the result: `value` in a form for machines, or else `text`.
    pub(crate) fn result(self, value: &impl Serialize, text: impl FnOnce() -> String) {
        let text = self.for_machines(value).unwrap_or_else(|| plain(&text()).into_owned());
        if !text.is_empty() {
            write_result(text.trim_end_matches('\n'));
        }
    }

    /// The value in a form for machines, if one is asked for.
    fn for_machines(self, value: &impl Serialize) -> Option<String> {
        match self.form {
            Form::Text => None,
            Form::Json => Some(pretty(value)),
            Form::Yaml => Some(yaml(value)),
            Form::JsonLine => {
                let json = serde_json::to_string(value).unwrap_or_else(|error| error.to_string());
                Some(plain_json(&json).into_owned())
            }
        }
    }

    /// Prints bytes that are the result, as they are.
    pub(crate) fn raw(bytes: &[u8]) {
        use io::Write as _;
        let mut stdout = io::stdout();
        note_failure(stdout.write_all(bytes).and_then(|()| stdout.flush()));
    }

    /// Prints a difference: `value` in a form for machines, or else the lines of a unified diff.
    pub(crate) fn difference(self, value: &impl Serialize, unified: impl FnOnce() -> String) {
        self.result(value, String::new);
        if self.form != Form::Text {
            return;
        }
        for line in unified().lines() {
            let line = plain(line);
            let code = match (self.colour, line.as_bytes().first()) {
                (Colour::Ansi, Some(b'-')) => "\u{1b}[31m",
                (Colour::Ansi, Some(b'+')) => "\u{1b}[32m",
                (Colour::Ansi, Some(b'@')) => "\u{1b}[36m",
                _ => "",
            };
            let end = if code.is_empty() { "" } else { "\u{1b}[0m" };
            write_result(&format!("{code}{line}{end}"));
        }
    }

    /// Prints a list: `value` in a form for machines, or else its rows under headings, of which the
    /// first is the word for what is listed. That there is nothing is a note.
    pub(crate) fn list(
        self,
        value: &impl Serialize,
        headings: &[&str],
        rows: impl IntoIterator<Item = Vec<String>>,
    ) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_none() {
            let word = headings.first().map(|it| it.to_lowercase()).unwrap_or_default();
            self.note(format!("there is no {word}"));
            self.result(value, String::new);
            return;
        }
        self.result(value, || table(headings, rows));
    }

    /// Prints a document that has no form of its own for people.
    pub(crate) fn document(self, document: &impl Serialize) {
        self.result(document, || pretty(document));
    }

    /// Prints a line of a result that is told as it happens; JSON tells it whole at the end.
    pub(crate) fn line(self, text: &str) {
        if self.form == Form::Text {
            write_result(&plain(text));
        }
    }

    /// Tells a person what is going on.
    pub(crate) fn note(self, text: impl AsRef<str>) {
        if self.notes == Notes::Told {
            write_line(beside_lines(), &plain(text.as_ref()));
        }
    }

    /// Tells a person what to do next.
    pub(crate) fn next(self, command: impl std::fmt::Display) {
        self.note(format!("next: {command}"));
    }

    /// Tells a program what is going on: one JSON object a line.
    pub(crate) fn event(self, event: &impl Serialize) {
        if self.notes == Notes::Told
            && let Ok(json) = serde_json::to_string(event)
        {
            write_line(io::stderr(), &plain_json(&json));
        }
    }

    /// One step of a longer command: a short word and what it did.
    pub(crate) fn step(self, word: &str, text: impl AsRef<str>) {
        self.note(format!("{word:<10}{}", text.as_ref()));
    }

    /// Prints an error, in the form of the results.
    pub(crate) fn error(self, error: &CliError) {
        if self.is_json() {
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

/// Why a part of the result could not be written, as far as one could not: the command has failed then,
/// whatever it did before.
static RESULT_FAILURE: OnceLock<io::ErrorKind> = OnceLock::new();

/// Why the result could not be written, if it could not: the disk is full, or its reader went away.
pub(crate) fn result_failure() -> Option<CliError> {
    let kind = *RESULT_FAILURE.get()?;
    Some(
        CliError::new(code::FILES, "failed to write the result to stdout")
            .why(kind.to_string())
            .help("what the command did is done; make room, or read its output to the end, and ask again"),
    )
}

fn note_failure(written: io::Result<()>) {
    if let Err(error) = written {
        let _ = RESULT_FAILURE.set(error.kind());
    }
}

/// Writes a line of the result.
fn write_result(line: &str) {
    use io::Write as _;
    let mut stdout = io::stdout();
    note_failure(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
}

/// Writes a line beside the result. That nobody reads it is no error.
fn write_line(mut to: impl io::Write, line: &str) {
    let _ = writeln!(to, "{line}");
}

/// Whether log lines may be coloured: a terminal, and no wish for the contrary.
pub(crate) fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Whether results may be coloured, unless the contrary is wished.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// JSON, indented.
fn pretty(value: &impl Serialize) -> String {
    let json = serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string());
    plain_json(&json).into_owned()
}

/// YAML. What a terminal would obey is escaped as in JSON, which is YAML too.
fn yaml(value: &impl Serialize) -> String {
    match serde_saphyr::to_string(value) {
        Ok(yaml) if !yaml.contains(|c| is_command(c) && c != '\n') => yaml,
        _ => pretty(value),
    }
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

    #[test]
    fn yaml_says_what_json_says() {
        let value = serde_json::json!({
            "label": "yes", "version": "1.0", "arch": "*", "empty": "", "null": null, "text": "null",
            "lines": "one\n  two: [x\n\n", "list": [], "map": {}, "deep": [{"a": [[1, -2.5], true]}],
            "number": "0x1F", "colon": "a: b # c", "long": "x y ".repeat(100), "date": "2026-11-21",
            "evil": "\u{202e}\u{1b}[2J", "tilde": "~", "sign": "- a", "quote": "'\"\\",
        });
        let read: serde_json::Value = serde_saphyr::from_str(&yaml(&value)).unwrap();
        assert_eq!(read, value);
        let mut tame = value.clone();
        tame.as_object_mut().unwrap().remove("evil");
        let text = yaml(&tame);
        assert!(text.starts_with("label: "), "{text}");
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&text).unwrap(), tame);
    }
}
