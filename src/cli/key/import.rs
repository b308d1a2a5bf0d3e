//! `edgepost key import`.

use std::{
    error::Error,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    DEFAULT_KEY, PassphraseArgs,
    folder::{KeyFolder, Kind, Private, read_private},
    under_passphrase,
};
use crate::{
    cli::{Context, code, error::CliError, files::text_error},
    sign::{
        KeyError, SigningKey, VerifyingKey,
        compat::horizon::{HorizonKey, HorizonPublicKey},
        encrypted,
    },
    text_file::{self, LONGEST_TEXT},
    types::pem,
};

/// Take in a key that was made elsewhere: by OpenSSL, or by `hzn key create`
///
/// Ed25519 keys sign everything of ours. RSA keys (PKCS#1, PKCS#8; public: SPKI, or a certificate) sign for anax nodes,
/// and verify what was signed for them; the one called `default` signs whatever is published. A public half alone may
/// be named where signers are named.
#[derive(Debug, Args)]
#[command(after_help = "Example: edgepost key import ~/.hzn/keys/service.private.key")]
pub(in crate::cli) struct ImportArgs {
    /// The file, in PEM
    file: PathBuf,
    /// The key's name here
    #[arg(default_value = DEFAULT_KEY)]
    name: String,
    /// Put it under a passphrase, which it keeps anyway if it has one
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// A key as it was found in a file.
struct Found {
    kind: Kind,
    /// In plain.
    private: Option<Zeroizing<String>>,
    public: String,
}

impl ImportArgs {
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        let keys = self.passphrase.keys(context);
        let (found, was_encrypted) = self.read(&keys)?;
        if found.private.is_some() {
            self.warn_of_readers(was_encrypted, context);
        }
        let private = match found.private {
            Some(plain) if self.encrypt || was_encrypted => {
                Some(under_passphrase(&plain, &self.name, &keys.passphrases)?)
            }
            private => private,
        };
        let public = found.public.as_str();
        keys.keep(found.kind, &self.name, private.as_ref().map(|it| it.as_str()), public)?;
        let (name, kind) = (&self.name, found.kind.name());
        let half = if private.is_some() { "key pair" } else { "public key" };
        context.output.result(
            &json!({"ok": true, "name": name, "kind": kind, "private": private.is_some()}),
            || format!("{half} `{name}` ({kind})"),
        );
        Ok(())
    }

    /// Says that others can read the file that was copied, as `hzn key create` leaves it.
    fn warn_of_readers(&self, was_encrypted: bool, context: &Context) {
        let Ok(mode) = fs::metadata(&self.file).map(|it| it.mode() & 0o777) else { return };
        if mode & 0o044 != 0 && !was_encrypted {
            let file = self.file.display();
            context.output.note(format!(
                "warning: other users of this machine can read {file} (mode {mode:03o}): chmod 600 {file}, or remove it"
            ));
        }
    }

    fn read(&self, keys: &KeyFolder) -> Result<(Found, bool), CliError> {
        let (file, name) = (&self.file, &self.name);
        // Perhaps it is a private key, which is read again below.
        let text = text_file::read(file, LONGEST_TEXT).map_err(|it| text_error(file, it))?;
        if let Some(found) = public_half(&text.text) {
            text.noted(file);
            return Ok((found, false));
        }
        let pem = read_private(file, Private::CopiedKey)?;
        let was_encrypted = encrypted::is_encrypted(&pem);
        let plain = keys.in_plain(name, pem, file)?;
        Ok((private_half(&plain, file)?, was_encrypted))
    }
}

fn public_half(text: &str) -> Option<Found> {
    if text.contains("PRIVATE KEY-----") {
        return None;
    }
    if let Ok(key) = VerifyingKey::from_pem(text) {
        return Some(Found { kind: Kind::Ed25519, private: None, public: key.to_pem() });
    }
    HorizonPublicKey::from_pem(text).ok()?;
    // A certificate stays one: Horizon's nodes take it so. What else the file holds is left out.
    let section = pem::first_section(text, &["PUBLIC KEY", "CERTIFICATE"]).ok()??;
    let public = (*pem::write(&section.label, &section.der)).clone();
    Some(Found { kind: Kind::Rsa, private: None, public })
}

fn private_half(plain: &str, file: &Path) -> Result<Found, CliError> {
    let refused = |why: &(dyn Error + 'static)| {
        CliError::new(code::KEY, "the file holds no key that is known here")
            .at(file.display())
            .because(why)
            .help("Ed25519 in PKCS#8, or RSA of 2048 bits or more in PKCS#1 or PKCS#8, in PEM")
    };
    match SigningKey::from_pem(plain) {
        Ok(key) => {
            let public = key.verifying_key().to_pem();
            return Ok(Found { kind: Kind::Ed25519, private: Some(key.to_pem()), public });
        }
        // What is no PEM is no key of either kind.
        Err(error @ KeyError::Pem(_)) => return Err(refused(&error)),
        Err(_) => (),
    }
    let key = HorizonKey::from_pem(plain).map_err(|error| refused(&error))?;
    let private = key.to_pem().map_err(|error| refused(&error))?;
    let public = key.public_pem().map_err(|error| refused(&error))?;
    Ok(Found { kind: Kind::Rsa, private: Some(private), public })
}
