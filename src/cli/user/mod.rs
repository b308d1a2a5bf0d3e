//! `edgepost user`: users of the organization.

mod api_key;
mod password;

use std::path::PathBuf;

use api_key::ApiKeyCommand;

use clap::{Args, Subcommand};
use password::{PasswordArgs, new_password};
use serde_json::json;

use crate::{
    cli::{
        Context,
        error::CliError,
        files::{read_text, secret_in_first_line},
        removal::ForceArgs,
    },
    exchange::api::UserRequest,
    types::{Secret, UserId},
};

/// Users of an organization
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make a user
    Create(CreateArgs),
    /// List the users you may see
    List,
    /// Give a user another password
    Password(PasswordArgs),
    /// API keys of a user: secrets by which programs log in, as `ORG/apikey:VALUE`
    #[command(subcommand)]
    ApiKey(ApiKeyCommand),
    /// Remove a user and all that they own; there is no way back
    Remove(RemoveArgs),
}

/// Make a user
///
/// Without --password-file the password is asked for, twice.
#[derive(Debug, Args)]
pub(super) struct CreateArgs {
    /// Their name
    name: UserId,
    /// A file with their password in its first line
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// They may administer the organization
    #[arg(long)]
    admin: bool,
    /// Their address
    #[arg(long, default_value = "")]
    email: String,
}

/// Remove a user and all that they own
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Their name
    name: UserId,
    #[command(flatten)]
    force: ForceArgs,
}

impl UserCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let client = context.client()?;
        match self {
            Self::Create(args) => {
                let user = UserRequest {
                    password: new_password(args.password_file.as_deref(), &args.name)?.into(),
                    admin: args.admin,
                    hub_admin: false,
                    email: args.email.clone(),
                };
                client.create_user(&args.name, &user).await?;
                context
                    .output
                    .result(&json!({"ok": true, "user": args.name}), || args.name.to_string());
                context
                    .output
                    .next(format!("EDGEPOST_USER_AUTH={}:PASSWORD edgepost key create", args.name));
            }
            Self::List => {
                let users = client.users().await?;
                let rows = users.iter().map(|(name, user)| {
                    let role = if user.admin { "admin" } else { "user" };
                    vec![name.clone(), role.to_owned(), user.email.clone()]
                });
                context.output.list(&users, &["USER", "ROLE", "EMAIL"], rows);
            }
            Self::Password(args) => args.run(&client, context).await?,
            Self::ApiKey(command) => command.run(&client, context).await?,
            Self::Remove(args) => {
                let removal = client.remove_user(&args.name);
                args.force.remove("user", &args.name, removal, context).await?;
            }
        }
        Ok(())
    }
}

/// The first line of a file that holds a secret. Blanks at its end are part of the secret, as they are where it
/// is typed.
pub(super) fn first_line(file: &std::path::Path) -> Result<Secret, CliError> {
    secret_in_first_line(&zeroize::Zeroizing::new(read_text(file)?), file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_at_the_end_of_a_password_are_part_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let file = folder.path().join("password");
            std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), text.as_bytes())
                .unwrap();
            first_line(&file).map(|it| it.expose().to_owned()).ok()
        };
        assert_eq!(read("a secret \r\nmore\n").as_deref(), Some("a secret "));
        assert_eq!(read("a secret").as_deref(), Some("a secret"));
        assert_eq!(read(" \n"), None);
    }
}
