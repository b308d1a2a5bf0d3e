//! A node's failures.

use std::path::Path;

use super::servers::unclaimed;
use crate::{
    agent::{AgentError, AllowanceError, FolderError, IdentityError, RegisterError},
    cli::{code, error::CliError},
    exchange::client::ExchangeError,
};

impl From<AgentError> for CliError {
    fn from(error: AgentError) -> Self {
        use AgentError as E;
        let (code, help) = match error {
            E::Exchange(ExchangeError::Unusable { .. }) => (
                code::SETTINGS,
                "register the node again with the right URL; plain http beyond this machine needs --insecure-http there",
            ),
            E::Exchange(error) => return error.into(),
            E::Claim(error) => return unclaimed(code::NODE, "the agent could not start", &error),
            E::Runtime(_) | E::EngineGone { .. } => (
                code::ENGINE,
                "is the engine running, and may you use its socket? --engine none pulls and verifies only",
            ),
            E::Refused(_) => {
                (code::REFUSED, "the node's folder was changed; register the node again")
            }
            _ => (code::NODE, "`edgepost agent register` makes the node's folder; check --data"),
        };
        Self::new(code, error.to_string())
            .at_known(agent_file(&error).map(Path::display))
            .because(&error)
            .help(help)
    }
}

fn agent_file(error: &AgentError) -> Option<&Path> {
    match error {
        AgentError::Identity(error) => Some(identity_file(error)),
        AgentError::Folder(error) => Some(error.path()),
        _ => None,
    }
}

fn identity_file(error: &IdentityError) -> &Path {
    match error {
        IdentityError::Folder(error) => error.path(),
        IdentityError::NotRegistered { path } | IdentityError::Damaged { path, .. } => path,
    }
}

impl From<AllowanceError> for CliError {
    fn from(error: AllowanceError) -> Self {
        let (code, help) = match error {
            AllowanceError::NotAllowed(_) => {
                (code::USAGE, "`edgepost agent allow` lists what is allowed")
            }
            AllowanceError::TooMany => {
                (code::USAGE, "remove some by `edgepost agent allow --remove`")
            }
            _ => (
                code::NODE,
                "check --data, or EDGEPOST_NODE_DATA; `edgepost agent register` makes it",
            ),
        };
        Self::new(code, "the allowances of the node were not changed").because(&error).help(help)
    }
}

impl From<RegisterError> for CliError {
    fn from(error: RegisterError) -> Self {
        use RegisterError as E;
        let (code, help) = match error {
            E::Exchange(error) => return error.into(),
            E::Refused(refused) => return refused.refusal.into(),
            E::Claim(error) => {
                return unclaimed(code::NODE, "the node could not be registered", &error);
            }
            E::NoTrust(_) => (code::REFUSED, "`edgepost trust init` makes it"),
            E::HorizonExchange => (
                code::REFUSED,
                "give the URL of an Edgepost exchange; on this one, nodes are registered by `hzn register`",
            ),
            E::OtherNode(_) => (code::CONFLICT, "choose another --data folder"),
            E::Taken(_) => (
                code::CONFLICT,
                "choose another name, or give this one up there: edgepost node remove NODE --force",
            ),
            E::Policy(_) => (code::DEFINITION, "check the file given by --policy"),
            _ => (code::NODE, "check the --data folder"),
        };
        let file = match &error {
            E::Identity(error) => Some(identity_file(error)),
            E::Folder(error) => Some(error.path()),
            _ => None,
        };
        Self::new(code, "the node could not be registered")
            .at_known(file.map(Path::display))
            .because(&error)
            .help(help)
    }
}

impl From<FolderError> for CliError {
    fn from(error: FolderError) -> Self {
        Self::new(code::NODE, "the node's folder cannot be read")
            .at(error.path().display())
            .because(&error)
            .help("check --data, or EDGEPOST_NODE_DATA")
    }
}
