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

/// A variable that is not defined, where it is asked for.
#[derive(Debug, Clone)]
pub(super) struct Undefined {
    pub(super) at: usize,
    pub(super) name: String,
    /// Whether it stands outside of a text.
    pub(super) is_bare: bool,
}

impl Undefined {
    /// The warning that is told of it, once.
    pub(super) fn warning(&self) -> Flaw {
        let what = format!("the variable {} is not defined, and so is empty", self.name);
        Flaw::warning(self.at, what, self.help())
    }

    /// What to do about it.
    pub(super) fn help(&self) -> String {
        format!("define {} in hzn.json or in the environment", self.name)
    }
}

/// The flaws of a file, in the order in which they were found.
#[derive(Default)]
pub(super) struct Flaws {
    /// The first places at which undefined variables are asked for.
    pub(super) undefined: Vec<Undefined>,
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

    /// Tells of an undefined variable: at its first place as a warning.
    pub(super) fn undefined(&mut self, undefined: Undefined) {
        let is_known = self.undefined.iter().any(|it| it.name == undefined.name);
        if !is_known {
            self.push(undefined.warning());
        }
        if self.undefined.len() < MOST {
            self.undefined.push(undefined);
        }
    }

    /// Tells an error in the place of the errors that an undefined variable has led to, and of its warning.
    pub(super) fn put_in_place_of(&mut self, cause: &Undefined, flaw: Flaw) {
        let warning = cause.warning().what;
        self.told.retain(|it| it.severity == Severity::Warning && it.what != warning);
        self.errors = 0;
        self.push(flaw);
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
