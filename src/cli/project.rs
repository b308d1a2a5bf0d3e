//! A project's files: the document that is asked for, and what defines its variables.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
        files::read_at_most,
    },
    document::{Problem, Problems, Severity, source::Source},
};

/// The largest definition taken: the exchange takes no larger one.
const LARGEST_DEFINITION: u64 = 1024 * 1024;

/// How many problems are shown of one file.
const SHOWN: usize = 100;

/// Reads a definition with the variables of its project; `-` is what the program is given on stdin.
/// Warnings go to stderr; problems are one error.
pub(super) fn read_definition<T>(
    file: &Path,
    context: &Context,
    read: impl FnOnce(&Source) -> Result<(T, Vec<Problem>), Problems>,
) -> Result<T, CliError> {
    read_with_places(file, context, read).map(|(document, _)| document)
}

/// The same, with the source, which knows the place of everything in the document.
pub(super) fn read_with_places<T>(
    file: &Path,
    context: &Context,
    read: impl FnOnce(&Source) -> Result<(T, Vec<Problem>), Problems>,
) -> Result<(T, Source), CliError> {
    let environment = &context.environment;
    let (name, text) = read_text(file)?;
    let source = if environment.get("HZN_DONT_SUBST_ENV_VARS") == Some("1") {
        Source::read_as_it_is(&name, &text)
    } else {
        let folder = if is_stdin(file) { None } else { file.parent() };
        let org = context.connection.known(environment)?.org;
        let variables = environment.variables(folder.unwrap_or(Path::new("")), org.as_ref())?;
        Source::read(&name, &text, &variables)
    };
    let source = source.map_err(|it| problems(&it, &text))?;
    let (document, warnings) = read(&source).map_err(|it| problems(&it, &text))?;
    for warning in &warnings {
        let line = source.line(warning.line).unwrap_or_default();
        context.output.note(warning.shown(&name, line));
    }
    Ok((document, source))
}

/// The file of a project that is meant where none is named: the setting's, or the first of `names` in
/// the current folder or above.
pub(super) fn find_in_project(
    context: &Context,
    set: Option<PathBuf>,
    names: &[&str],
    command: &str,
) -> Result<PathBuf, CliError> {
    if let Some(file) = set {
        return Ok(file);
    }
    let start = context.environment.current_folder();
    let candidates = start.ancestors().flat_map(|it| names.iter().map(|name| it.join(name)));
    let mut candidates = candidates.filter(|file| file.is_file());
    let file = candidates.next().ok_or_else(|| {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let wanted = start.join(names.first().copied().unwrap_or_default());
        file_error(&wanted, &missing).help(format!("name the file: {command} FILE"))
    })?;
    Ok(file.strip_prefix(start).map(Path::to_owned).unwrap_or(file))
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

/// The name and the text of a definition. What keeps it from being one has the code of definitions.
fn read_text(file: &Path) -> Result<(String, String), CliError> {
    let (name, bytes) = if is_stdin(file) {
        ("stdin".to_owned(), read_stdin())
    } else {
        (file.display().to_string(), read_at_most(file, LARGEST_DEFINITION))
    };
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            CliError::new(code::DEFINITION, "the file is larger than 1 MiB").at(&name)
        }
        _ => file_error(file, &error),
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        CliError::new(code::DEFINITION, "the file is not UTF-8 text").at(format!("{name}:{line}"))
    })?;
    Ok((name, text))
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().take(LARGEST_DEFINITION + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_DEFINITION {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

/// All problems of a file as one error: each with its line, and a mark under its place.
fn problems(problems: &Problems, text: &str) -> CliError {
    let file = &problems.file;
    let error = CliError::new(code::DEFINITION, format!("`{file}` has problems"));
    let lines: Vec<_> = text.lines().collect();
    // What keeps the document from being used is never what is left out.
    let (errors, warnings): (Vec<_>, Vec<_>) =
        problems.all.iter().partition(|it| it.severity == Severity::Error);
    let mut shown: Vec<_> = errors.into_iter().chain(warnings).take(SHOWN).collect();
    shown.sort_by_key(|it| (it.line, it.column));
    let error = shown.into_iter().fold(error, |error, problem| {
        let line = lines.get(problem.line.saturating_sub(1)).copied().unwrap_or_default();
        let mut object = serde_json::to_value(problem).unwrap_or_default();
        object["file"] = file.as_str().into();
        error.problem(format!("{file}:{problem}"), problem.shown(file, line), object)
    });
    match problems.all.len().saturating_sub(SHOWN) {
        0 => error,
        more => error.details([format!("and {more} more")]),
    }
}
