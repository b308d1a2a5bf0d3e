//! Horizon's RSA keys: the private one that signs for anax nodes, the public one that verifies.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    cli::{
        code,
        error::CliError,
        files::read_text,
        key::{Private, read_private},
    },
    document::{ClusterDeployment, NativeDeployment, ServiceDefinition},
    sign::compat::horizon::{HorizonKey, HorizonPublicKey},
};

/// The key that signs in Horizon's way.
#[derive(Debug, Args)]
pub(super) struct HorizonKeyArgs {
    /// An RSA key in PEM that signs deployments and their overrides for anax nodes too
    #[arg(long, value_name = "FILE", env = "HZN_PRIVATE_KEY_FILE")]
    horizon_key: Option<PathBuf>,
}

impl HorizonKeyArgs {
    /// The key, if one was given.
    pub(super) fn read(&self) -> Result<Option<HorizonKey>, CliError> {
        self.horizon_key.as_deref().map(read_horizon_key).transpose()
    }
}

/// Reads an RSA key for Horizon's signature.
fn read_horizon_key(file: &Path) -> Result<HorizonKey, CliError> {
    let pem = read_private(file, Private::Key)?;
    HorizonKey::from_pem(&pem).map_err(|error| {
        CliError::new(code::KEY, "the Horizon key cannot be used")
            .at(file.display())
            .because(&error)
            .help("it must be an RSA key of 2048 bits or more, PKCS#1 or PKCS#8, in PEM")
    })
}

/// Checks Horizon's signatures over a service by the public key in `file`; says which deployments
/// they are over.
pub(super) fn verify_horizon(
    definition: &ServiceDefinition,
    file: &Path,
) -> Result<Vec<&'static str>, CliError> {
    let pem = read_text(file)?;
    let key = HorizonPublicKey::from_pem(&pem).map_err(|error| {
        CliError::new(code::KEY, "the public key cannot be used").at(file.display()).because(&error)
    })?;
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
