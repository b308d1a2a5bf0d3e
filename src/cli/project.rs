//! A project's files: the definition that is asked for, and the hzn.json beside it.

use std::{io, path::Path};

use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
        files::{read_at_most, read_text_if_there},
    },
    document::{
        Problem, Problems, project,
        source::{Source, Variables},
    },
};

/// The largest definition taken: the exchange takes no larger one.
const LARGEST_DEFINITION: u64 = 1024 * 1024;

/// Reads a definition with the variables of its project. Warnings go to stderr; problems are one error.
pub(super) fn read_definition<T>(
    file: &Path,
    context: &Context,
    read: impl FnOnce(&Source) -> Result<(T, Vec<Problem>), Problems>,
) -> Result<T, CliError> {
    let text = read_text(file)?;
    let variables = context.environment.variables(&project_variables(file)?);
    let name = file.display().to_string();
    let source = Source::read(&name, &text, &variables).map_err(|it| problems(&it))?;
    let (document, warnings) = read(&source).map_err(|it| problems(&it))?;
    for warning in warnings {
        context.output.note(format!("warning: {name}:{warning}"));
    }
    Ok(document)
}

/// The text of a definition. What keeps it from being one has the code of definitions.
fn read_text(file: &Path) -> Result<String, CliError> {
    let bytes = read_at_most(file, LARGEST_DEFINITION).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge => {
            CliError::new(code::DEFINITION, "the file is larger than 1 MiB").at(file.display())
        }
        _ => file_error(file, &error),
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        CliError::new(code::DEFINITION, "the file is not UTF-8 text")
            .at(format!("{}:{line}", file.display()))
    })
}

/// All problems of a file as one error.
fn problems(problems: &Problems) -> CliError {
    CliError::new(code::DEFINITION, format!("`{}` has problems", problems.file))
        .details(problems.all.iter().map(|problem| format!("{}:{problem}", problems.file)))
}

/// The variables of the hzn.json beside the file, where there is one.
fn project_variables(file: &Path) -> Result<Variables, CliError> {
    let path = file.with_file_name("hzn.json");
    match read_text_if_there(&path)? {
        Some(text) => {
            project::variables(&path.display().to_string(), &text).map_err(|it| problems(&it))
        }
        None => Ok(Variables::new()),
    }
}
