//! `edgepost key export`.

use std::{io, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    DEFAULT_KEY, PassphraseArgs,
    folder::{Kind, Private, create_file, read_private},
    under_passphrase,
};
use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
    },
    sign::encrypted,
};

/// Write a key to a file, to move it or to keep it safe
///
/// Without --private it is the public half. The private half is written under a passphrase, for nobody but you to read.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: edgepost key export --private --output /media/stick/root.pem root"
)]
pub(in crate::cli) struct ExportArgs {
    /// The key's name
    #[arg(default_value = DEFAULT_KEY)]
    name: String,
    /// The file, which must not exist
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Write the private half, too
    #[arg(long)]
    private: bool,
    /// Write the private half without a passphrase: whoever gets the file can sign
    #[arg(long, requires = "private")]
    plain: bool,
    /// Export the RSA key of this name
    #[arg(long)]
    rsa: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

impl ExportArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let (name, file) = (&self.name, &self.output);
        let kind = if self.rsa { Kind::Rsa } else { Kind::Ed25519 };
        let keys = self.passphrase.keys(context);
        let pem = if self.private {
            let path = keys.private_path(kind, name)?;
            let pem = read_private(&path, Private::Key)?;
            match (encrypted::is_encrypted(&pem), self.plain) {
                (true, false) | (false, true) => pem,
                (true, true) => keys.in_plain(name, pem, &path)?,
                (false, false) => under_passphrase(&pem, name, &keys.passphrases)?,
            }
        } else {
            keys.public_pem(kind, name)?.into()
        };
        let mode = if self.private { 0o600 } else { 0o644 };
        create_file(file, mode, pem.as_bytes()).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => {
                CliError::new(code::CONFLICT, "the file exists already")
                    .at(file.display())
                    .help("name another; no file is overwritten")
            }
            _ => file_error(file, &error),
        })?;
        let half = if self.private { "private" } else { "public" };
        context.output.result(
            &json!({"ok": true, "name": name, "kind": kind.name(), "half": half, "file": file}),
            || file.display().to_string(),
        );
        Ok(())
    }
}
