//! What lies in a folder like `/etc/docker/certs.d` for one registry: `HOST[:PORT]/*.crt` are CA
//! certificates, `*.cert` with a `*.key` of the same name is a certificate of our own.

use std::{
    error::Error as StdError,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::{
    authority::{self, Identity},
    text_file::{self, LONGEST_TEXT, TextFileError},
    types::Registry,
};

/// Why a file is not used.
pub(super) type BadFile = Box<dyn StdError + Send + Sync>;

/// Whether there is anything for `registry` in `dir`.
pub(super) fn has_any(dir: &Path, registry: &Registry) -> bool {
    ["crt", "cert", "key"].iter().any(|it| !with_extension(dir, registry, it).is_empty())
}

/// The CA certificates for `registry` in `dir`.
pub(super) fn authorities(
    dir: &Path,
    registry: &Registry,
) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let mut certificates = Vec::new();
    for path in with_extension(dir, registry, "crt") {
        let bytes = text_file::read_undecoded(&path, LONGEST_TEXT);
        let bytes = bytes.map_err(|error| file_problem(&path, error))?;
        let found = authority::certificates_of(bytes)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        certificates.extend(found);
    }
    for ending in ["pem", "cer", "der"] {
        for path in with_extension(dir, registry, ending) {
            tracing::warn!(file = %path.display(), "it is not read: a CA certificate in certs.d ends in .crt");
        }
    }
    Ok(certificates)
}

/// Our own certificate for `registry` with its key in `dir`: the first, if there are several. One
/// without the other is an error, as it is for Docker.
pub(super) fn identity(dir: &Path, registry: &Registry) -> Result<Option<Identity>, BadFile> {
    for key in with_extension(dir, registry, "key") {
        let certificate = key.with_extension("cert");
        if !certificate.is_file() {
            return Err(format!("{} has no certificate beside it", key.display()).into());
        }
    }
    let certificates = with_extension(dir, registry, "cert");
    let Some(certificate) = certificates.first() else { return Ok(None) };
    if certificates.len() > 1 {
        tracing::warn!(used = %certificate.display(), "several client certificates, of which the first is used");
    }
    let key = certificate.with_extension("key");
    check_mode(&key)?;
    let chain = authority::certificates(&read(certificate)?)
        .map_err(|error| format!("{}: {error}", certificate.display()))?;
    let key = authority::private_key(&read(&key)?)
        .map_err(|error| format!("{}: {error}", key.display()))?;
    Ok(Some((chain, key)))
}

/// A private key that everybody can read is none.
fn check_mode(key: &Path) -> Result<(), BadFile> {
    let mode = fs::metadata(key).map_err(|error| unreadable(key, &error))?.permissions().mode();
    if mode & 0o007 != 0 || mode & 0o020 != 0 {
        let mode = mode & 0o777;
        let path = key.display();
        return Err(
            format!("others may read or change {path}: its mode is {mode:03o}, chmod 600").into()
        );
    }
    Ok(())
}

fn read(path: &Path) -> Result<Zeroizing<String>, BadFile> {
    match text_file::read(path, LONGEST_TEXT) {
        Ok(text) => Ok(text.noted(path)),
        Err(error) => Err(file_problem(path, error)),
    }
}

fn file_problem(path: &Path, error: TextFileError) -> BadFile {
    match error {
        TextFileError::Read(error) => unreadable(path, &error),
        error => format!("{}: {error}", path.display()).into(),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> BadFile {
    format!("failed to read {}: {error}", path.display()).into()
}

fn with_extension(dir: &Path, registry: &Registry, wanted: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir.join(registry.as_str())) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == wanted))
        .collect();
    files.sort();
    files
}
