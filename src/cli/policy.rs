//! `edgepost policy`: services with conditions on nodes.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::{
    cli::{
        Context, code,
        documents::{
            self, NameArgs, Noun, Publication, PublishingArgs, RemovingArgs, Sheet, VerifyArgs,
            service, tell_verified, text_of, unfold, without_org,
        },
        error::CliError,
        output::FormatArgs,
        project::read_definition,
    },
    document::DeploymentPolicy,
    publish::{DocumentPlan, Existing, PublishError, Published, Publisher},
    types::{DocumentKey, DocumentKind, PolicyId},
};

/// Deployment policies: services with conditions on nodes
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Publish a deployment policy from its file
    Publish {
        #[command(flatten)]
        file: FileArgs,
        #[command(flatten)]
        publishing: PublishingArgs,
    },
    /// List the deployment policies of the organization
    List(FormatArgs),
    /// Show a deployment policy as the exchange has it
    Show {
        #[command(flatten)]
        which: NameArgs,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Compare a file with the deployment policy that is live: exit code 0 if they say the same, 7 if
    /// not, 6 if there is none
    Diff(FileArgs),
    /// Verify a deployment policy's signature, as a node would
    Verify {
        #[command(flatten)]
        which: NameArgs,
        #[command(flatten)]
        trust: VerifyArgs,
    },
    /// Withdraw a deployment policy: nodes run nothing by it any more
    Remove {
        #[command(flatten)]
        which: NameArgs,
        #[command(flatten)]
        removing: RemovingArgs,
    },
}

/// A deployment policy in a file
#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The policy's name
    name: PolicyId,
    /// The policy's file
    file: PathBuf,
}

impl PolicyCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Publish { file, publishing } => {
                let (noun, policy) = file.read(context)?;
                documents::publish(&noun, &policy, publishing, None, context).await?;
                context.output.next("on a node: edgepost agent register --policy FILE");
                Ok(())
            }
            Self::List(format) => {
                documents::list::<NamedPolicy>(DocumentKind::Policy, format, context).await
            }
            Self::Show { which, format } => documents::show(&id(which)?, format, context).await,
            Self::Diff(file) => {
                let (noun, policy) = file.read(context)?;
                documents::diff(&noun, &policy, context).await
            }
            Self::Verify { which, trust } => {
                tell_verified(&documents::verify(&id(which)?, trust, context).await?, context);
                Ok(())
            }
            Self::Remove { which, removing } => {
                documents::remove(&id(which)?, removing, context).await
            }
        }
    }
}

impl FileArgs {
    fn read(&self, context: &Context) -> Result<(NamedPolicy, DeploymentPolicy), CliError> {
        let policy = read_definition(&self.file, context, DeploymentPolicy::from_source)?;
        Ok((NamedPolicy(self.name.clone()), policy))
    }
}

fn id(args: &NameArgs) -> Result<NamedPolicy, CliError> {
    let name = &args.name;
    without_org(name).parse().map(NamedPolicy).map_err(|error| {
        CliError::new(code::USAGE, format!("`{name}` cannot name a policy")).because(&error)
    })
}

/// A deployment policy by its name.
struct NamedPolicy(PolicyId);

impl Noun for NamedPolicy {
    type Written = DeploymentPolicy;
    type Signed = DeploymentPolicy;

    const WORD: &'static str = "policy";
    const LISTED_BY: &'static str = "edgepost policy list";
    const HEADINGS: &'static [&'static str] = &["POLICY", "SERVICE", "LABEL"];

    fn name(&self) -> &str {
        self.0.as_str()
    }

    fn key(&self) -> DocumentKey {
        DocumentKey::policy(&self.0)
    }

    fn cells(name: &str, row: &Value) -> Vec<String> {
        vec![name.to_owned(), text_of(row, "/service/name"), text_of(row, "/label")]
    }

    fn summary(&self, said: &DeploymentPolicy, sheet: &mut Sheet) {
        sheet.line("label", &said.label);
        sheet.line("description", &said.description);
        let chosen = &said.service;
        sheet
            .line("service", format!("{} for {}", service(&chosen.org, &chosen.name), chosen.arch));
        sheet.versions(&chosen.service_versions);
        sheet.line("namespace", &chosen.cluster_namespace);
        sheet.terms("", &said.properties, &said.constraints);
        sheet.gifts(&said.user_input, &said.secret_binding);
    }

    /// Overrides as objects, and no signature over their text.
    fn comparable(mut policy: Value) -> Value {
        for version in policy["service"]["serviceVersions"].as_array_mut().into_iter().flatten() {
            unfold(version, "deployment_overrides", "deployment_overrides_signature");
        }
        policy
    }

    fn to_horizon(written: &DeploymentPolicy) -> Value {
        written.to_horizon()
    }
}

impl Publication for NamedPolicy {
    async fn publish(
        &self,
        publisher: &Publisher,
        policy: &DeploymentPolicy,
    ) -> Result<Published, PublishError> {
        publisher.publish_document(&self.0, policy, Existing::Overwrite).await
    }

    async fn plan(
        &self,
        publisher: &Publisher,
        policy: &DeploymentPolicy,
    ) -> Result<DocumentPlan, PublishError> {
        publisher.plan_document(&self.0, policy).await
    }
}
