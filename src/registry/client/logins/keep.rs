//! Logins kept for later, and forgotten: in the ordinary login file, or by the credential helper that
//! it names.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde::Serialize as _;
use serde_json::{Map, Value, ser::PrettyFormatter};
use zeroize::Zeroizing;

use super::{
    Login, LoginError,
    file::{LoginFile, text_of},
    helper::Helper,
    names::Names,
};
use crate::types::Registry;

/// How long another program may hold the folder of the login file.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the folder is asked for in this time.
const TURN: Duration = Duration::from_millis(20);
/// What an entry holds of a login; what else is in it stays.
const PARTS: [&str; 5] = ["auth", "username", "password", "identitytoken", "registrytoken"];

/// Who keeps a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// The login file.
    File(PathBuf),
    /// This program, which the login file names.
    Helper(String),
}

/// Keeps `login` for `registry`: in the login file at `path`, which is made if it is missing, or in the
/// credential helper that it names. What else is in the file stays.
pub async fn keep_login(
    path: &Path,
    registry: &Registry,
    login: &Login,
) -> Result<Keeper, LoginError> {
    let names = Names::of_registry(registry);
    let helper = helper_of(path, &names).await?;
    let entry = match &helper {
        Some((key, helper)) => {
            let stored = helper.store(key, login).await;
            stored.map_err(|source| helper_failed(path, helper, source))?;
            Map::new()
        }
        None => entry_of(login),
    };
    let at = path.to_owned();
    change(&at, move |auths| {
        let mut kept = Map::new();
        for (_, old) in take(auths, &names) {
            let Value::Object(old) = old else { continue };
            kept.extend(old.into_iter().filter(|(part, _)| !PARTS.contains(&part.as_str())));
        }
        kept.extend(entry);
        auths.insert(names.key().to_owned(), Value::Object(kept));
        true
    })
    .await?;
    Ok(match helper {
        Some((_, helper)) => Keeper::Helper(helper.program().to_owned()),
        None => Keeper::File(at),
    })
}

/// Forgets the login for `registry`: who kept one. Logins for single namespaces stay.
pub async fn forget_login(path: &Path, registry: &Registry) -> Result<Vec<Keeper>, LoginError> {
    let names = Names::of_registry(registry);
    let mut forgotten = Vec::new();
    if let Some((key, helper)) = helper_of(path, &names).await? {
        let failed = |source| helper_failed(path, &helper, source);
        // Some helpers erase what they do not know without a word.
        if helper.get(&key).await.map_err(failed)?.is_some()
            && helper.erase(&key).await.map_err(failed)?
        {
            forgotten.push(Keeper::Helper(helper.program().to_owned()));
        }
    }
    let there = text_of(path)?.is_some();
    let kept_some = |entry: &Value| PARTS.iter().any(|part| entry.get(part).is_some());
    if there
        && change(path, move |auths| take(auths, &names).iter().any(|it| kept_some(&it.1))).await?
    {
        forgotten.push(Keeper::File(path.to_owned()));
    }
    Ok(forgotten)
}

fn helper_failed(path: &Path, helper: &Helper, source: super::HelperProblem) -> LoginError {
    let (path, helper) = (path.to_owned(), helper.program().to_owned());
    LoginError::Helper { path, helper, source }
}

/// The helper that keeps the login, and under which key.
async fn helper_of(path: &Path, names: &Names) -> Result<Option<(String, Helper)>, LoginError> {
    let (at, names) = (path.to_owned(), names.clone());
    let found = tokio::task::spawn_blocking(move || {
        let file = LoginFile::read(&at)?;
        let kept = file.as_ref().and_then(|file| file.helper_of(&names));
        Ok(kept.map(|(key, helper)| (key.to_owned(), Helper::new(helper))))
    });
    found.await.unwrap_or_else(|error| {
        Err(LoginError::Open { path: path.to_owned(), source: error.into() })
    })
}

fn entry_of(login: &Login) -> Map<String, Value> {
    let text = |text: &str| Value::String(text.to_owned());
    let mut entry = Map::new();
    match login {
        Login::Password { .. } => {
            entry.insert("auth".to_owned(), text(login.pair().expose()));
        }
        Login::IdentityToken { username, token } => {
            if let Some(username) = username {
                let name_alone = Login::new(username.clone(), crate::types::Secret::new(""));
                entry.insert("auth".to_owned(), text(name_alone.pair().expose()));
            }
            entry.insert("identitytoken".to_owned(), text(token.expose()));
        }
        Login::RegistryToken(token) => {
            entry.insert("registrytoken".to_owned(), text(token.expose()));
        }
    }
    entry
}

/// Takes the entries of the registry with these names out.
fn take(auths: &mut Map<String, Value>, names: &Names) -> Vec<(String, Value)> {
    let keys: Vec<String> = auths.keys().filter(|key| names.is_host(key)).cloned().collect();
    keys.into_iter().filter_map(|key| auths.shift_remove_entry(&key)).collect()
}

/// Changes the `auths` of the login file, whole or not at all, while nobody else of ours does. What
/// `edit` returns is passed on.
async fn change(
    path: &Path,
    edit: impl FnOnce(&mut Map<String, Value>) -> bool + Send + 'static,
) -> Result<bool, LoginError> {
    let at = path.to_owned();
    let changed = tokio::task::spawn_blocking(move || {
        // A link, as programs that care for such files make it, stays one.
        let at = fs::canonicalize(&at).unwrap_or(at);
        let failed = |source| LoginError::Write { path: at.clone(), source };
        let folder = at.parent().filter(|it| !it.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let _lock = lock(folder).map_err(failed)?;
        let malformed = |why: &str| LoginError::Malformed { path: at.clone(), why: why.to_owned() };
        let mut file: Map<String, Value> = match text_of(&at)? {
            Some(text) if !text.trim().is_empty() => serde_json::from_str(&text)
                .map_err(|_| malformed("it is not the JSON that was expected"))?,
            _ => Map::new(),
        };
        let auths = file.entry("auths").or_insert_with(|| Value::Object(Map::new()));
        if auths.is_null() {
            *auths = Value::Object(Map::new());
        }
        let auths = auths.as_object_mut().ok_or_else(|| malformed("`auths` is no object"))?;
        let told = edit(auths);
        write(&at, folder, &file).map_err(failed)?;
        Ok(told)
    });
    changed.await.unwrap_or_else(|error| {
        Err(LoginError::Write { path: path.to_owned(), source: error.into() })
    })
}

/// The folder, for this process alone among those that ask.
fn lock(folder: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    for _ in 0..PATIENCE.as_millis() / TURN.as_millis() {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::WouldBlock) => thread::sleep(TURN),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another program is changing it"))
}

/// Writes the file anew, as Docker indents it, and for its owner alone.
fn write(path: &Path, folder: &Path, file: &Map<String, Value>) -> io::Result<()> {
    let mut text = Zeroizing::new(Vec::new());
    let form = PrettyFormatter::with_indent(b"\t");
    file.serialize(&mut serde_json::Serializer::with_formatter(&mut *text, form))?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?; // of mode 0600
    new.write_all(&text)?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    Ok(())
}
