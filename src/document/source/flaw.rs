//! What is wrong with a file, at its bytes.

use crate::document::problem::Severity;

/// So many errors are told of one file, and so many warnings: nobody reads more.
const MOST: usize = 100;

/// Something wrong at a byte of the author's file.
pub(super) struct Flaw {
    pub(super) at: usize,
    pub(super) severity: Severity,
    pub(super) what: String,
    pub(super) help: String,
}

impl Flaw {
    pub(super) fn error(at: usize, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, severity: Severity::Error, what: what.into(), help: help.into() }
    }

    pub(super) fn warning(at: usize, what: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, severity: Severity::Warning, what: what.into(), help: help.into() }
    }
}

/// The flaws of a file, in the order in which they were found.
#[derive(Default)]
pub(super) struct Flaws {
    told: Vec<Flaw>,
    errors: usize,
    warnings: usize,
}

impl Flaws {
    /// Tells a flaw, or that there are more than are told.
    pub(super) fn push(&mut self, flaw: Flaw) {
        let count = match flaw.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= MOST {
            self.told.push(flaw);
        } else if *count == MOST + 1 {
            let Flaw { at, severity, .. } = flaw;
            let what = format!("more than {MOST} like the ones before: they are not told");
            self.told.push(Flaw { at, severity, what, help: String::new() });
        }
    }

    /// Whether there are more errors than are told, so that there is no use in going on.
    pub(super) fn is_full(&self) -> bool {
        self.errors > MOST
    }

    /// Whether the file can be used.
    pub(super) fn is_usable(&self) -> bool {
        self.errors == 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Flaw> {
        self.told.iter()
    }
}
