//! Who we are at which registry: given logins, and the login files of Docker and Podman.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::types::{Registry, Secret};

/// The longest login file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// The user name by which credential helpers mark an identity token.
const TOKEN_USER: &str = "<token>";

/// A name and a password, or an identity token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name of the user.
    pub username: String,
    /// The password or token.
    pub password: Secret,
}

impl Login {
    /// A login by name and password.
    pub fn new(username: impl Into<String>, password: Secret) -> Self {
        Self { username: username.into(), password }
    }

    /// A login by an identity token, which buys access tokens from the registry's token server.
    pub fn by_identity_token(token: Secret) -> Self {
        Self::new(TOKEN_USER, token)
    }

    /// Whether the password is an identity token.
    pub(super) fn is_identity_token(&self) -> bool {
        self.username == TOKEN_USER
    }
}

/// Why a login file or credential helper gave no login.
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
    /// The file is no login file, or an entry in it cannot be read.
    #[error("{} is no login file of Docker or Podman: {why}", .path.display())]
    Malformed {
        /// The login file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A credential helper that the file names failed.
    #[error("a credential helper of {} failed{}", .path.display(), named(.helper))]
    Helper {
        /// The login file.
        path: PathBuf,
        /// The program, if it is known.
        helper: String,
    },
}

fn named(helper: &str) -> String {
    if helper.is_empty() { String::new() } else { format!(": {helper}") }
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

    /// With the login file at `path`, of Docker or Podman; it need not exist.
    #[must_use]
    pub fn and_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.files.push(path.into());
        self
    }

    /// The login for `registry`, if there is one. May run a credential helper.
    pub async fn for_registry(&self, registry: &Registry) -> Result<Option<Login>, LoginError> {
        if let Some(login) = self.given.get(registry) {
            return Ok(Some(login.clone()));
        }
        if self.files.is_empty() {
            return Ok(None);
        }
        let (files, registry) = (self.files.clone(), registry.clone());
        let looked_up = tokio::task::spawn_blocking(move || {
            for path in &files {
                if let Some(login) = from_file(path, &registry)? {
                    return Ok(Some(login));
                }
            }
            Ok(None)
        });
        looked_up.await.unwrap_or(Ok(None))
    }
}

/// The names under which login files keep a registry.
fn keys(registry: &Registry) -> Vec<&str> {
    if *registry == Registry::docker_hub() {
        vec!["https://index.docker.io/v1/", "docker.io"]
    } else {
        vec![registry.as_str()]
    }
}

fn from_file(path: &Path, registry: &Registry) -> Result<Option<Login>, LoginError> {
    let malformed =
        |why: &str| LoginError::Malformed { path: path.to_owned(), why: why.to_owned() };
    let open_failed = |source| LoginError::Open { path: path.to_owned(), source };
    let mut text = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_FILE).read_to_end(&mut text).map_err(open_failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(open_failed(error)),
    };
    for key in keys(registry) {
        // The crate's errors may hold what a helper printed, so none of them is kept as it is.
        let found = match docker_credential::get_credential_from_reader(&text[..], key) {
            Ok(found) => found,
            Err(CredentialRetrievalError::NoCredentialConfigured) => continue,
            Err(CredentialRetrievalError::HelperFailure { stdout, .. })
                if stdout.contains("credentials not found") =>
            {
                continue;
            }
            Err(CredentialRetrievalError::HelperFailure { helper, .. }) => {
                return Err(LoginError::Helper { path: path.to_owned(), helper });
            }
            Err(
                CredentialRetrievalError::HelperCommunicationError
                | CredentialRetrievalError::MalformedHelperResponse,
            ) => {
                return Err(LoginError::Helper { path: path.to_owned(), helper: String::new() });
            }
            Err(CredentialRetrievalError::CredentialDecodingError) => {
                return Err(malformed("an `auth` is not the base64 of user:password"));
            }
            Err(_) => return Err(malformed("it is not the JSON that was expected")),
        };
        let login = match found {
            DockerCredential::IdentityToken(token) => Login::by_identity_token(Secret::new(token)),
            DockerCredential::UsernamePassword(user, password) => {
                Login::new(user, Secret::new(password))
            }
        };
        // Docker writes an empty entry beside a credential store.
        if !login.username.is_empty() || !login.password.is_empty() {
            return Ok(Some(login));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    async fn look_up(text: &str, registry: &str) -> Result<Option<Login>, LoginError> {
        let file = file(text);
        Logins::none().and_file(file.path()).for_registry(&registry.parse().unwrap()).await
    }

    #[tokio::test]
    async fn the_login_file_of_docker_is_read() {
        // "bob:pa:ss"
        let text = r#"{"auths":{"reg.example.com:5000":{"auth":"Ym9iOnBhOnNz"},
            "https://index.docker.io/v1/":{"auth":"Ym9iOnBhOnNz"}}}"#;
        let expected = Login::new("bob", Secret::new("pa:ss"));
        for registry in ["reg.example.com:5000", "docker.io"] {
            assert_eq!(look_up(text, registry).await.unwrap(), Some(expected.clone()));
        }
        assert_eq!(look_up(text, "other.example.com").await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_identity_token_is_known_as_one() {
        let text = r#"{"auths":{"a.azurecr.io":{"auth":"","identitytoken":"t"}}}"#;
        assert!(look_up(text, "a.azurecr.io").await.unwrap().unwrap().is_identity_token());
    }

    #[tokio::test]
    async fn a_given_login_wins_and_a_missing_file_is_none() {
        let registry: Registry = "a.b".parse().unwrap();
        let logins = Logins::none().and_file("/nowhere/config.json");
        assert_eq!(logins.for_registry(&registry).await.unwrap(), None);
        let given = Login::new("x", Secret::new("y"));
        let logins = logins.with(registry.clone(), given.clone());
        assert_eq!(logins.for_registry(&registry).await.unwrap(), Some(given));
    }

    #[tokio::test]
    async fn garbage_and_failing_helpers_are_told_without_their_output() {
        assert!(matches!(look_up("{", "a.b").await, Err(LoginError::Malformed { .. })));
        let text = r#"{"credHelpers":{"a.b":"there-is-no-such-helper"}}"#;
        assert!(matches!(look_up(text, "a.b").await, Err(LoginError::Helper { .. })));
    }
}
