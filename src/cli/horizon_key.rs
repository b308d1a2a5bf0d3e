//! Horizon's RSA keys: the private one that signs for anax nodes, the public one that verifies.

use clap::Args;
use serde_json::Value;

use crate::{
    cli::{Context, code, error::CliError, key::DEFAULT_KEY},
    document::{ClusterDeployment, NativeDeployment, Pattern, ServiceDefinition},
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

/// A text that Horizon signs, and its signature.
struct SignedText<'a> {
    /// What it is, in messages.
    name: String,
    text: &'a str,
    signature: &'a str,
}

/// Verifies Horizon's signatures over a service by the public key of this name or file; says what they are over.
pub(super) fn verify_service(
    definition: &ServiceDefinition,
    key: &str,
    context: &Context,
) -> Result<Vec<String>, CliError> {
    let native = match &definition.deployment {
        NativeDeployment::Text(text) => text,
        _ => "",
    };
    let cluster = match &definition.cluster_deployment {
        ClusterDeployment::Text(text) => text,
        _ => "",
    };
    let texts = [
        ("deployment", native, &definition.deployment_signature),
        ("cluster deployment", cluster, &definition.cluster_deployment_signature),
    ];
    let texts =
        texts.map(|(name, text, signature)| SignedText { name: name.to_owned(), text, signature });
    verify_texts(texts, "deployment", key, context)
}

/// Verifies Horizon's signatures over the deployment overrides of a pattern; says what they are over.
pub(super) fn verify_pattern(
    pattern: &Pattern,
    key: &str,
    context: &Context,
) -> Result<Vec<String>, CliError> {
    let versions = pattern.services.iter().flat_map(|service| {
        service.service_versions.iter().map(|version| (&service.service_url, version))
    });
    let texts: Vec<_> = versions
        .filter_map(|(url, version)| {
            let overrides = match &version.deployment_overrides {
                Value::String(text) => text.clone(),
                _ => version.overrides_text()?,
            };
            let name = format!("deployment overrides of {url} {}", version.version);
            Some((name, overrides, version.deployment_overrides_signature.as_str()))
        })
        .collect();
    let texts = texts.iter().map(|(name, text, signature)| SignedText {
        name: name.clone(),
        text,
        signature,
    });
    verify_texts(texts, "deployment override", key, context)
}

fn verify_texts<'a>(
    texts: impl IntoIterator<Item = SignedText<'a>>,
    noun: &str,
    key: &str,
    context: &Context,
) -> Result<Vec<String>, CliError> {
    let public = context.keys().horizon_public(key)?;
    let mut verified = Vec::new();
    for SignedText { name, text, signature } in texts.into_iter().filter(|it| !it.text.is_empty()) {
        let what = format!("Horizon's signature over the {name} does not verify");
        if signature.is_empty() {
            return Err(CliError::new(code::REFUSED, what)
                .why("there is none")
                .help("publish it with --horizon-key, or with hzn and its -k"));
        }
        if !public.verifies(text, signature) {
            return Err(CliError::new(code::REFUSED, what)
                .at(key)
                .why("this key did not make it over these bytes")
                .help("give the public half of the key that signed it by --horizon-key"));
        }
        verified.push(name);
    }
    if verified.is_empty() {
        let what = format!("there is no {noun} that Horizon signs");
        return Err(CliError::new(code::REFUSED, what).help("leave --horizon-key out"));
    }
    Ok(verified)
}
