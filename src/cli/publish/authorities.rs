//! Which certificate authorities go to nodes with the service.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use clap::Args;
use rustls::pki_types::CertificateDer;

use crate::{
    authority::{ShownCertificate, pem_of},
    cli::{Context, code, error::CliError, files::read_certificates, output::Output},
    document::ServiceDefinition,
    publish::registries_of,
    registry::client::{ClientConfig, RegistryClient, RegistryTrust},
    types::Registry,
};

/// Which certificate authorities go to nodes.
#[derive(Debug, Args)]
pub(super) struct AuthorityArgs {
    /// Give nodes this certificate authority for one registry of the images, REGISTRY=FILE; repeatable. Without it,
    /// nodes get the one by which this machine trusts the registry (certs.d, --ca-file), if it is not one of the system's
    #[arg(long = "registry-ca", value_name = "CA")]
    of_registries: Vec<String>,
    /// Give nodes this certificate authority for a host at which a registry keeps its blobs, HOST=FILE; repeatable
    #[arg(long = "storage-ca", value_name = "CA")]
    of_storage: Vec<String>,
    /// Give nodes no certificate authority but those named: each node has its own
    #[arg(long = "no-registry-ca")]
    are_left_out: bool,
}

impl AuthorityArgs {
    /// Those that are named. One for a registry that no image is in is refused.
    pub(super) fn named(
        &self,
        definition: &ServiceDefinition,
    ) -> Result<BTreeMap<Registry, String>, CliError> {
        let of_images = registries_of(definition)?;
        let mut named = BTreeMap::new();
        for text in &self.of_registries {
            let (registry, pem) = read(text, "--registry-ca")?;
            if !of_images.contains(&registry) {
                return Err(unused(&registry, &of_images));
            }
            named.insert(registry, pem);
        }
        for text in &self.of_storage {
            let (host, pem) = read(text, "--storage-ca")?;
            named.insert(host, pem);
        }
        Ok(named)
    }

    /// Whether nodes are to have authorities of their own.
    pub(super) fn are_left_out(&self) -> bool {
        self.are_left_out
    }

    /// Adds those by which this machine trusts the registries of the images, as `config` reaches them; says of each
    /// that it goes to nodes, or that they need it.
    pub(super) async fn complete(
        &self,
        named: &mut BTreeMap<Registry, String>,
        definition: &ServiceDefinition,
        config: ClientConfig,
        context: &Context,
    ) -> Result<(), CliError> {
        let client = RegistryClient::new(config);
        for registry in registries_of(definition)? {
            if named.contains_key(&registry) {
                continue;
            }
            // What keeps the registry from being reached is reported by the push itself.
            let Ok(RegistryTrust::Given(certificates)) = client.trust_of(&registry).await else {
                continue;
            };
            note(&registry, &certificates, self.are_left_out, context.output);
            if !self.are_left_out {
                named.insert(registry, certificates.iter().map(pem_of).collect());
            }
        }
        Ok(())
    }
}

/// Reads `HOST=FILE`.
fn read(text: &str, option: &str) -> Result<(Registry, String), CliError> {
    let usage = || CliError::new(code::USAGE, format!("{option} is not HOST[:PORT]=FILE"));
    let (registry, file) = text.split_once('=').ok_or_else(usage)?;
    let registry: Registry = registry.parse().map_err(|error| usage().because(&error))?;
    Ok((registry, read_certificates(Path::new(file))?))
}

fn unused(registry: &Registry, of_images: &BTreeSet<Registry>) -> CliError {
    let of_images: Vec<_> = of_images.iter().map(ToString::to_string).collect();
    let are = match of_images.as_slice() {
        [] => "the service has no images".to_owned(),
        of_images => format!("its images are in {}", of_images.join(", ")),
    };
    CliError::new(
        code::USAGE,
        format!("--registry-ca names {registry}, which no image of the service is in"),
    )
    .why(are)
    .help(
        "check host and port; a host at which a registry keeps its blobs is named by --storage-ca",
    )
}

fn note(registry: &Registry, certificates: &[CertificateDer<'_>], left_out: bool, output: Output) {
    for shown in certificates.iter().filter_map(ShownCertificate::of) {
        let subject = if shown.subject.is_empty() { "(no name)" } else { &shown.subject };
        let subject = subject.replace(char::is_control, "");
        let which = format!(
            "the certificate authority of {registry} ({subject}, SHA-256 {})",
            shown.sha256
        );
        output.note(if left_out {
            format!(
                "warning: nodes need {which}, and do not get it with the service: put it into certs.d/{registry}/ca.crt on each"
            )
        } else {
            format!("note: nodes get {which} with the service; --no-registry-ca leaves it out")
        });
    }
}
