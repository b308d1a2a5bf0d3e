//! Documents with where they come from, so that a clause of one can be found again.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use crate::{
    cli::{Context, error::CliError, project::read_definition},
    document::{
        Problem, Problems,
        matching::{Origin, Role},
        source::Source,
    },
};

/// A document, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct Paper<T> {
    pub(super) content: T,
    pub(super) written: Written,
}

/// Where a document comes from.
#[derive(Debug, Clone)]
pub(super) enum Written {
    /// A file of this machine.
    File(Arc<Source>),
    /// The exchange, by the document's name there.
    Exchange(String),
}

/// The documents of a verdict, by what they are for it.
pub(super) type Papers = BTreeMap<Role, Written>;

/// A place in a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The file, or the document's name in the exchange.
    pub(super) document: String,
    /// Line and column of a file, both counted from 1.
    pub(super) at: Option<(usize, usize)>,
    /// The value, such as `constraints[0]`; empty is the whole.
    path: String,
}

impl<T> Paper<T> {
    /// Reads a document from its file. Warnings go to stderr; problems are one error.
    pub(super) fn read(
        file: &Path,
        context: &Context,
        read: impl FnOnce(&Source) -> Result<(T, Vec<Problem>), Problems>,
    ) -> Result<Self, CliError> {
        read_definition(file, context, |source| {
            let (said, warnings) = read(source)?;
            let written = Written::File(Arc::new(source.clone()));
            Ok((Self { content: said, written }, warnings))
        })
    }

    /// A document that the exchange calls `name`.
    pub(super) fn live(name: impl Into<String>, content: T) -> Self {
        Self { content, written: Written::Exchange(name.into()) }
    }
}

impl Written {
    /// What people call the document.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::File(source) => source.name(),
            Self::Exchange(name) => name,
        }
    }

    fn place(&self, origin: &Origin) -> Place {
        let at = match self {
            Self::File(source) => source.place_of(&origin.path, origin.offset),
            Self::Exchange(_) => None,
        };
        Place { document: self.name().to_owned(), at, path: origin.path.clone() }
    }
}

/// Where a clause is asked, if its document is known.
pub(super) fn place(papers: &Papers, origin: Option<&Origin>) -> Option<Place> {
    let origin = origin?;
    Some(papers.get(&origin.document)?.place(origin))
}

/// `policy.json:14:20`, or `policy acme/lyon, constraints[0]`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.document)?;
        match (self.at, self.path.as_str()) {
            (Some((line, column)), _) => write!(f, ":{line}:{column}"),
            (None, "") => Ok(()),
            (None, path) => write!(f, ", {path}"),
        }
    }
}
