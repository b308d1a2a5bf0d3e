//! Credential helpers: programs that keep logins for Docker and Podman.
//!
//! The protocol is that of docker-credential-helpers: a word as argument, the registry on stdin, JSON
//! on stdout. What a helper prints may hold a secret, so that none of it goes into an error.

use std::{io, process::Stdio, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::Command,
};
use zeroize::Zeroizing;

use super::{Login, TOKEN_USER};
use crate::types::Secret;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;
/// How long a helper may take: some ask their user to unlock a keychain.
const PATIENCE: Duration = Duration::from_mins(1);

/// What went wrong with a credential helper.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HelperProblem {
    /// Its name is no part of a program's name.
    #[error("its name is none of a program")]
    Name,
    /// It cannot be started.
    #[error("it cannot be started")]
    Start(#[source] io::Error),
    /// It does not end.
    #[error("it did not end within {} s", .0.as_secs())]
    Slow(Duration),
    /// It ended without success.
    #[error("it ended with {0}")]
    Failed(std::process::ExitStatus),
    /// What it printed is not what was expected.
    #[error("its answer cannot be read")]
    Answer,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Credentials {
    #[serde(rename = "ServerURL", default)]
    server: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

/// A helper by the name that a login file gives it.
#[derive(Debug)]
pub(super) struct Helper {
    program: String,
    /// Whether the name may be a program's: a file of logins does not choose what is run anywhere.
    fits: bool,
    patience: Duration,
}

impl Helper {
    /// The helper `docker-credential-NAME`.
    pub(super) fn new(name: &str) -> Self {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let program = format!("docker-credential-{name}");
        Self { fits: program.chars().all(fits), program, patience: PATIENCE }
    }

    #[cfg(test)]
    pub(super) fn at(path: &std::path::Path) -> Self {
        Self { program: path.display().to_string(), fits: true, patience: PATIENCE }
    }

    #[cfg(test)]
    pub(super) fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Its program.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// The login that it keeps for `server`.
    pub(super) async fn get(&self, server: &str) -> Result<Option<Login>, HelperProblem> {
        let Some(answer) = self.run("get", server.as_bytes()).await? else { return Ok(None) };
        let found: Credentials =
            serde_json::from_slice(&answer).map_err(|_| HelperProblem::Answer)?;
        let secret = Secret::new(found.secret);
        if found.username.is_empty() && secret.is_empty() {
            return Ok(None);
        }
        Ok(Some(if found.username == TOKEN_USER {
            Login::by_identity_token(secret)
        } else {
            Login::new(found.username, secret)
        }))
    }

    /// Lets it keep `login` for `server`.
    pub(super) async fn store(&self, server: &str, login: &Login) -> Result<(), HelperProblem> {
        let username = match login {
            Login::Password { username, .. } => username,
            _ => TOKEN_USER,
        };
        let credentials = Credentials {
            server: server.to_owned(),
            username: username.to_owned(),
            secret: login.secret().expose().to_owned(),
        };
        let text = serde_json::to_vec(&credentials).map_err(|_| HelperProblem::Answer)?;
        self.run("store", &Zeroizing::new(text)).await.map(|_| ())
    }

    /// Lets it forget `server`; whether it knew it.
    pub(super) async fn erase(&self, server: &str) -> Result<bool, HelperProblem> {
        Ok(self.run("erase", server.as_bytes()).await?.is_some())
    }

    /// Runs it; none if it says that it knows no such server.
    async fn run(
        &self,
        action: &str,
        input: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, HelperProblem> {
        if !self.fits {
            return Err(HelperProblem::Name);
        }
        let talk = self.talk(action, input);
        match tokio::time::timeout(self.patience, talk).await {
            Ok(answer) => answer,
            Err(_) => Err(HelperProblem::Slow(self.patience)),
        }
    }

    async fn talk(
        &self,
        action: &str,
        input: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, HelperProblem> {
        let mut child = Command::new(&self.program)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(HelperProblem::Start)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let tell = async {
            if let Some(mut stdin) = stdin {
                // A helper that does not listen may still answer.
                let _ = stdin.write_all(input).await;
            }
        };
        let mut answer = Zeroizing::new(Vec::new());
        let listen = async {
            match stdout {
                Some(stdout) => stdout.take(MAX_ANSWER + 1).read_to_end(&mut answer).await,
                None => Ok(0),
            }
        };
        let ((), heard) = tokio::join!(tell, listen);
        heard.map_err(|_| HelperProblem::Answer)?;
        if answer.len() as u64 > MAX_ANSWER {
            return Err(HelperProblem::Answer); // the program is killed as it is dropped
        }
        let status = child.wait().await.map_err(HelperProblem::Start)?;
        if status.success() {
            Ok(Some(answer))
        } else if String::from_utf8_lossy(&answer).contains("credentials not found") {
            Ok(None)
        } else {
            Err(HelperProblem::Failed(status))
        }
    }
}
