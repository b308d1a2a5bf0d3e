//! What is wrong with a document: every problem at once, each with its place and what helps.

use std::fmt;

/// Whether a document with the problem can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It can; but its author probably meant something else.
    Warning,
    /// It cannot.
    Error,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        let Self { line, column, path, what, help, severity } = self;
        write!(f, "{line}:{column}: ")?;
        if *severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        f.write_str(what)?;
        if help.is_empty() { Ok(()) } else { write!(f, "\n  help: {help}") }
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
