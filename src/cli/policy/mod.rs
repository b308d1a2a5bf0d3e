//! `edgepost policy`: deployment policies, and those of nodes and of services.

mod deployment;
mod node;
mod service;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;

use self::{deployment::NamedPolicy, node::PolicyOfNode, service::PolicyOfService};
use crate::{
    cli::{
        Context,
        documents::{self, PublishingArgs, RemovingArgs, VerifyArgs, tell_verified},
        error::CliError,
        output::FormatArgs,
    },
    document::{Properties, Property},
    publish::TrustGrade,
    types::DocumentKind,
};

/// Deployment policies: services with conditions on nodes
///
/// With --node NODE they speak of that node's own policy, with --service SERVICE of the policy that goes
/// with that service.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Publish a policy from its file
    #[command(allow_missing_positional = true)]
    Publish {
        #[command(flatten)]
        which: WhichArgs,
        /// The policy's file
        file: PathBuf,
        #[command(flatten)]
        publishing: PublishingArgs,
    },
    /// List the deployment policies of the organization, or of nodes or a service
    List(ListArgs),
    /// Show a policy as the exchange has it
    Show {
        #[command(flatten)]
        which: WhichArgs,
        #[command(flatten)]
        format: FormatArgs,
    },
    /// Compare a file with the policy that is live: exit code 0 if they say the same, 7 if not, 6 if
    /// there is none
    #[command(allow_missing_positional = true)]
    Diff {
        #[command(flatten)]
        which: WhichArgs,
        /// The policy's file
        file: PathBuf,
    },
    /// Verify a policy's signature, as a node would
    Verify {
        #[command(flatten)]
        which: WhichArgs,
        #[command(flatten)]
        trust: VerifyArgs,
    },
    /// Withdraw a policy: nodes run nothing by it any more. A node without a published policy goes by the
    /// one that it was registered with
    Remove {
        #[command(flatten)]
        which: WhichArgs,
        #[command(flatten)]
        removing: RemovingArgs,
    },
}

/// Which policy
#[derive(Debug, Args)]
pub(super) struct WhichArgs {
    /// The deployment policy's name
    #[arg(required_unless_present_any = ["node", "service"], conflicts_with_all = ["node", "service"])]
    name: Option<String>,
    #[command(flatten)]
    of: OfArgs,
}

/// The policy of what
#[derive(Debug, Args)]
pub(super) struct OfArgs {
    /// The policy of this node
    #[arg(long, conflicts_with = "service")]
    node: Option<String>,
    /// The policy of this service, by its id
    #[arg(long)]
    service: Option<String>,
}

/// Which policies to list
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    of: OfArgs,
    /// The policies of all nodes
    #[arg(long, conflicts_with_all = ["node", "service"])]
    nodes: bool,
    #[command(flatten)]
    format: FormatArgs,
}

/// A policy of each kind.
enum Which {
    Deployment(NamedPolicy),
    Node(PolicyOfNode),
    Service(PolicyOfService),
}

/// Does the same with whichever kind of policy is meant.
macro_rules! with_each {
    ($which:expr, $noun:ident => $done:expr) => {
        match $which {
            Which::Deployment($noun) => $done,
            Which::Node($noun) => $done,
            Which::Service($noun) => $done,
        }
    };
}

impl PolicyCommand {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Publish { which, file, publishing } => {
                let which = which.find(context).await?;
                let is_deployment = matches!(which, Which::Deployment(_));
                let trust = with_each!(which, noun => {
                    let policy = documents::read_as(&noun, file, context)?;
                    documents::publish(&noun, &policy, publishing, None, context).await?
                });
                match trust.filter(|_| is_deployment) {
                    None => (),
                    Some(TrustGrade::Full) => {
                        context.output.next("on a node: edgepost agent register --policy FILE");
                    }
                    Some(TrustGrade::Horizon) => {
                        context.output.next("on a node: hzn register --policy FILE");
                    }
                }
                Ok(())
            }
            Self::List(args) => args.run(context).await,
            Self::Show { which, format } => {
                with_each!(which.find(context).await?, noun =>
                    documents::show(&noun, format, context).await)
            }
            Self::Diff { which, file } => {
                with_each!(which.find(context).await?, noun => {
                    let policy = documents::read_as(&noun, file, context)?;
                    documents::diff(&noun, &policy, context).await
                })
            }
            Self::Verify { which, trust } => {
                with_each!(which.find(context).await?, noun =>
                    tell_verified(&documents::verify(&noun, trust, context).await?, context));
                Ok(())
            }
            Self::Remove { which, removing } => {
                with_each!(which.find(context).await?, noun =>
                    documents::remove(&noun, removing, context).await)
            }
        }
    }
}

impl WhichArgs {
    async fn find(&self, context: &Context) -> Result<Which, CliError> {
        match (self.of.find(context).await?, &self.name) {
            (Some(which), _) => Ok(which),
            (None, name) => {
                NamedPolicy::named(name.as_deref().unwrap_or_default()).map(Which::Deployment)
            }
        }
    }
}

impl OfArgs {
    async fn find(&self, context: &Context) -> Result<Option<Which>, CliError> {
        Ok(match (&self.node, &self.service) {
            (Some(node), _) => Some(Which::Node(PolicyOfNode::named(node)?)),
            (None, Some(service)) => {
                Some(Which::Service(PolicyOfService::find(service, context).await?))
            }
            (None, None) => None,
        })
    }
}

impl ListArgs {
    async fn run(&self, context: &Context) -> Result<(), CliError> {
        let format = &self.format;
        match self.of.find(context).await? {
            Some(which) => {
                with_each!(which, noun => documents::list_one(&noun, format, context).await)
            }
            None if self.nodes => {
                documents::list::<PolicyOfNode>(DocumentKind::NodePolicy, format, context).await
            }
            None => documents::list::<NamedPolicy>(DocumentKind::Policy, format, context).await,
        }
    }
}

/// The line of a policy in a list: how much its parts say and ask.
fn counts(name: &str, parts: &[&Value]) -> Vec<String> {
    let count = |member: &str| {
        let lists = parts.iter().filter_map(|it| it[member].as_array());
        lists.map(Vec::len).sum::<usize>().to_string()
    };
    vec![name.to_owned(), count("properties"), count("constraints")]
}

/// The properties that are not `odd`.
fn without(properties: &Properties, odd: fn(&Property) -> bool) -> Properties {
    properties.iter().filter(|it| !odd(it)).cloned().collect()
}
