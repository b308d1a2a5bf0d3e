//! What is wrong with a document: every problem at once, each with its place and what helps.

use std::fmt;

use serde::Serialize;

/// Whether a document with the problem can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It can; but its author probably meant something else.
    Warning,
    /// It cannot.
    Error,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the document can be used all the same.
    pub severity: Severity,
    /// The line in the file as its author wrote it, counted from 1.
    pub line: usize,
    /// The character in that line, counted from 1.
    pub column: usize,
    /// Where in the document, such as `deployment.services.web.image`; empty for the whole.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it; may be empty.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head())?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "\n  help: {}", self.help) }
    }
}

/// How much of a long line is shown before the place, and behind it.
const SHOWN: usize = 60;

impl Problem {
    /// The problem as people see it: `line` of `file`, the place marked under it, and what helps.
    pub fn shown(&self, file: &str, line: &str) -> String {
        let before = self.column.saturating_sub(1);
        let skipped = before.saturating_sub(SHOWN);
        // Whatever would move what follows stands as one blank.
        let cell = |c: char| if c.is_whitespace() || c.is_control() { ' ' } else { c };
        let mut rest = line.chars().map(cell).skip(skipped);
        let mut excerpt = String::from(if skipped > 0 { "…" } else { "" });
        excerpt.extend(rest.by_ref().take(before - skipped + SHOWN));
        if rest.next().is_some() {
            excerpt.push('…');
        }
        let step = before - skipped + usize::from(skipped > 0);
        let (number, excerpt) = (self.line, excerpt.trim_end());
        let blank = if excerpt.is_empty() { "" } else { " " };
        let margin = " ".repeat(number.to_string().len());
        let head = format!("{file}:{}", self.head());
        let mut shown =
            format!("{head}\n {number} |{blank}{excerpt}\n {margin} | {}^", " ".repeat(step));
        if !self.help.is_empty() {
            shown.push_str("\n  help: ");
            shown.push_str(&self.help);
        }
        shown
    }

    /// Where it is, and what is wrong.
    fn head(&self) -> String {
        let Self { line, column, path, what, severity, .. } = self;
        let warning = if *severity == Severity::Warning { "warning: " } else { "" };
        let colon = if path.is_empty() { "" } else { ": " };
        format!("{line}:{column}: {warning}{path}{colon}{what}")
    }
}

/// All that is wrong with one document, errors and warnings, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The name of the file, as problems are reported with it.
    pub file: String,
    /// At least one of them is an error.
    pub all: Vec<Problem>,
}

impl Problems {
    /// The problems that keep the document from being used.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.all.iter().filter(|it| it.severity == Severity::Error)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.all.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{}:{problem}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_under_its_line() {
        let mut problem = Problem {
            severity: Severity::Error,
            line: 12,
            column: 5,
            path: "a".to_owned(),
            what: "wrong".to_owned(),
            help: "right".to_owned(),
        };
        let expected = "f:12:5: a: wrong\n 12 |   é x\n    |     ^\n  help: right";
        assert_eq!(problem.shown("f", "\t\u{a0}é\u{1b}x"), expected);
        problem.column = 1000;
        problem.help.clear();
        let shown = problem.shown("f", &"x".repeat(2000));
        let xs = "x".repeat(119);
        assert_eq!(shown, format!("f:12:1000: a: wrong\n 12 | …{xs}x…\n    | {}^", " ".repeat(61)));
        problem.column = 9;
        assert!(problem.shown("f", "").ends_with("\n 12 |\n    |         ^"));
    }
}
