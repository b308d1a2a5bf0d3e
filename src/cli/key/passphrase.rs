//! Where the passphrases of keys come from: a file, or whoever sits at the terminal. Never the command
//! line, which everybody on the machine may read.

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use crate::{
    cli::{
        code,
        error::CliError,
        key::folder::{Private, read_private},
    },
    types::Secret,
};

/// The shortest passphrase that a new key is put under, in characters.
const SHORTEST: usize = 8;

/// Where passphrases come from.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Passphrases {
    /// A file with one line, which only its owner may read.
    file: Option<PathBuf>,
}

impl Passphrases {
    /// From `file`, or else from the terminal.
    pub(in crate::cli) fn from(file: Option<PathBuf>) -> Self {
        Self { file }
    }

    /// The passphrase of a key that there is.
    pub(super) fn of(&self, key: &str) -> Result<Secret, CliError> {
        match &self.file {
            Some(_) => self.in_file(),
            None => asked(&format!("passphrase of key `{key}`: ")),
        }
    }

    /// A passphrase for a key that is to be put under one; who types it does so twice.
    pub(super) fn new_one(&self, key: &str) -> Result<Secret, CliError> {
        let passphrase = if self.file.is_some() {
            self.in_file()?
        } else {
            let first = asked(&format!("new passphrase for key `{key}`: "))?;
            if first != asked("the same once more: ")? {
                return Err(CliError::new(code::USAGE, "the two passphrases differ"));
            }
            first
        };
        if passphrase.expose().chars().count() < SHORTEST {
            return Err(CliError::new(code::USAGE, "the passphrase is too short")
                .why(format!("it has fewer than {SHORTEST} characters"))
                .help("some words in a row are long, and easy to keep"));
        }
        Ok(passphrase)
    }

    fn in_file(&self) -> Result<Secret, CliError> {
        let Some(file) = &self.file else { return asked("passphrase: ") };
        let text = read_private(file, Private::Passphrase)?;
        match text.lines().next() {
            Some(line) if !line.is_empty() => Ok(Secret::new(line)),
            _ => Err(CliError::new(code::KEY, "the passphrase file is empty").at(file.display())),
        }
    }
}

fn asked(question: &str) -> Result<Secret, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::new(code::KEY, "the key is under a passphrase, and nobody can be asked")
            .help("give --passphrase-file FILE, or EDGEPOST_PASSPHRASE_FILE; it is never taken from the command line"));
    }
    let passphrase = rpassword::prompt_password(question).map_err(|error| {
        CliError::new(code::FILES, "the terminal cannot be read").because(&error)
    })?;
    Ok(Secret::new(passphrase))
}
