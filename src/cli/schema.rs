//! `edgepost schema`: the JSON Schemas of what authors write.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
        output::table,
    },
    document::SchemaKind,
};

/// Print the JSON Schema of a kind of file, for editors and other tools
///
/// Which kinds there are:             edgepost schema
/// One schema:                        edgepost schema deployment-policy
/// All of them, into a folder:        edgepost schema --write schemas
///
/// A file names its schema by a field "$schema", which is no part of what is published:
///   "$schema": "../schemas/service.schema.json"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct SchemaArgs {
    /// The kind of file; without one, the kinds are listed
    #[arg(value_parser = kinds())]
    kind: Option<String>,
    /// Write the schema, or all of them, into this folder, over what is there
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

fn kinds() -> clap::builder::PossibleValuesParser {
    SchemaKind::ALL.map(SchemaKind::as_str).into()
}

impl SchemaArgs {
    /// Runs the command.
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let kind = self.kind.as_deref().map(str::parse::<SchemaKind>).transpose();
        let kind = kind.map_err(|error| CliError::new(code::USAGE, error.to_string()))?;
        let wanted = kind.map_or_else(|| SchemaKind::ALL.to_vec(), |kind| vec![kind]);
        match (&self.write, kind) {
            (Some(folder), _) => write_all(folder, &wanted, context),
            (None, Some(kind)) => {
                context.output.document(&kind.schema());
                Ok(())
            }
            (None, None) => {
                list(context);
                Ok(())
            }
        }
    }
}

fn list(context: &Context) {
    let kinds: Vec<_> = SchemaKind::ALL
        .iter()
        .map(
            |it| json!({"kind": it.as_str(), "describes": it.usual_name(), "file": it.file_name()}),
        )
        .collect();
    context.output.result(&kinds, || {
        let row = |it: SchemaKind| {
            vec![it.as_str().to_owned(), it.usual_name().to_owned(), it.file_name()]
        };
        table(&["KIND", "DESCRIBES", "FILE"], SchemaKind::ALL.map(row))
    });
}

fn write_all(folder: &Path, kinds: &[SchemaKind], context: &Context) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(|error| file_error(folder, &error))?;
    let mut files = Vec::new();
    for kind in kinds {
        let file = folder.join(kind.file_name());
        write_whole(&file, &kind.text()).map_err(|error| file_error(&file, &error))?;
        files.push(file.display().to_string());
    }
    context.output.result(&files, || files.join("\n"));
    Ok(())
}

/// Writes a file that others may read, whole or not at all.
fn write_whole(file: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut whole = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    whole.write_all(text.as_bytes())?;
    whole.persist(file)?;
    Ok(())
}
