//! `edgepost key`: the keys that sign what is published.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    cli::{Context, code, error::CliError},
    publish::Publisher,
    sign::{SigningKey, encrypted},
};

mod export;
pub(super) mod folder;
mod import;
mod list;
mod passphrase;

pub(super) use folder::{KeyFolder, Private, read_private};
pub(super) use passphrase::Passphrases;

use folder::Kind;

/// The key that is used where none is named.
pub(super) const DEFAULT_KEY: &str = "default";

/// Signing keys
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key pair
    Create(CreateArgs),
    /// List the keys
    List,
    /// Show the public half of a key, as PEM
    Show(ShowArgs),
    /// Take in a key that was made elsewhere: by OpenSSL, or by `hzn key create`
    Import(import::ImportArgs),
    /// Write a key to a file, to move it or to keep it safe
    Export(export::ExportArgs),
}

/// Make a key pair
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The key's name
    #[arg(default_value = DEFAULT_KEY)]
    name: String,
    /// Put it under a passphrase, which is asked for, or read from --passphrase-file
    #[arg(long)]
    encrypt: bool,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

/// Show the public half of a key, as PEM
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The key's name, or the path of its file
    #[arg(default_value = DEFAULT_KEY)]
    name: String,
}

/// Where the passphrase of a key is.
#[derive(Debug, Args)]
struct PassphraseArgs {
    /// Read the passphrase from the first line of this file, which only you may read, instead of asking for it; every
    /// command that signs knows EDGEPOST_PASSPHRASE_FILE
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    fn keys(&self, context: &Context) -> KeyFolder {
        match &self.passphrase_file {
            Some(file) => {
                KeyFolder::new(context.environment.keys(), Passphrases::from(Some(file.clone())))
            }
            None => context.keys(),
        }
    }
}

/// Which keys sign what is published.
#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    /// The signing key: its name or file; repeatable
    #[arg(short, long = "key", value_name = "KEY", env = "EDGEPOST_KEY", default_value = DEFAULT_KEY)]
    key: Vec<String>,
}

impl KeyArgs {
    /// A publisher with these keys.
    pub(super) fn publisher(&self, context: &Context) -> Result<Publisher, CliError> {
        let folder = context.keys();
        let keys = self.key.iter().map(|name| folder.read(name)).collect::<Result<_, _>>()?;
        let client = context.client()?;
        Ok(Publisher::new(client.org().clone(), client, keys, context.clock.clone()))
    }
}

impl KeyCommand {
    /// Runs the command.
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Create(args) => create(args, context),
            Self::List => list::list(context),
            Self::Show(args) => show(&args.name, context),
            Self::Import(args) => args.run(context),
            Self::Export(args) => args.run(context),
        }
    }
}

fn create(args: &CreateArgs, context: &Context) -> Result<(), CliError> {
    let (name, keys) = (&args.name, args.passphrase.keys(context));
    let key = SigningKey::generate();
    let mut pem = key.to_pem();
    if args.encrypt {
        pem = under_passphrase(&pem, name, &keys.passphrases)?;
    }
    keys.keep(Kind::Ed25519, name, Some(&pem), &key.verifying_key().to_pem())?;
    let (file, id) = (keys.private_path(Kind::Ed25519, name)?, key.key_id());
    context.output.note(format!("made key `{name}` in {}", file.display()));
    context
        .output
        .result(&json!({"ok": true, "name": name, "id": id, "file": file}), || id.to_string());
    context.output.next("edgepost trust init, once for each organization");
    Ok(())
}

fn show(name: &str, context: &Context) -> Result<(), CliError> {
    let public = context.keys().public(name)?;
    let pem = public.to_pem();
    context
        .output
        .result(&json!({"name": name, "id": public.key_id(), "publicKey": pem}), || pem.clone());
    Ok(())
}

/// A private key's PEM, put under a passphrase that is asked for.
fn under_passphrase(
    pem: &str,
    name: &str,
    passphrases: &Passphrases,
) -> Result<Zeroizing<String>, CliError> {
    let passphrase = passphrases.new_one(name)?;
    encrypted::encrypt(pem, &passphrase).map_err(|error| {
        CliError::new(code::KEY, format!("key `{name}` cannot be put under a passphrase"))
            .because(&error)
    })
}
