//! Small files of this machine, read within bounds: never a wait for a pipe, never more than fits.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rustix::fs::OFlags;

use crate::{
    authority,
    cli::{
        code,
        error::{CliError, file_error},
    },
};

/// The longest text read, in bytes: certificate bundles have some 250 KiB.
const LONGEST_TEXT: u64 = 1 << 20;

/// Opens a plain file. A named pipe, which would wait for its writer, is refused; so is a folder.
pub(super) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file"))
}

/// Reads a file of at most `longest` bytes. What a shell has opened already, such as `/dev/stdin`, is
/// read too.
pub(super) fn read_at_most(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let is_device = path.parent().is_some_and(|it| it == "/dev" || it == "/dev/fd");
    let file = if is_device { File::open(path)? } else { open_plain(path)? };
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > longest {
        let text = format!("it is longer than {longest} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Reads a text file.
pub(super) fn read_text(path: &Path) -> Result<String, CliError> {
    let text = read_at_most(path, LONGEST_TEXT).and_then(|bytes| {
        String::from_utf8(bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.utf8_error()))
    });
    text.map_err(|error| file_error(path, &error))
}

/// Reads a file of certificates, in PEM or DER, and gives them in PEM. Whatever else it holds, such as a
/// private key, is left out.
pub(super) fn read_certificates(path: &Path) -> Result<String, CliError> {
    let bytes = read_at_most(path, LONGEST_TEXT).map_err(|error| file_error(path, &error))?;
    authority::to_pem(&bytes).map_err(|error| {
        CliError::new(code::FILES, "the certificate authority's file holds no certificate")
            .at(path.display())
            .because(&error)
            .help("give its certificate in PEM (-----BEGIN CERTIFICATE-----) or DER")
    })
}

/// Reads a text file, if there is one.
pub(super) fn read_text_if_there(path: &Path) -> Result<Option<String>, CliError> {
    // A link that leads nowhere is there, and is worth an error.
    if path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    read_text(path).map(Some)
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
