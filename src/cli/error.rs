//! An error as people see it: what, where, why, and what to do next.

use std::{error::Error, fmt};

use serde_json::{Value, json};

use crate::{
    cli::{
        code::{self, Code},
        output::plain_line,
    },
    types::json_problem::describe_cause,
};

/// An error on its way to the person who typed the command.
#[derive(Debug)]
pub(crate) struct CliError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: Code,
    what: String,
    place: Option<String>,
    why: Vec<String>,
    help: Option<String>,
    details: Vec<Detail>,
    told_as_json: bool,
}

/// A line that belongs to an error, and how people see it where that is more than the line.
#[derive(Debug)]
struct Detail {
    text: String,
    shown: Option<String>,
    /// For machines, where it is a problem of a file.
    problem: Option<Value>,
}

impl CliError {
    /// An error of this code; `what` is a lower-case fragment that names the object.
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            what: short(what.into()),
            place: None,
            why: Vec::new(),
            help: None,
            details: Vec::new(),
            told_as_json: false,
        }))
    }

    /// Says where: a file with line and column, or a URL.
    #[must_use]
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place = Some(place.to_string());
        self
    }

    /// Says where, if that is known.
    #[must_use]
    pub(crate) fn at_known(self, place: Option<impl fmt::Display>) -> Self {
        match place {
            Some(place) => self.at(place),
            None => self,
        }
    }

    /// Says why, by an error and all its causes.
    #[must_use]
    pub(crate) fn because(mut self, error: &(dyn Error + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let text = describe_cause(error);
            // Many errors of libraries repeat their cause in their own text.
            if text != self.0.what && self.0.why.last() != Some(&text) {
                self.0.why.push(short(text));
            }
            cause = error.source();
        }
        self
    }

    /// Says why, in words of our own.
    #[must_use]
    pub(crate) fn why(mut self, why: impl Into<String>) -> Self {
        self.0.why.push(short(why.into()));
        self
    }

    /// Says what to do next.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Adds lines that belong to the error one by one, such as the problems of a file.
    #[must_use]
    pub(crate) fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        let detail = |text| Detail { text: short(text), shown: None, problem: None };
        self.0.details.extend(details.into_iter().map(detail));
        self
    }

    /// Adds a problem of a file: a line, what people see in its place, and what machines do.
    #[must_use]
    pub(crate) fn problem(mut self, text: String, shown: String, problem: Value) -> Self {
        let (text, shown) = (short(text), Some(short(shown)));
        self.0.details.push(Detail { text, shown, problem: Some(problem) });
        self
    }

    /// Leaves out the JSON form, where the command has told the failure as its own object already.
    #[must_use]
    pub(crate) fn told_as_json(mut self) -> Self {
        self.0.told_as_json = true;
        self
    }

    /// Whether the command has told the failure as its own object already.
    pub(crate) fn is_told_as_json(&self) -> bool {
        self.0.told_as_json
    }

    /// What went wrong.
    pub(crate) fn what(&self) -> &str {
        &self.0.what
    }

    /// Its stable code.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// Its machine-readable form.
    pub(crate) fn to_json(&self) -> Value {
        let problems: Vec<_> = self.0.details.iter().filter_map(|it| it.problem.as_ref()).collect();
        json!({
            "ok": false,
            "error": {
                "code": self.0.code.id,
                "exit": self.0.code.exit as u8,
                "what": self.0.what,
                "where": self.0.place,
                "why": self.0.why,
                "try": self.0.help,
                "details": self.0.details.iter().map(|it| &it.text).collect::<Vec<_>>(),
                "problems": problems,
            }
        })
    }
}

/// The text, or its beginning: it may quote a value of any length.
fn short(mut text: String) -> String {
    const LONGEST: usize = 2000;
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What others have named cannot begin a line that looks like ours.
        write!(f, "error[{}]: {}", self.0.code.id, plain_line(&self.0.what))?;
        for detail in &self.0.details {
            let text = detail.shown.as_ref().unwrap_or(&detail.text);
            write!(f, "\n  {}", text.replace('\n', "\n  "))?;
        }
        if let Some(place) = &self.0.place {
            write!(f, "\n  where  {}", plain_line(place))?;
        }
        if !self.0.why.is_empty() {
            write!(f, "\n  why    {}", self.0.why.join(": ").replace('\n', "\n         "))?;
        }
        if let Some(help) = &self.0.help {
            write!(f, "\n  try    {help}")?;
        }
        Ok(())
    }
}

/// What was named is not in the exchange; `noun` is the command that lists what is.
pub(crate) fn missing(noun: &str, name: &impl fmt::Display) -> CliError {
    CliError::new(code::NOT_FOUND, format!("there is no {noun} {name}"))
        .help(format!("`edgepost {noun} list` shows what there is"))
}

/// Trouble with a file of this machine.
pub(crate) fn file_error(path: &std::path::Path, error: &std::io::Error) -> CliError {
    let (what, help) = match error.kind() {
        std::io::ErrorKind::NotFound => ("does not exist", "check the path"),
        std::io::ErrorKind::PermissionDenied => ("may not be read or written", "check its mode"),
        std::io::ErrorKind::FileTooLarge => ("is too long", "is it the right file?"),
        std::io::ErrorKind::InvalidData => ("is not text", "it must be UTF-8"),
        std::io::ErrorKind::InvalidInput => ("cannot be read", "give a plain file"),
        _ => ("cannot be read or written", "check the disk and the path"),
    };
    CliError::new(code::FILES, format!("`{}` {what}", path.display())).because(error).help(help)
}
