//! Who we are at which registry: given logins, and the login files of Docker and Podman.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::types::{Registry, Repository, Secret, jwt};

mod file;
mod helper;
mod keep;
mod names;
pub(super) mod rights;

pub use helper::HelperProblem;
pub use keep::{Keeper, forget_login, keep_login};

use file::LoginFile;
use names::Names;

/// The user name by which credential helpers mark an identity token.
const TOKEN_USER: &str = "<token>";

/// The most registries that an error names beside the one that there is no login for.
const MOST_NAMED: usize = 3;

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// A name and a password, or whatever a registry takes in its place.
    Password {
        /// The name of the user.
        username: String,
        /// The password or token.
        password: Secret,
    },
    /// A refresh token, which buys access tokens from the registry's token server.
    IdentityToken {
        /// The name that stands beside it in a login file, if there is one.
        username: Option<String>,
        /// The token.
        token: Secret,
    },
    /// A bearer token for the registry itself, which no token server is asked for.
    RegistryToken(Secret),
}

impl Login {
    /// A login by name and password.
    pub fn new(username: impl Into<String>, password: Secret) -> Self {
        Self::Password { username: username.into(), password }
    }

    /// A login by an identity token, which buys access tokens from the registry's token server.
    pub fn by_identity_token(token: Secret) -> Self {
        Self::IdentityToken { username: None, token }
    }

    /// The name of the user; `<token>` where a token stands alone.
    pub fn username(&self) -> &str {
        match self {
            Self::Password { username, .. }
            | Self::IdentityToken { username: Some(username), .. } => username,
            _ => TOKEN_USER,
        }
    }

    /// When it ends, if it is a token that says so. What it says is believed, not verified: it is
    /// good for a warning, and for nothing else.
    pub fn expires(&self) -> Option<Timestamp> {
        jwt::expiry(self.secret().expose())
    }

    pub(super) fn secret(&self) -> &Secret {
        match self {
            Self::Password { password: secret, .. }
            | Self::IdentityToken { token: secret, .. }
            | Self::RegistryToken(secret) => secret,
        }
    }

    /// The base64 of `user:password`, as headers and login files want it.
    pub(super) fn pair(&self) -> Secret {
        let pair = Zeroizing::new(format!("{}:{}", self.username(), self.secret().expose()));
        Secret::new(BASE64_STANDARD.encode(pair.as_bytes()))
    }
}

/// Where a login comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginOrigin {
    /// It was given to the client.
    Given,
    /// It stands in a login file.
    File {
        /// The file.
        path: PathBuf,
        /// Its key in there.
        key: String,
    },
    /// A credential helper gave it, which a login file names.
    Helper {
        /// The login file.
        path: PathBuf,
        /// What the helper was asked for.
        key: String,
        /// The helper's program.
        program: String,
    },
}

impl fmt::Display for LoginOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("given"),
            Self::File { path, key } => write!(f, "`{key}` in {}", path.display()),
            Self::Helper { path, key, program } => {
                write!(f, "`{key}` from {program}, which {} names", path.display())
            }
        }
    }
}

/// A login, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundLogin {
    /// The login.
    pub login: Login,
    /// Where it comes from.
    pub origin: LoginOrigin,
}

/// Why a login file or credential helper gave no login, or did not take one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The file cannot be opened.
    #[error("failed to open {}", .path.display())]
    Open {
        /// The login file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("failed to write {}", .path.display())]
    Write {
        /// The login file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no login file, or an entry in it cannot be read.
    #[error("{} is no login file of Docker or Podman: {why}", .path.display())]
    Malformed {
        /// The login file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A credential helper that the file names failed.
    #[error("the credential helper {helper}, which {} names, failed", .path.display())]
    Helper {
        /// The login file.
        path: PathBuf,
        /// The program.
        helper: String,
        /// What went wrong; never what the helper printed.
        source: HelperProblem,
    },
}

/// Where logins come from: given ones first, then login files in their order.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    given: BTreeMap<Registry, Login>,
    files: Vec<PathBuf>,
}

impl Logins {
    /// No logins.
    pub fn none() -> Self {
        Self::default()
    }

    /// With a login for `registry`, which wins over the files.
    #[must_use]
    pub fn with(mut self, registry: Registry, login: Login) -> Self {
        self.given.insert(registry, login);
        self
    }

    /// With the login file at `path`, of Docker or Podman; it need not exist. A file that was added
    /// before is asked first.
    #[must_use]
    pub fn and_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// The login for `registry` as a whole, if there is one. May run a credential helper.
    pub async fn for_registry(
        &self,
        registry: &Registry,
    ) -> Result<Option<FoundLogin>, LoginError> {
        self.find(registry, &Names::of_registry(registry)).await
    }

    /// The login for `repository`, if there is one: that with the longest key that it begins with.
    /// May run a credential helper.
    pub async fn for_repository(
        &self,
        repository: &Repository,
    ) -> Result<Option<FoundLogin>, LoginError> {
        self.find(repository.registry(), &Names::of_repository(repository)).await
    }

    /// The first registries that there are logins for, as the files name them. A file that cannot be read
    /// has none.
    pub(super) async fn registries(&self) -> Vec<String> {
        let mut names: Vec<String> = self.given.keys().map(ToString::to_string).collect();
        for path in &self.files {
            if let Ok(Some(file)) = read_file(path).await {
                names.extend(file.registries());
            }
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names.truncate(MOST_NAMED);
        names
    }

    async fn find(
        &self,
        registry: &Registry,
        names: &Names,
    ) -> Result<Option<FoundLogin>, LoginError> {
        if let Some(login) = self.given.get(registry) {
            let (login, origin) = (login.clone(), LoginOrigin::Given);
            return Ok(Some(FoundLogin { login, origin }));
        }
        for path in &self.files {
            if let Some(found) = find_in(path, names).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

async fn find_in(path: &Path, names: &Names) -> Result<Option<FoundLogin>, LoginError> {
    match read_file(path).await? {
        Some(file) => file.find(path, names).await,
        None => Ok(None),
    }
}

async fn read_file(path: &Path) -> Result<Option<LoginFile>, LoginError> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || LoginFile::read(&owned));
    let failed = |error: tokio::task::JoinError| LoginError::Open {
        path: path.to_owned(),
        source: error.into(),
    };
    read.await.map_err(failed)?
}

#[cfg(test)]
mod tests;
