//! Horizon's RSA keys: the private one that signs for anax nodes, the public one that verifies.

use clap::Args;

use crate::{
    cli::{Context, code, error::CliError, key::DEFAULT_KEY},
    document::{ClusterDeployment, NativeDeployment, ServiceDefinition},
    sign::compat::horizon::HorizonKey,
};

/// The key that signs in Horizon's way.
#[derive(Debug, Args)]
pub(super) struct HorizonKeyArgs {
    /// An RSA key that signs deployments and their overrides for anax nodes too: its name or file. Without it the
    /// one that `edgepost key import` took in as `default`, if there is one
    #[arg(long, value_name = "KEY", env = "HZN_PRIVATE_KEY_FILE")]
    horizon_key: Option<String>,
}

impl HorizonKeyArgs {
    /// The key, if there is one.
    pub(super) fn read(&self, context: &Context) -> Result<Option<HorizonKey>, CliError> {
        let keys = context.keys();
        match &self.horizon_key {
            Some(name) => keys.read_horizon(name).map(Some),
            None if keys.has_horizon(DEFAULT_KEY) => keys.read_horizon(DEFAULT_KEY).map(Some),
            None => Ok(None),
        }
    }
}

/// Checks Horizon's signatures over a service by the public key of this name or file; says which
/// deployments they are over.
pub(super) fn verify_horizon(
    definition: &ServiceDefinition,
    key: &str,
    context: &Context,
) -> Result<Vec<&'static str>, CliError> {
    let key = context.keys().horizon_public(key)?;
    let native = match &definition.deployment {
        NativeDeployment::Text(text) => Some(text),
        _ => None,
    };
    let cluster = match &definition.cluster_deployment {
        ClusterDeployment::Text(text) => Some(text),
        _ => None,
    };
    let mut held = Vec::new();
    for (name, text, signature) in [
        ("deployment", native, &definition.deployment_signature),
        ("cluster deployment", cluster, &definition.cluster_deployment_signature),
    ] {
        let Some(text) = text else { continue };
        let what = format!("Horizon's signature over the {name} does not hold");
        if signature.is_empty() {
            return Err(CliError::new(code::REFUSED, what).why("the service has none"));
        }
        if !key.verifies(text, signature) {
            return Err(
                CliError::new(code::REFUSED, what).why("the key did not make it over these bytes")
            );
        }
        held.push(name);
    }
    if held.is_empty() {
        let what = "there is no deployment that Horizon could have signed";
        return Err(CliError::new(code::REFUSED, what));
    }
    Ok(held)
}
