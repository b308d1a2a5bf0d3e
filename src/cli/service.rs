//! `edgepost service`: what is published.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        Context, code,
        documents::{
            RemoveArgs, ShowArgs, VerifyArgs, describe_verified, remove, show, verify, without_org,
        },
        error::CliError,
        files::read_text,
    },
    document::{NativeDeployment, ServiceBody},
    sign::compat::horizon::HorizonPublicKey,
    types::DocumentKey,
};

/// Published services
#[derive(Debug, Subcommand)]
pub(super) enum ServiceCommand {
    /// List the services of the organization
    List,
    /// Show a service as the exchange has it
    Show(ShowArgs),
    /// Verify a service's signatures, as a node would
    Verify(ServiceVerifyArgs),
    /// Withdraw a service: nodes stop it, and its version cannot come back unseen
    Remove(RemoveArgs),
}

/// Verify a service's signatures, as a node would
#[derive(Debug, Args)]
pub(super) struct ServiceVerifyArgs {
    #[command(flatten)]
    common: VerifyArgs,
    /// Check Horizon's signature over the deployment too, by this public key (PEM)
    #[arg(long, value_name = "FILE")]
    horizon_key: Option<PathBuf>,
}

impl ServiceCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::List => list(context).await,
            Self::Show(args) => {
                let service = context.client()?.find_service(without_org(&args.name)).await?;
                show("service", &args.name, service.as_ref(), context)
            }
            Self::Verify(args) => {
                let key = key(&args.common.name)?;
                let verified = verify::<ServiceBody>(&key, &args.common, context).await?;
                if let Some(file) = &args.horizon_key {
                    verify_horizon(verified.body(), file)?;
                }
                context.output.result(
                    &json!({"ok": true, "key": key, "seq": verified.header().seq,
                        "horizon": args.horizon_key.is_some(), "images": verified.body().images}),
                    || describe_verified(&verified),
                );
                Ok(())
            }
            Self::Remove(args) => remove(&key(&args.name)?, args, context).await,
        }
    }
}

async fn list(context: &Context) -> Result<(), CliError> {
    let services = context.client()?.services().await?;
    let rows = services.iter().map(|(name, service)| {
        vec![
            name.clone(),
            service.value.version.clone(),
            service.value.arch.clone(),
            service.value.label.clone(),
        ]
    });
    context.output.list(&services, &["SERVICE", "VERSION", "ARCH", "LABEL"], rows);
    Ok(())
}

fn key(name: &str) -> Result<DocumentKey, CliError> {
    let name = without_org(name);
    format!("service/{name}").parse().map_err(|_| {
        CliError::new(code::USAGE, format!("`{name}` is no service id"))
            .help("an id is URL_VERSION_ARCH; `edgepost service list` shows them")
    })
}

fn verify_horizon(body: &ServiceBody, file: &Path) -> Result<(), CliError> {
    let pem = read_text(file)?;
    let refuse = |why: &str| {
        CliError::new(code::REFUSED, "Horizon's signature over the deployment does not hold")
            .why(why)
    };
    let key = HorizonPublicKey::from_pem(&pem).map_err(|error| {
        CliError::new(code::KEY, "the public key cannot be used").at(file.display()).because(&error)
    })?;
    match (&body.definition.deployment, body.definition.deployment_signature.as_str()) {
        (_, "") => Err(refuse("the service has none")),
        (NativeDeployment::Text(text), signature) if key.verifies(text, signature) => Ok(()),
        _ => Err(refuse("the key did not make it over these bytes")),
    }
}
