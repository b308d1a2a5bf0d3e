//! `edgepost registry login`: a login is proven at its registry, and kept.

use std::{
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        Context, code,
        error::CliError,
        files::{read_stdin_text, secret_in_first_line},
        registries::{push_config, time_until},
        user::first_line,
    },
    registry::client::{
        AZURE_TOKEN_USER, Challenge, Cloud, Keeper, Login, LoginError, Logins, RegistryClient,
        keep_login,
    },
    types::{CopyFlaw, Registry, Secret},
};

/// The longest password or token that is read, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Prove a login at a registry, and keep it where Docker and Podman find it too
///
/// Azure, as yourself:        az account get-access-token --query accessToken -o tsv | edgepost registry login NAME.azurecr.io --azure-token-stdin
/// IBM, by an API key:        edgepost registry login us.icr.io --username iamapikey --password-file FILE
/// OpenShift, by a token:     oc create token pusher | edgepost registry login HOST --username pusher --password-stdin
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct LoginArgs {
    /// The registry: host or host:port
    #[arg(value_name = "HOST")]
    registry: Registry,
    /// The user; asked for on a terminal if it is not given
    #[arg(long, visible_alias = "user", value_name = "USER")]
    username: Option<String>,
    /// Read the password or token from standard input
    #[arg(long, conflicts_with_all = ["password_file", "azure_token_stdin"])]
    password_stdin: bool,
    /// A file with the password or token in its first line
    #[arg(long, value_name = "FILE", conflicts_with = "azure_token_stdin")]
    password_file: Option<PathBuf>,
    /// Read an access token of Azure's directory from standard input, and keep what the registry gives for it
    #[arg(long, conflicts_with = "username")]
    azure_token_stdin: bool,
    /// The directory that Azure's token is of; the registry finds it in the token otherwise
    #[arg(long, value_name = "TENANT", requires = "azure_token_stdin")]
    tenant: Option<String>,
    /// Speak plain HTTP with it: whoever is on the way sees the password
    #[arg(long)]
    plain_http: bool,
}

impl LoginArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let registry = &self.registry;
        let login = if self.azure_token_stdin {
            self.by_azure_token(context).await?
        } else {
            self.by_password(context).await?
        };
        let files = context.environment.login_files();
        let file = files.first().ok_or_else(|| {
            CliError::new(code::SETTINGS, "there is no place for a login file")
                .help("set HOME or DOCKER_CONFIG")
        })?;
        let keeper = keep_login(file, registry, &login).await.map_err(|error| bad_login(&error))?;
        let (username, kept_by) = (login.username(), told(&keeper));
        let ends = login.expires();
        let object = json!({
            "ok": true, "registry": registry, "username": username, "keptBy": kept_by,
            "expires": ends.map(|it| it.to_string()),
        });
        context
            .output
            .result(&object, || format!("{registry}  logged in as {username}, kept by {kept_by}"));
        if matches!(keeper, Keeper::File(_)) {
            context
                .output
                .note("the file is not encrypted; a `credsStore` in it would keep logins better");
        }
        if let Some(ends) = ends {
            let left = time_until(ends, context).map(|left| format!(", in {left}"));
            context.output.note(format!("the token ends on {ends}{}", left.unwrap_or_default()));
        } else if let Some(life) = Cloud::of(registry).and_then(|it| it.token_life(username)) {
            context.output.note(life);
        }
        Ok(())
    }

    fn client(&self, context: &Context, logins: Logins) -> RegistryClient {
        let plain = self.plain_http.then(|| self.registry.clone());
        let mut config = push_config(context, plain.as_slice());
        config.logins = logins;
        RegistryClient::new(config)
    }

    /// Name and password, which the registry has accepted.
    async fn by_password(&self, context: &Context) -> Result<Login, CliError> {
        let username = match &self.username {
            Some(username) => username.clone(),
            None => asked_for_name()?,
        };
        if username.is_empty() || username.contains(|c: char| c == ':' || c.is_whitespace()) {
            return Err(CliError::new(code::USAGE, "this is no user name")
                .why("it is empty, or has a `:` or a blank in it"));
        }
        let password = match &self.password_file {
            Some(file) => first_line(file)?,
            None if self.password_stdin => from_stdin()?,
            None => asked_for_password()?,
        };
        if CopyFlaw::of(password.expose()).is_some() {
            context
                .output
                .note("note: the password has blanks or quotes; was it copied as it was issued?");
        }
        let login = Login::new(username, password);
        if login.expires().is_some_and(|ends| time_until(ends, context).is_none()) {
            context.output.note("warning: this token has ended, by its own words");
        }
        let logins = Logins::none().with(self.registry.clone(), login.clone());
        let client = self.client(context, logins);
        if client.challenge_of(&self.registry).await? == Challenge::Open {
            context.output.note("the registry asks for no login: this one was not checked");
        } else {
            client.ping(&self.registry).await?;
        }
        Ok(login)
    }

    /// The refresh token that an Azure registry gives for a token of Azure's directory.
    async fn by_azure_token(&self, context: &Context) -> Result<Login, CliError> {
        let token = from_stdin()?;
        let client = self.client(context, Logins::none());
        let tenant = self.tenant.as_deref();
        let refresh = client.azure_refresh_token(&self.registry, tenant, &token).await?;
        let username = Some(AZURE_TOKEN_USER.to_owned());
        Ok(Login::IdentityToken { username, token: refresh })
    }
}

/// A password or token from standard input, without the end of its line.
fn from_stdin() -> Result<Secret, CliError> {
    let place = Path::new("stdin");
    let text = read_stdin_text(LONGEST)?.noted(place);
    if text.contains('\n') {
        return Err(CliError::new(code::USAGE, "the password on standard input is not one line")
            .why(CopyFlaw::LineBreak.to_string())
            .help("give one line, with the password or token alone"));
    }
    secret_in_first_line(&text, place)
}

fn asked_for_name() -> Result<String, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::new(code::USAGE, "the user is missing")
            .help("give --username USER; --azure-token-stdin needs none"));
    }
    let name = line_from_terminal("user: ").map_err(|error| no_terminal(&error))?;
    Ok(name.trim().to_owned())
}

/// Asks on the terminal, with echo.
fn line_from_terminal(question: &str) -> io::Result<String> {
    use io::Write as _;
    let mut terminal = io::stderr();
    terminal.write_all(question.as_bytes())?;
    terminal.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line)
}

fn asked_for_password() -> Result<Secret, CliError> {
    if !io::stdin().is_terminal() {
        return Err(CliError::new(code::USAGE, "the password is missing")
            .help("give --password-stdin or --password-file FILE; it is never taken from the command line"));
    }
    let password = rpassword::prompt_password("password: ").map_err(|error| no_terminal(&error))?;
    if password.is_empty() {
        return Err(CliError::new(code::USAGE, "the password is empty"));
    }
    Ok(Secret::new(password))
}

fn no_terminal(error: &io::Error) -> CliError {
    CliError::new(code::FILES, "the terminal cannot be read").because(error)
}

/// Who keeps or kept a login, in words.
pub(super) fn told(keeper: &Keeper) -> String {
    match keeper {
        Keeper::File(path) => path.display().to_string(),
        Keeper::Helper(program) => program.clone(),
    }
}

/// A login file or helper of no use.
pub(super) fn bad_login(error: &LoginError) -> CliError {
    CliError::new(code::FILES, "the login file cannot be used")
        .because(error)
        .help("check the file, and the credential helper that it names")
}
