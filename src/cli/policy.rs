//! `edgepost policy`: services with conditions on nodes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{
    cli::{
        Context, code,
        documents::{RemoveArgs, ShowArgs, VerifyArgs, remove, show, verify},
        error::CliError,
        key::{DEFAULT_KEY, read_key},
        output::table,
        project::read_definition,
    },
    document::DeploymentPolicy,
    publish::{Existing, Publisher},
    types::{DocumentKey, PolicyId},
};

/// Deployment policies: services with conditions on nodes
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Publish a deployment policy from its file
    Publish(PublishArgs),
    /// List the deployment policies of the organization
    List,
    /// Show a deployment policy as the exchange has it
    Show(ShowArgs),
    /// Verify a deployment policy's signature, as a node would
    Verify(VerifyArgs),
    /// Withdraw a deployment policy: nodes run nothing by it any more
    Remove(RemoveArgs),
}

/// How patterns and policies are published.
#[derive(Debug, Args)]
pub(super) struct CommonPublishArgs {
    /// The signing key: its name or file; repeatable
    #[arg(short, long = "key", value_name = "KEY", env = "EDGEPOST_KEY", default_value = DEFAULT_KEY)]
    key: Vec<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl CommonPublishArgs {
    /// A publisher with these keys.
    pub(super) fn publisher(&self, context: &Context) -> Result<Publisher, CliError> {
        let keys = self
            .key
            .iter()
            .map(|name| read_key(&context.environment.keys(), name))
            .collect::<Result<_, _>>()?;
        let client = context.client()?;
        Ok(Publisher::new(client.org().clone(), client, keys, context.clock.clone()))
    }
}

/// Publish a deployment policy from its file
#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// The policy's name
    name: PolicyId,
    /// The policy's file
    file: PathBuf,
    #[command(flatten)]
    common: CommonPublishArgs,
}

impl PolicyCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Publish(args) => args.run(context).await,
            Self::List => {
                let policies = context.client()?.policies().await?;
                let rows = policies.iter().map(|(name, it)| {
                    vec![name.clone(), it.value.service.name.to_string(), it.value.label.clone()]
                });
                context.output.result(&policies, || table(&["POLICY", "SERVICE", "LABEL"], rows));
                Ok(())
            }
            Self::Show(args) => {
                let policy = context.client()?.find_policy(&id(&args.name)?).await?;
                show("policy", &args.name, policy.as_ref(), context)
            }
            Self::Verify(args) => {
                let key = DocumentKey::policy(&id(&args.name)?);
                let verified = verify::<DeploymentPolicy>(&key, args, context).await?;
                context.tell_verified(&key, verified.header().seq);
                Ok(())
            }
            Self::Remove(args) => {
                remove(&DocumentKey::policy(&id(&args.name)?), args, context).await
            }
        }
    }
}

impl PublishArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let policy = read_definition(&self.file, context, DeploymentPolicy::from_source)?;
        let publisher = self.common.publisher(context)?;
        if self.common.dry_run {
            let plan = publisher.plan_policy(&self.name, &policy).await?;
            context.tell_plan(&DocumentKey::policy(&self.name), plan);
            return Ok(());
        }
        let outcome = publisher.publish_policy(&self.name, &policy, Existing::Overwrite).await?;
        context.tell_published(&outcome);
        Ok(())
    }
}

fn id(name: &str) -> Result<PolicyId, CliError> {
    name.parse().map_err(|error| {
        CliError::new(code::USAGE, format!("`{name}` cannot name a policy")).because(&error)
    })
}
