//! Drafts of trust documents in files.

use std::{
    fs::Permissions,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use crate::{
    cli::{
        code,
        error::{CliError, file_error},
        files::read_at_most,
    },
    trust::{Draft, TrustRoot, draft::MAX_DRAFT},
};

/// What becomes of a file that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// It is kept, and nothing is written.
    Keep,
    /// It is replaced.
    Replace,
}

/// Reads a draft, within bounds, and judges it as far as that goes without a network.
pub(super) fn read_draft(file: &Path, root: TrustRoot) -> Result<Draft, CliError> {
    let bytes = read_at_most(file, MAX_DRAFT).map_err(|error| file_error(file, &error))?;
    Draft::from_json(&bytes, root).map_err(|error| CliError::from(error).at(file.display()))
}

/// Writes a draft whole or not at all. Anybody may read it: it holds no secret.
pub(super) fn write_draft(file: &Path, draft: &Draft, existing: Existing) -> Result<(), CliError> {
    write(file, &draft.to_json(), existing).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            CliError::new(code::EXISTS, "the draft would go over a file that is there")
                .at(file.display())
                .help("choose another file: --draft FILE, or --output FILE")
        }
        _ => file_error(file, &error),
    })
}

fn write(file: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty());
    let mut whole = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder.unwrap_or(Path::new(".")))?;
    whole.write_all(bytes)?;
    whole.write_all(b"\n")?;
    whole.as_file().sync_all()?;
    match existing {
        Existing::Keep => whole.persist_noclobber(file)?,
        Existing::Replace => whole.persist(file)?,
    };
    Ok(())
}
