//! What a connection's failure means.

use crate::{authority::tls_problem, registry::client::RegistryError, types::Registry};

/// What a failed request means.
pub(in crate::registry::client) fn connection_error(
    error: reqwest::Error,
    registry: &Registry,
) -> RegistryError {
    let error = error.without_url(); // its query may hold a credential
    let registry = registry.clone();
    match tls_problem(&error) {
        Some(problem) => RegistryError::Tls { registry, problem, source: error.into() },
        None => RegistryError::Unreachable { registry, source: error.into() },
    }
}
