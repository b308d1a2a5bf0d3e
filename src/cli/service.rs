//! `edgepost service`: what is published.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        Context, code,
        documents::{
            RemoveArgs, ShowArgs, VerifyArgs, describe_verified, remove, show, verify, without_org,
        },
        error::CliError,
        horizon_key::verify_horizon,
        operator,
    },
    document::ServiceBody,
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
    /// Check Horizon's signatures over the deployments too, by this public key (PEM)
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
                let definition = &verified.body().definition;
                let horizon = match &args.horizon_key {
                    Some(file) => verify_horizon(definition, file)?,
                    None => Vec::new(),
                };
                context.output.result(
                    &json!({"ok": true, "key": key, "seq": verified.header().seq,
                        "horizon": args.horizon_key.is_some(), "horizonSigned": horizon,
                        "images": verified.body().images, "cluster": operator::outline(definition)}),
                    || {
                        let signed = horizon.iter().map(|it| format!("\nHorizon's signature over the {it} holds"));
                        let operator = operator::describe(definition).map(|it| format!("\n{it}"));
                        describe_verified(&verified) + &signed.chain(operator).collect::<String>()
                    },
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
