//! New passwords of users: from a file, or from a person at the terminal. Never from the command line, which every
//! user of the machine can read.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::first_line;
use crate::{
    cli::{Context, code, error::CliError},
    exchange::{api::NewPassword, client::ExchangeClient},
    types::{Secret, UserId},
};

/// The shortest password that is taken from a person, in characters. A file is taken as it is: what an
/// organization asks for is checked by its exchange.
const SHORTEST: usize = 12;

/// Give a user another password
///
/// Without --password-file the password is asked for, twice. API keys stay valid unless --revoke-api-keys is given.
#[derive(Debug, Args)]
pub(in crate::cli) struct PasswordArgs {
    /// The user's name
    name: UserId,
    /// A file with the password in its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Remove the user's API keys too
    #[arg(long)]
    revoke_api_keys: bool,
}

impl PasswordArgs {
    /// Runs the command.
    pub(in crate::cli) async fn run(
        &self,
        client: &ExchangeClient,
        context: &Context,
    ) -> Result<(), CliError> {
        let password = new_password(self.password_file.as_deref(), &self.name)?.into();
        let request = NewPassword { password, revoke_api_keys: self.revoke_api_keys };
        let revoked = client.set_password(&self.name, &request).await?.revoked;
        let result = json!({"ok": true, "user": self.name, "revokedApiKeys": revoked});
        context.output.result(&result, || self.name.to_string());
        if self.revoke_api_keys {
            context.output.note(format!("API keys removed: {revoked}"));
        }
        Ok(())
    }
}

/// A new password of a user: from the file, or asked for twice.
pub(super) fn new_password(file: Option<&Path>, user: &UserId) -> Result<Secret, CliError> {
    if let Some(file) = file {
        return first_line(file);
    }
    if !io::stdin().is_terminal() {
        return Err(CliError::new(code::USAGE, "no password is given, and stdin is no terminal")
            .help("give --password-file FILE"));
    }
    let first = prompt(&format!("new password of user `{user}`: "))?;
    checked(first, || prompt("the same password again: "))
}

/// The password, if it is long enough and was typed twice.
fn checked(
    first: Secret,
    second: impl FnOnce() -> Result<Secret, CliError>,
) -> Result<Secret, CliError> {
    if first.expose().chars().count() < SHORTEST {
        return Err(CliError::new(code::USAGE, "the password is too short")
            .why(format!("it has fewer than {SHORTEST} characters"))
            .help("several words in a row are long, and easy to remember"));
    }
    if first != second()? {
        return Err(CliError::new(code::USAGE, "the two passwords differ"));
    }
    Ok(first)
}

fn prompt(question: &str) -> Result<Secret, CliError> {
    let password = rpassword::prompt_password(question);
    password.map(Secret::new).map_err(|error| {
        CliError::new(code::FILES, "failed to read from the terminal").because(&error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(first: &str, second: &str) -> Result<Secret, CliError> {
        checked(Secret::new(first), || Ok(Secret::new(second)))
    }

    #[test]
    fn prompt_takes_twelve_characters_typed_twice() {
        assert!(typed("elevenchars", "elevenchars").is_err());
        assert!(typed("twelve-chars", "twelve-charz").is_err());
        assert_eq!(typed("zwölf-zeiche", "zwölf-zeiche").unwrap().expose(), "zwölf-zeiche");
    }
}
