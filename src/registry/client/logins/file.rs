//! A login file of Docker (`config.json`) or Podman (`auth.json`), or a Kubernetes secret
//! (`.dockerconfigjson`): one JSON for all. The form before it (`.dockercfg`), which has the entries of
//! `auths` alone, is read too.

use std::{collections::BTreeMap, io, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    FoundLogin, Login, LoginError, LoginOrigin,
    helper::Helper,
    names::{Names, plain},
};
use crate::{
    text_file::{self, TextFileError},
    types::{CopyFlaw, Secret},
};

/// The longest login file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// What is in a login file, as far as it is about logins.
#[derive(Default, Deserialize)]
pub(super) struct LoginFile {
    #[serde(default)]
    auths: Option<BTreeMap<String, Entry>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<BTreeMap<String, String>>,
}

/// The form of `.dockercfg`.
type OldForm = BTreeMap<String, Entry>;

#[derive(Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl LoginFile {
    /// Reads the file, if there is one.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, LoginError> {
        let Some(text) = text_of(path)?.filter(|text| !text.trim().is_empty()) else {
            return Ok(None);
        };
        let read: Self = serde_json::from_str(&text).map_err(|error| LoginError::Malformed {
            path: path.to_owned(),
            why: flaw_of(&text, &error),
        })?;
        let is_old_form = read.auths.is_none() && read.store.is_none() && read.helpers.is_none();
        if is_old_form && let Ok(auths) = serde_json::from_str::<OldForm>(&text) {
            return Ok(Some(Self { auths: Some(auths), ..Self::default() }));
        }
        Ok(Some(read))
    }

    /// The registries that it names, without control characters.
    pub(super) fn registries(&self) -> Vec<String> {
        let auths = self.auths.iter().flat_map(BTreeMap::keys);
        let helpers = self.helpers.iter().flat_map(BTreeMap::keys);
        auths.chain(helpers).map(|key| plain(key).replace(char::is_control, "")).collect()
    }

    /// The login for the longest of `names` that there is one for. `path` is the file's.
    pub(super) async fn find(
        &self,
        path: &Path,
        names: &Names,
    ) -> Result<Option<FoundLogin>, LoginError> {
        let no_helpers = BTreeMap::new();
        let helpers = self.helpers.as_ref().unwrap_or(&no_helpers);
        for name in names.within() {
            if let Some((key, helper)) = by_name(helpers, |key| key == name)
                && let Some(found) = ask(path, helper, key).await?
            {
                return Ok(Some(found));
            }
            if let Some(found) = self.entry(path, |key| plain(key) == name)? {
                return Ok(Some(found));
            }
        }
        let Some((key, helper)) = self.helper_of(names) else {
            return self.entry(path, |key| names.is_host(key));
        };
        let asked = ask(path, helper, key).await;
        match asked {
            Ok(Some(found)) => Ok(Some(found)),
            // Docker leaves an empty entry beside what its store keeps, but an older one may be whole.
            other => match self.entry(path, |key| names.is_host(key))? {
                Some(found) => Ok(Some(found)),
                None => other,
            },
        }
    }

    /// The login of an entry whose key fits. Keys as they are written now come before old ones.
    fn entry(
        &self,
        path: &Path,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Option<FoundLogin>, LoginError> {
        let mut fitting: Vec<_> =
            self.auths.iter().flatten().filter(|(key, _)| fits(key)).collect();
        fitting.sort_by_key(|(key, _)| key.contains("://"));
        for (key, entry) in fitting {
            let login = entry.login().map_err(|why| LoginError::Malformed {
                path: path.to_owned(),
                why: format!("the entry `{key}` {why}"),
            })?;
            if let Some(login) = login {
                let origin = LoginOrigin::File { path: path.to_owned(), key: key.clone() };
                return Ok(Some(FoundLogin { login, origin }));
            }
        }
        Ok(None)
    }

    /// The helper that keeps the login of the registry with these names, if one does, and under which
    /// key it does.
    pub(super) fn helper_of<'a>(&'a self, names: &'a Names) -> Option<(&'a str, &'a str)> {
        let by_host = self.helpers.as_ref().and_then(|all| by_name(all, |key| names.is_host(key)));
        by_host.or_else(|| {
            let store = self.store.as_deref().filter(|store| !store.is_empty())?;
            Some((names.key(), store))
        })
    }
}

/// The text of a login file, if there is one.
pub(super) fn text_of(path: &Path) -> Result<Option<Zeroizing<String>>, LoginError> {
    match text_file::read(path, MAX_FILE) {
        Ok(text) => Ok(Some(text.noted(path))),
        Err(TextFileError::Read(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(TextFileError::Read(source)) => Err(LoginError::Open { path: path.to_owned(), source }),
        Err(error) => Err(LoginError::Malformed { path: path.to_owned(), why: error.to_string() }),
    }
}

/// What is wrong with a file that is not the JSON of logins. The parser's own words may quote what is in the file.
fn flaw_of(text: &str, error: &serde_json::Error) -> String {
    let at = error.line();
    let line = text.lines().nth(at.saturating_sub(1)).unwrap_or_default();
    // A string that is open at the end of its line: base64 that a terminal has wrapped.
    if error.is_syntax() && line.matches('"').count() % 2 == 1 {
        return format!(
            "line {at} ends inside a text in quotes: was a long `auth` wrapped as it was copied?"
        );
    }
    format!("line {at} is not the JSON that was expected")
}

fn by_name(
    helpers: &BTreeMap<String, String>,
    fits: impl Fn(&str) -> bool,
) -> Option<(&str, &str)> {
    let found = helpers.iter().find(|(key, helper)| fits(key) && !helper.is_empty());
    found.map(|(key, helper)| (key.as_str(), helper.as_str()))
}

async fn ask(path: &Path, helper: &str, key: &str) -> Result<Option<FoundLogin>, LoginError> {
    let helper = Helper::new(helper);
    let answer = helper.get(key).await.map_err(|source| LoginError::Helper {
        path: path.to_owned(),
        helper: helper.program().to_owned(),
        source,
    })?;
    Ok(answer.map(|login| FoundLogin {
        login,
        origin: LoginOrigin::Helper {
            path: path.to_owned(),
            key: key.to_owned(),
            program: helper.program().to_owned(),
        },
    }))
}

impl Entry {
    /// The login in it, if there is one; else what is wrong with it.
    fn login(&self) -> Result<Option<Login>, String> {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = filled(&self.registrytoken) {
            check_copy("registrytoken", &token)?;
            return Ok(Some(Login::RegistryToken(Secret::new(token))));
        }
        let (username, password) = match filled(&self.auth) {
            Some(auth) => pair(&auth)?,
            None => (filled(&self.username), filled(&self.password)),
        };
        if let Some(token) = filled(&self.identitytoken) {
            check_copy("identitytoken", &token)?;
            return Ok(Some(Login::IdentityToken { username, token: Secret::new(token) }));
        }
        if username.is_none() && password.is_none() {
            return Ok(None); // Docker writes an empty entry beside a credential store
        }
        let password = password.unwrap_or_default();
        check_copy("user name", username.as_deref().unwrap_or_default())?;
        check_copy("password", &password)?;
        Ok(Some(Login::new(username.unwrap_or_default(), Secret::new(password))))
    }
}

/// Refuses a part of a login that broke as it was copied; a registry would refuse it without saying why. Blanks around
/// it, which may be part of a password, are warned of.
fn check_copy(part: &str, value: &str) -> Result<(), String> {
    match CopyFlaw::of(value) {
        Some(flaw) if flaw.breaks_password() => {
            Err(format!("has a {part} that is not as it was issued: {flaw}"))
        }
        Some(flaw @ (CopyFlaw::LeadingBlank | CopyFlaw::TrailingBlank)) => {
            tracing::warn!(event = "secret.suspect_copy", part, %flaw, "a part of a login may have been copied with more than itself");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// User and password of an `auth`. Docker's reader passes over line breaks in it, and so does this one.
fn pair(auth: &str) -> Result<(Option<String>, Option<String>), String> {
    let joined = Zeroizing::new(auth.replace(['\r', '\n'], ""));
    let base64 = joined.trim();
    let wrong = || match CopyFlaw::of(base64) {
        Some(flaw) => format!("has an `auth` that is not as it was issued: {flaw}"),
        None => "has an `auth` that is not the base64 of user:password".to_owned(),
    };
    let decoded = BASE64_STANDARD_NO_PAD.decode(base64.trim_end_matches('=')).map(Zeroizing::new);
    let decoded = decoded.ok().and_then(|it| std::str::from_utf8(&it).ok().map(str::to_owned));
    let decoded = Zeroizing::new(decoded.ok_or_else(wrong)?);
    let (username, password) = decoded.split_once(':').ok_or_else(wrong)?;
    // Docker once filled it up with zero bytes.
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok((filled(username), filled(password.trim_end_matches('\0'))))
}
