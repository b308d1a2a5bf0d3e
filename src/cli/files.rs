//! Small files of this machine, read within bounds: never a wait for a pipe, never more than fits.

use std::{
    io::{self, Read as _},
    mem::take,
    path::Path,
};

use crate::{
    authority,
    cli::{
        code,
        error::{CliError, file_error},
    },
    text_file::{self, LONGEST_TEXT, SmallText, TextFileError},
    types::{CopyFlaw, Secret},
};

/// Reads a file of at most `longest` bytes. What a shell has opened already, such as `/dev/stdin`, is
/// read too.
pub(super) fn read_at_most(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    text_file::open(path)?.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        let text = format!("it is longer than {longest} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Reads a text file; what was passed over in it is logged.
pub(super) fn read_text(path: &Path) -> Result<String, CliError> {
    match text_file::read(path, LONGEST_TEXT) {
        Ok(text) => Ok(take(&mut *text.noted(path))),
        Err(error) => Err(text_error(path, error)),
    }
}

/// Reads a file of certificates, in PEM or DER, and gives them in PEM. Whatever else it holds, such as a
/// private key, is left out.
pub(super) fn read_certificates(path: &Path) -> Result<String, CliError> {
    let bytes = read_at_most(path, LONGEST_TEXT).map_err(|error| file_error(path, &error))?;
    authority::to_pem(bytes).map_err(|error| {
        CliError::new(code::FILES, "the certificate authority's file holds no certificate")
            .at(path.display())
            .because(&error)
            .help("give its certificate in PEM (-----BEGIN CERTIFICATE-----) or DER")
    })
}

/// Reads a settings file, if there is one. What was passed over does not matter to it.
pub(super) fn read_text_if_there(path: &Path) -> Result<Option<String>, CliError> {
    // A link that leads nowhere is there, and is worth an error.
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    match text_file::read(path, LONGEST_TEXT) {
        Ok(mut text) => Ok(Some(take(&mut *text.text))),
        Err(error) => Err(text_error(path, error)),
    }
}

/// Reads text of at most `longest` bytes from standard input.
pub(super) fn read_stdin_text(longest: u64) -> Result<SmallText, CliError> {
    SmallText::read(io::stdin(), longest).map_err(|error| text_error(Path::new("stdin"), error))
}

/// Trouble with a text file of this machine.
pub(super) fn text_error(path: &Path, error: TextFileError) -> CliError {
    let kind = match error {
        TextFileError::Read(source) => return file_error(path, &source),
        TextFileError::NotPlain => io::ErrorKind::InvalidInput,
        TextFileError::TooLong { .. } => io::ErrorKind::FileTooLarge,
        TextFileError::NotText { .. } => io::ErrorKind::InvalidData,
    };
    file_error(path, &io::Error::new(kind, error.to_string()))
}

/// The secret in the first line of `text`, which came from `place`; the other lines must be empty or are warned of.
///
/// # Errors
/// If there is none, or it broke as it was copied.
pub(super) fn secret_in_first_line(text: &str, place: &Path) -> Result<Secret, CliError> {
    let mut lines = text.lines();
    let line = lines.next().unwrap_or_default();
    if line.trim().is_empty() {
        return Err(CliError::new(code::SETTINGS, "the first line of the file is empty")
            .at(place.display())
            .why("it should be the password or token"));
    }
    let others = lines.filter(|line| !line.trim().is_empty()).count();
    if others > 0 {
        tracing::warn!(
            event = "file.further_lines",
            path = %place.display(),
            others,
            "only the first line is the secret; was a long line wrapped as it was copied?"
        );
    }
    let trimmed = line.trim_end();
    if trimmed.len() < line.len() {
        let path = place.display();
        tracing::warn!(event = "secret.suspect_copy", %path, flaw = %CopyFlaw::TrailingBlank, "blanks at the end of a secret are part of it");
    }
    check_copy(trimmed, place)?;
    Ok(Secret::new(line))
}

/// Refuses a secret that broke as it was copied, and warns of blanks and quotes that may be part of it.
fn check_copy(secret: &str, place: &Path) -> Result<(), CliError> {
    match CopyFlaw::of(secret) {
        Some(flaw) if flaw.breaks_password() => {
            Err(CliError::new(code::SETTINGS, "the secret is not as it was issued")
                .at(place.display())
                .because(&flaw)
                .help("copy it again"))
        }
        Some(flaw @ (CopyFlaw::LeadingBlank | CopyFlaw::Quoted)) => {
            tracing::warn!(event = "secret.suspect_copy", path = %place.display(), %flaw, "a secret may have been copied with more than itself");
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_files_of_some_length_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let error = |path: &Path| read_at_most(path, 4).unwrap_err().kind();
        assert_eq!(error(folder.path()), io::ErrorKind::InvalidInput);
        assert_eq!(error(&folder.path().join("none")), io::ErrorKind::NotFound);
        assert_eq!(error(Path::new("/dev/zero")), io::ErrorKind::FileTooLarge);
        assert_eq!(read_at_most(Path::new("/dev/null"), 4).unwrap(), b"");
        assert!(read_text_if_there(&folder.path().join("none")).unwrap().is_none());
    }
}
