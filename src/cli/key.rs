//! `edgepost key`: the keys that sign what is published.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
        files::read_text,
    },
    private_file::{self, PrivateFileError},
    publish::Publisher,
    sign::{SigningKey, VerifyingKey},
};

/// The key that is used where none is named.
pub(super) const DEFAULT_KEY: &str = "default";
/// A key file of ours has some 120 bytes; encrypted ones of others fit too.
const LARGEST_KEY_FILE: u64 = 64 * 1024;

/// Signing keys
#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key pair
    Create(CreateArgs),
    /// List the key pairs
    List,
    /// Show the public half of a key, as PEM
    Show(ShowArgs),
}

/// Make a key pair
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// The key's name
    #[arg(default_value = DEFAULT_KEY)]
    name: String,
}

/// Show the public half of a key, as PEM
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The key's name, or the path of its file
    #[arg(default_value = DEFAULT_KEY)]
    name: String,
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
        let folder = context.environment.keys();
        let keys = self.key.iter().map(|name| read_key(&folder, name)).collect::<Result<_, _>>()?;
        let client = context.client()?;
        Ok(Publisher::new(client.org().clone(), client, keys, context.clock.clone()))
    }
}

impl KeyCommand {
    /// Runs the command.
    pub(super) fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Create(args) => create(&args.name, context),
            Self::List => list(context),
            Self::Show(args) => show(&args.name, context),
        }
    }
}

fn create(name: &str, context: &Context) -> Result<(), CliError> {
    let key = create_key(&context.environment.keys(), name)?;
    let file = key_path(&context.environment.keys(), name);
    let id = key.key_id();
    context.output.note(format!("made key `{name}` in {}", file.display()));
    context
        .output
        .result(&json!({"ok": true, "name": name, "id": id, "file": file}), || id.to_string());
    context.output.next("edgepost trust init, once for each organization");
    Ok(())
}

fn list(context: &Context) -> Result<(), CliError> {
    let folder = context.environment.keys();
    let mut keys = Vec::new();
    for name in key_names(&folder)? {
        let public = read_public(&folder, &name)?;
        keys.push((name, public.key_id()));
    }
    let rows = keys.iter().map(|(name, id)| vec![name.clone(), id.to_string()]);
    let objects: Vec<_> = keys.iter().map(|(name, id)| json!({"name": name, "id": id})).collect();
    context.output.list(&objects, &["KEY", "ID"], rows);
    Ok(())
}

fn show(name: &str, context: &Context) -> Result<(), CliError> {
    let public = read_public(&context.environment.keys(), name)?;
    let pem = public.to_pem();
    context
        .output
        .result(&json!({"name": name, "id": public.key_id(), "publicKey": pem}), || pem.clone());
    Ok(())
}

/// Makes a key pair `name` in `folder`; one that exists is never overwritten.
pub(super) fn create_key(folder: &Path, name: &str) -> Result<SigningKey, CliError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.@+".contains(c);
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(fits) {
        return Err(CliError::new(code::KEY, format!("`{name}` cannot name a key"))
            .help("use letters, digits, `-` and `_`"));
    }
    fs::create_dir_all(folder).map_err(|error| file_error(folder, &error))?;
    let key = SigningKey::generate();
    let path = key_path(folder, name);
    create_file(&path, 0o600, key.to_pem().as_bytes()).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            CliError::new(code::CONFLICT, format!("key `{name}` exists already"))
                .at(path.display())
                .help("choose another name; a lost key cannot be made again")
        }
        _ => file_error(&path, &error),
    })?;
    let public = public_path(folder, name);
    create_file(&public, 0o644, key.verifying_key().to_pem().as_bytes())
        .map_err(|error| file_error(&public, &error))?;
    Ok(key)
}

/// Reads a signing key by its name in `folder`, or by the path of its file.
pub(super) fn read_key(folder: &Path, name: &str) -> Result<SigningKey, CliError> {
    let path = find_key(folder, name);
    let pem = read_private(&path, Private::Key)?;
    SigningKey::from_pem(&pem).map_err(|error| {
        CliError::new(code::KEY, format!("key `{name}` cannot be used"))
            .at(path.display())
            .because(&error)
            .help("`edgepost key create` makes one; an RSA key is given by --horizon-key")
    })
}

/// What a file that only its owner may read is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Private {
    /// A key.
    Key,
    /// The logins that nodes get.
    Logins,
}

/// Reads a file that only its owner may read.
pub(super) fn read_private(path: &Path, holds: Private) -> Result<Zeroizing<String>, CliError> {
    use PrivateFileError as E;
    let (code, thing) = match holds {
        Private::Key => (code::KEY, "key"),
        Private::Logins => (code::FILES, "file of logins"),
    };
    let refuse = |what: &str| CliError::new(code, format!("the {thing} {what}")).at(path.display());
    let file = private_file::open(path).map_err(|error| match error {
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
    let mut text = Zeroizing::new(String::new());
    file.take(LARGEST_KEY_FILE)
        .read_to_string(&mut text)
        .map_err(|error| file_error(path, &error))?;
    Ok(text)
}

fn read_public(folder: &Path, name: &str) -> Result<VerifyingKey, CliError> {
    let path = public_path(folder, name);
    if path.is_file() {
        let pem = read_text(&path)?;
        return VerifyingKey::from_pem(&pem).map_err(|error| {
            CliError::new(code::KEY, format!("public key `{name}` cannot be used"))
                .at(path.display())
                .because(&error)
        });
    }
    read_key(folder, name).map(|key| key.verifying_key())
}

fn create_file(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn find_key(folder: &Path, name: &str) -> PathBuf {
    let named = key_path(folder, name);
    if named.is_file() || !Path::new(name).exists() { named } else { name.into() }
}

fn key_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.key.pem"))
}

fn public_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.public.pem"))
}

fn key_names(folder: &Path) -> Result<Vec<String>, CliError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(file_error(folder, &error)),
    };
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|file| file.strip_suffix(".key.pem").map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}
