//! `edgepost policy`: services with conditions on nodes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{
    cli::{
        Context, code,
        documents::{
            PublishingArgs, RemoveArgs, ShowArgs, VerifyArgs, remove, show, tell_plan,
            tell_published, tell_verified, verify, without_org,
        },
        error::CliError,
        project::read_definition,
    },
    document::DeploymentPolicy,
    publish::Existing,
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

/// Publish a deployment policy from its file
#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// The policy's name
    name: PolicyId,
    /// The policy's file
    file: PathBuf,
    #[command(flatten)]
    publishing: PublishingArgs,
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
                context.output.list(&policies, &["POLICY", "SERVICE", "LABEL"], rows);
                Ok(())
            }
            Self::Show(args) => {
                let policy = context.client()?.find_policy(&id(&args.name)?).await?;
                show("policy", &args.name, policy.as_ref(), context)
            }
            Self::Verify(args) => {
                let key = DocumentKey::policy(&id(&args.name)?);
                let verified = verify::<DeploymentPolicy>(&key, args, context).await?;
                tell_verified(&verified, context);
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
        let publisher = self.publishing.keys.publisher(context)?;
        if self.publishing.dry_run {
            let plan = publisher.plan_document(&self.name, &policy).await?;
            tell_plan(&DocumentKey::policy(&self.name), plan, context);
            return Ok(());
        }
        let outcome = publisher.publish_document(&self.name, &policy, Existing::Overwrite).await?;
        tell_published(&outcome, context);
        context.output.next("on a node: edgepost agent register --policy FILE");
        Ok(())
    }
}

fn id(name: &str) -> Result<PolicyId, CliError> {
    without_org(name).parse().map_err(|error| {
        CliError::new(code::USAGE, format!("`{name}` cannot name a policy")).because(&error)
    })
}
