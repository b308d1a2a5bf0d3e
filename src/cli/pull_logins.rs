//! The logins that nodes get, as they are given on the command line.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use zeroize::Zeroizing;

use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
        key::{Private, read_private},
        registries::warn_of_ends,
    },
    publish::PullLogin,
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
                read_stdin().map_err(|error| file_error(Path::new("stdin"), &error))?
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
        warn_of_ends(&logins, context);
        Ok(logins)
    }
}

fn read_stdin() -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    io::stdin().take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        let why = format!("it is longer than {LONGEST} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}

fn read_login(text: &str, place: &str) -> Result<PullLogin, CliError> {
    text.parse::<PullLogin>().map_err(|error| {
        CliError::new(code::REGISTRY_LOGIN, "a login for nodes cannot be read")
            .at(place)
            .because(&error)
            .help("write HOST:USER:TOKEN, or HOST:PORT:USER:TOKEN; an IPv6 address stands in brackets")
    })
}
