//! Where a byte of a file stands for people.

use super::Flaw;
use crate::document::problem::Problem;

/// The text of a file, with the place of its lines.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    text: String,
    /// The first byte of each line.
    starts: Vec<usize>,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1);
        Self { text: text.to_owned(), starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// The line and the character of a byte, both counted from 1.
    pub(super) fn place(&self, at: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count());
        (line, column + 1)
    }

    /// The text from a byte on.
    pub(super) fn from(&self, at: usize) -> &str {
        self.text.get(at..).unwrap_or_default()
    }

    /// A line, counted from 1, without its end.
    pub(super) fn line(&self, line: usize) -> Option<&str> {
        let start = *self.starts.get(line.checked_sub(1)?)?;
        self.text[start..].lines().next()
    }

    pub(super) fn problem(&self, flaw: &Flaw) -> Problem {
        let (line, column) = self.place(flaw.at);
        Problem {
            severity: flaw.severity,
            line,
            column,
            path: String::new(),
            what: flaw.what.clone(),
            help: flaw.help.clone(),
        }
    }
}
