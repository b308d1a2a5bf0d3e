//! The registries' side of the surroundings: login files, certificate folders.

use std::sync::Arc;

use crate::{
    cli::Context,
    publish::PullLogin,
    registry::client::{ClientConfig, Login, Logins, Memory},
    types::Registry,
};

/// A client's configuration with the logins of this user, and with what earlier transfers taught: for
/// pushing.
pub(super) fn push_config(context: &Context, plain_http: &[Registry]) -> ClientConfig {
    let logins = match context.environment.docker_login_file() {
        Some(file) => Logins::none().and_file(file),
        None => Logins::none(),
    };
    ClientConfig {
        logins,
        certs_dirs: context.environment.certs_folders(),
        plain_http: plain_http.iter().cloned().collect(),
        memory: context
            .environment
            .transfers_folder()
            .map_or_else(Memory::default, |folder| Memory::at(&folder, Arc::clone(&context.clock))),
        ..ClientConfig::default()
    }
}

/// The same with nothing but the given logins: what nodes will have.
pub(super) fn with_logins(config: ClientConfig, logins: &[PullLogin]) -> ClientConfig {
    let logins = logins.iter().fold(Logins::none(), |all, it| {
        all.with(it.registry.clone(), Login::new(it.username.clone(), it.token.clone()))
    });
    ClientConfig { logins, ..config }
}
