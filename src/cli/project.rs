//! A project's files: the definition that is asked for, and the hzn.json beside it.

use std::{fs, io, path::Path};

use crate::{
    cli::{
        Context, code,
        config::read_text,
        error::{CliError, file_error},
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
    let size = fs::metadata(file).map_err(|error| file_error(file, &error))?.len();
    if size > LARGEST_DEFINITION {
        return Err(
            CliError::new(code::DEFINITION, "the file is larger than 1 MiB").at(file.display())
        );
    }
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

/// All problems of a file as one error.
fn problems(problems: &Problems) -> CliError {
    CliError::new(code::DEFINITION, format!("`{}` has problems", problems.file))
        .details(problems.all.iter().map(|problem| format!("{}:{problem}", problems.file)))
}

/// The variables of the hzn.json beside the file, where there is one.
fn project_variables(file: &Path) -> Result<Variables, CliError> {
    let path = file.with_file_name("hzn.json");
    match fs::read_to_string(&path) {
        Ok(text) => {
            project::variables(&path.display().to_string(), &text).map_err(|it| problems(&it))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Variables::new()),
        Err(error) => Err(file_error(&path, &error)),
    }
}
