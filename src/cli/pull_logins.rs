//! The logins that nodes get, as they are given on the command line.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::Args;

use crate::{
    cli::{
        Context, code,
        error::CliError,
        files::read_stdin_text,
        key::{Private, read_private},
        registries::warn_of_ends,
    },
    publish::PullLogin,
    types::CopyFlaw,
};

/// The longest list of logins that is read from stdin, in bytes.
const LONGEST: u64 = 256 << 10;

/// What nodes pull with.
#[derive(Debug, Args)]
pub(super) struct PullLoginArgs {
    /// What nodes pull with, HOST[:PORT]:USER:TOKEN (hzn itself takes a port for the user); repeatable. A secret on the command line is seen by
    /// others on this machine: --registry-token-file keeps it away
    #[arg(short, long = "registry-token", value_name = "LOGIN", hide_env_values = true)]
    registry_token: Vec<String>,
    /// A file with one such login a line, which only you may read; `-` is stdin
    #[arg(long, value_name = "FILE")]
    registry_token_file: Vec<PathBuf>,
}

impl PullLoginArgs {
    /// The logins. A value that cannot be read ends the command, and is not repeated.
    pub(super) fn read(&self, context: &Context) -> Result<Vec<PullLogin>, CliError> {
        let mut logins = Vec::new();
        for (number, text) in self.registry_token.iter().enumerate() {
            logins.push(read_login(text, &format!("-r, value {}", number + 1))?);
        }
        if !self.registry_token.is_empty() {
            context.output.note("note: a token on the command line can be seen by other users of this machine; --registry-token-file keeps it away");
        }
        for file in &self.registry_token_file {
            let text = if file == Path::new("-") {
                read_stdin_text(LONGEST)?.noted(Path::new("stdin"))
            } else {
                read_private(file, Private::Logins)?
            };
            for (number, line) in
                text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty())
            {
                logins
                    .push(read_login(line.trim(), &format!("{}:{}", file.display(), number + 1))?);
            }
        }
        refuse_second(&logins)?;
        for login in logins.iter().filter(|it| CopyFlaw::of(it.token.expose()).is_some()) {
            context.output.note(format!(
                "note: the token for {} has blanks or quotes; was it copied as it was issued?",
                login.registry
            ));
        }
        warn_of_ends(&logins, context);
        Ok(logins)
    }
}

/// Refuses two logins for one registry, of which nodes would use one.
fn refuse_second(logins: &[PullLogin]) -> Result<(), CliError> {
    let mut seen = BTreeSet::new();
    match logins.iter().find(|it| !seen.insert(&it.registry)) {
        None => Ok(()),
        Some(PullLogin { registry, .. }) => {
            Err(CliError::new(code::USAGE, format!("there are two logins for {registry}"))
                .why("nodes pull from a registry with one login")
                .help("give the one that may pull every image of the service there"))
        }
    }
}

fn read_login(text: &str, place: &str) -> Result<PullLogin, CliError> {
    text.parse::<PullLogin>().map_err(|error| {
        CliError::new(code::REGISTRY_LOGIN, "a login for nodes cannot be read")
            .at(place)
            .because(&error)
            .help("write HOST:USER:TOKEN, or HOST:PORT:USER:TOKEN; an IPv6 address stands in brackets")
    })
}
