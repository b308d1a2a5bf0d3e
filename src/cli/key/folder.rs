//! The user's folder of keys: `NAME.key.pem` signs (Ed25519), `NAME.rsa.pem` signs in Horizon's way, and
//! beside each lies its public half.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::passphrase::Passphrases;
use crate::{
    cli::{
        code,
        error::{CliError, file_error},
        files::read_text,
    },
    private_file::{self, PrivateFileError},
    sign::{
        SigningKey, VerifyingKey,
        compat::horizon::{HorizonKey, HorizonPublicKey},
        encrypted,
    },
    text_file::{SmallText, TextFileError},
};

/// A key file of ours has some 120 bytes, an RSA key some 3,000.
const LARGEST_KEY_FILE: u64 = 64 * 1024;

/// The folder, and where the passphrases of its keys come from.
#[derive(Debug)]
pub(in crate::cli) struct KeyFolder {
    /// Nothing where the environment names no home.
    path: Option<PathBuf>,
    pub(super) passphrases: Passphrases,
}

/// What signs with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everything of ours.
    Ed25519,
    /// Deployments for anax nodes, in Horizon's way.
    Rsa,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::Ed25519, Self::Rsa];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
        }
    }

    fn private_ending(self) -> &'static str {
        match self {
            Self::Ed25519 => ".key.pem",
            Self::Rsa => ".rsa.pem",
        }
    }

    fn public_ending(self) -> &'static str {
        match self {
            Self::Ed25519 => ".public.pem",
            Self::Rsa => ".rsa.public.pem",
        }
    }
}

impl KeyFolder {
    pub(in crate::cli) fn new(path: Option<PathBuf>, passphrases: Passphrases) -> Self {
        Self { path, passphrases }
    }

    /// The folder itself.
    fn path(&self) -> Result<&Path, CliError> {
        self.path.as_deref().ok_or_else(|| {
            CliError::new(code::SETTINGS, "the folder of the signing keys is not known")
                .why("the environment names no home folder")
                .help("set HOME to your home folder, or EDGEPOST_HOME to the folder that holds `keys`")
        })
    }

    /// Where the private half of a key is stored.
    pub(super) fn private_path(&self, kind: Kind, name: &str) -> Result<PathBuf, CliError> {
        Ok(self.path()?.join(format!("{name}{}", kind.private_ending())))
    }

    fn public_path(&self, kind: Kind, name: &str) -> Result<PathBuf, CliError> {
        Ok(self.path()?.join(format!("{name}{}", kind.public_ending())))
    }

    /// The file that `name` means: that of a key here, or else the path of one.
    fn find(&self, kind: Kind, name: &str) -> Result<PathBuf, CliError> {
        let is_path = Path::new(name).exists();
        match self.private_path(kind, name) {
            Ok(named) if named.is_file() || !is_path => Ok(named),
            Err(unknown) if !is_path => Err(unknown),
            _ => Ok(name.into()),
        }
    }

    /// Reads a signing key by its name, or by the path of its file.
    pub(in crate::cli) fn read(&self, name: &str) -> Result<SigningKey, CliError> {
        let path = self.find(Kind::Ed25519, name)?;
        let pem = self.in_plain(name, read_private(&path, Private::Key)?, &path)?;
        SigningKey::from_pem(&pem).map_err(|error| {
            CliError::new(code::KEY, format!("key `{name}` cannot be used"))
                .at(path.display())
                .because(&error)
                .help("`edgepost key create` makes one; an RSA key is given by --horizon-key")
        })
    }

    /// Reads an RSA key for Horizon's signature by its name, or by the path of its file.
    pub(in crate::cli) fn read_horizon(&self, name: &str) -> Result<HorizonKey, CliError> {
        let path = self.find(Kind::Rsa, name)?;
        let pem = self.in_plain(name, read_private(&path, Private::Key)?, &path)?;
        HorizonKey::from_pem(&pem).map_err(|error| {
            CliError::new(code::KEY, "the Horizon key cannot be used")
                .at(path.display())
                .because(&error)
                .help("it must be an RSA key of 2048 bits or more, PKCS#1 or PKCS#8, in PEM")
        })
    }

    /// Whether there is an RSA key of this name.
    pub(in crate::cli) fn has_horizon(&self, name: &str) -> bool {
        self.private_path(Kind::Rsa, name).is_ok_and(|path| path.is_file())
    }

    /// A private key's PEM without its passphrase, which is asked for if it has one.
    pub(super) fn in_plain(
        &self,
        name: &str,
        pem: Zeroizing<String>,
        path: &Path,
    ) -> Result<Zeroizing<String>, CliError> {
        if !encrypted::is_encrypted(&pem) {
            return Ok(pem);
        }
        let passphrase = self.passphrases.of(name)?;
        encrypted::decrypt(&pem, &passphrase).map_err(|error| {
            CliError::new(code::KEY, format!("key `{name}` cannot be used"))
                .at(path.display())
                .because(&error)
                .help("is it this key's passphrase?")
        })
    }

    /// Reads the public half of a signing key by its name, by the path of its PEM, or out of the file
    /// of the private half.
    pub(in crate::cli) fn public(&self, name: &str) -> Result<VerifyingKey, CliError> {
        let from_private = || self.read(name).map(|key| key.verifying_key());
        let named = self.public_path(Kind::Ed25519, name).ok().filter(|path| path.is_file());
        let given = Path::new(name);
        if named.is_none() && (self.has(name) || !given.is_file()) {
            return from_private();
        }
        let path = named.as_deref().unwrap_or(given);
        // Perhaps it is a private key.
        let pem = Zeroizing::new(read_text(path)?);
        if pem.contains("PRIVATE KEY-----") {
            return from_private();
        }
        VerifyingKey::from_pem(&pem).map_err(|error| {
            CliError::new(code::KEY, format!("public key `{name}` cannot be used"))
                .at(path.display())
                .because(&error)
                .help("`edgepost key show NAME` prints one")
        })
    }

    /// The keys whose public halves lie here, by name; of one that cannot be read nothing is said.
    pub(in crate::cli) fn known(&self) -> Vec<(String, VerifyingKey)> {
        let names = self.names(Kind::Ed25519).unwrap_or_default().into_iter();
        names
            .filter_map(|name| {
                let pem = read_text(&self.public_path(Kind::Ed25519, &name).ok()?).ok()?;
                Some((name, VerifyingKey::from_pem(&pem).ok()?))
            })
            .collect()
    }

    /// Whether there is a signing key of this name.
    pub(in crate::cli) fn has(&self, name: &str) -> bool {
        self.private_path(Kind::Ed25519, name).is_ok_and(|path| path.is_file())
    }

    /// Reads the public half of an RSA key by its name, or by the path of its file: SPKI, or a
    /// certificate.
    pub(in crate::cli) fn horizon_public(&self, name: &str) -> Result<HorizonPublicKey, CliError> {
        let named = self.public_path(Kind::Rsa, name).ok().filter(|path| path.is_file());
        let path = named.unwrap_or_else(|| name.into());
        let pem = read_text(&path)?;
        HorizonPublicKey::from_pem(&pem).map_err(|error| {
            CliError::new(code::KEY, "the public key cannot be used")
                .at(path.display())
                .because(&error)
        })
    }

    /// The public half of a key as it lies here, in PEM.
    pub(super) fn public_pem(&self, kind: Kind, name: &str) -> Result<String, CliError> {
        match kind {
            Kind::Ed25519 => self.public(name).map(|key| key.to_pem()),
            Kind::Rsa => read_text(&self.public_path(kind, name)?),
        }
    }

    /// Keeps a key pair, or a public half alone; nothing that exists is ever overwritten.
    pub(super) fn keep(
        &self,
        kind: Kind,
        name: &str,
        private: Option<&str>,
        public: &str,
    ) -> Result<(), CliError> {
        check_name(name)?;
        let folder = self.path()?;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| file_error(folder, &error))?;
        let (at, public_at) = (self.private_path(kind, name)?, self.public_path(kind, name)?);
        let exists = |path: &Path| {
            CliError::new(code::CONFLICT, format!("key `{name}` exists already"))
                .at(path.display())
                .help("choose another name; a lost key cannot be made again")
        };
        let failed = |path: &Path, error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => exists(path),
            _ => file_error(path, &error),
        };
        if public_at.exists() {
            return Err(exists(&public_at));
        }
        if let Some(private) = private {
            create_file(&at, 0o600, private.as_bytes()).map_err(|error| failed(&at, error))?;
        }
        create_file(&public_at, 0o644, public.as_bytes()).map_err(|error| {
            if private.is_some() {
                // Nobody has used it yet, and half of a pair would stand in the way of the next try.
                let _ = fs::remove_file(&at);
            }
            failed(&public_at, error)
        })
    }

    /// The names of all keys of a kind, whichever halves of them lie here.
    pub(super) fn names(&self, kind: Kind) -> Result<Vec<String>, CliError> {
        let folder = self.path()?;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(file_error(folder, &error)),
        };
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|file| kind_and_name(&file))
            .filter(|(found, _)| *found == kind)
            .map(|(_, name)| name)
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }
}

/// What a file of the folder holds a half of.
fn kind_and_name(file: &str) -> Option<(Kind, String)> {
    // `.rsa.public.pem` ends like the other kind's public half.
    [Kind::Rsa, Kind::Ed25519].into_iter().find_map(|kind| {
        let name = file
            .strip_suffix(kind.public_ending())
            .or_else(|| file.strip_suffix(kind.private_ending()))?;
        Some((kind, name.to_owned()))
    })
}

fn check_name(name: &str) -> Result<(), CliError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.@+".contains(c);
    let is_name = !name.is_empty()
        && name.len() <= 100
        && !name.starts_with('.')
        && name.strip_suffix(".rsa").is_none()
        && name.chars().all(fits);
    if is_name {
        return Ok(());
    }
    Err(CliError::new(code::KEY, format!("`{name}` cannot name a key"))
        .help("use letters, digits, `-` and `_`"))
}

/// What a file that only its owner may read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Private {
    /// A key.
    Key,
    /// A key that is copied to a file of its own: others may read this one.
    CopiedKey,
    /// The passphrase of a key.
    Passphrase,
    /// The logins that nodes get.
    Logins,
}

/// Reads a file that only its owner may read.
pub(in crate::cli) fn read_private(
    path: &Path,
    holds: Private,
) -> Result<Zeroizing<String>, CliError> {
    use PrivateFileError as E;
    let (code, thing) = match holds {
        Private::Key | Private::CopiedKey => (code::KEY, "key"),
        Private::Passphrase => (code::KEY, "passphrase file"),
        Private::Logins => (code::FILES, "file of logins"),
    };
    let refuse = |what: &str| CliError::new(code, format!("the {thing} {what}")).at(path.display());
    let opened = match holds {
        Private::CopiedKey => private_file::open_readable(path).map(|it| it.file),
        _ => private_file::open(path),
    };
    let file = opened.map_err(|error| match error {
        E::Open(error) if error.kind() == io::ErrorKind::NotFound && holds == Private::Key => {
            CliError::new(code, "there is no such key")
                .at(path.display())
                .help("`edgepost key create` makes one")
        }
        E::Open(error) => file_error(path, &error),
        E::NotPlain => refuse("is no plain file").help("give the file that holds it"),
        exposed @ (E::Mode { .. } | E::Owner { .. }) => refuse("is not private")
            .why("it must be a plain file that only you may read")
            .because(&exposed)
            .help(format!("chmod 600 {}", path.display())),
    })?;
    match SmallText::read(file, LARGEST_KEY_FILE) {
        Ok(text) => Ok(text.noted(path)),
        Err(TextFileError::Read(error)) => Err(file_error(path, &error)),
        Err(error) => Err(refuse("cannot be read").because(&error)),
    }
}

/// Makes a new file, whole or not at all; one that exists is an error.
pub(super) fn create_file(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // What is told is why it could not be written.
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_it_is_by_its_ending() {
        let read = |file: &str| kind_and_name(file).map(|(kind, name)| (kind.name(), name));
        let named = |kind, name: &str| Some((kind, name.to_owned()));
        assert_eq!(read("default.key.pem"), named("ed25519", "default"));
        assert_eq!(read("default.public.pem"), named("ed25519", "default"));
        assert_eq!(read("a.b.rsa.pem"), named("rsa", "a.b"));
        assert_eq!(read("a.b.rsa.public.pem"), named("rsa", "a.b"));
        assert_eq!(read("notes.txt"), None);
    }

    #[test]
    fn a_name_is_no_path_and_no_other_kind() {
        for name in ["default", "ann@acme", "a.b"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", "../x", "a/b", ".hidden", "x.rsa", "a b"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
