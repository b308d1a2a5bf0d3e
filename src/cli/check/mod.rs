//! `edgepost check`: whether a service would run on a node, and why not.

mod fix;
mod fleet;
mod horizon;
mod live;
mod node;
mod paper;
mod question;
mod report;
mod services;
mod text;

use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args, ValueEnum};

pub(super) use self::fleet::Reach;
use self::{
    fleet::Fleet,
    horizon::Compatibility,
    live::{Live, UNSIGNED},
    node::{Node, Said},
    paper::Paper,
    question::{Answer, Offer, Question, Versions},
    report::Report,
    services::Services,
    text::{Detail, told},
};
use crate::{
    cli::{Context, code, error::CliError},
    document::{DeploymentPolicy, Pattern, ServiceDefinition, ServicePolicy, matching::NodeType},
    types::{Arch, OrgId},
};

const EXAMPLES: &str = "\
Examples:
  a new policy against a node as it is     edgepost check --policy policy.json --node pos-0430
  how many nodes a policy would match      edgepost check --policy policy.json --all-nodes
  from files alone, without any exchange   edgepost check --policy policy.json --service service.json --node-policy node.json
What the exchange says of documents and nodes is believed here; `edgepost verify` and the node itself
judge its signatures.
Exit code 0: it fits. 9: it does not; of --all-nodes no node does.";

/// Say whether a service would run on a node, and why not
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("asked").args(["policy", "pattern", "services"]).multiple(true).required(true))]
#[command(group = ArgGroup::new("node-in-question")
    .args(["node", "node_policy", "this_machine", "all_nodes"]).multiple(true).required(true))]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct CheckArgs {
    /// The deployment policy: a file, or its name in the exchange
    #[arg(long, value_name = "FILE|NAME")]
    policy: Option<String>,
    /// The pattern: a file, or its name in the exchange
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "policy")]
    pattern: Option<String>,
    /// A service, or one that it requires: a file, or its id in the exchange (NAME_VERSION_ARCH); the
    /// exchange is asked for those that are not given
    #[arg(long = "service", value_name = "FILE|ID")]
    services: Vec<String>,
    /// The policy of the service, in the place of the one that the exchange has
    #[arg(long, value_name = "FILE")]
    service_policy: Option<PathBuf>,
    /// A node of the exchange
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    /// A node's policy; with --node or --this-machine in the place of its own
    #[arg(long, value_name = "FILE")]
    node_policy: Option<PathBuf>,
    /// The values that a node's owner gives to variables
    #[arg(long, value_name = "FILE")]
    node_input: Option<PathBuf>,
    /// The node's architecture; otherwise that of its policy, or of the service
    #[arg(long, conflicts_with = "node")]
    arch: Option<Arch>,
    /// What the node is
    #[arg(long = "type", value_enum, default_value = "device", conflicts_with_all = ["node", "this_machine"])]
    node_type: TypeOfNode,
    /// This machine, measured as an agent on it would
    #[arg(long, conflicts_with = "node")]
    this_machine: bool,
    /// Every node of the organization: how many match, and what keeps the others
    #[arg(long, conflicts_with_all = ["node", "node_policy", "node_input", "arch", "node_type", "this_machine"])]
    all_nodes: bool,
    /// Every version that is offered, not only the one whose turn it is
    #[arg(long)]
    all_versions: bool,
    /// Print what `hzn deploycheck` prints
    #[arg(long, conflicts_with = "all_nodes")]
    horizon: bool,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TypeOfNode {
    /// A machine with a container engine
    Device,
    /// The door to a Kubernetes cluster
    Cluster,
}

impl CheckArgs {
    /// Runs the command.
    pub(super) async fn run(&self, context: &Context) -> Result<(), CliError> {
        let mut question = self.question(context).await?;
        if self.all_nodes {
            return all_nodes(&mut question, context).await;
        }
        let node = self.node(&question, context).await?;
        let answers = question.ask(&node).await?;
        let fits = if self.horizon {
            let one_is_enough = self.pattern.is_none();
            let told = Compatibility::of(&answers, one_is_enough);
            context.output.document(&told);
            told.compatible
        } else {
            let detail = if context.verbose { Detail::Every } else { Detail::Usual };
            let by = question.offered_by();
            let text = || answers.iter().map(|it| told(it, &node.name, by, detail)).collect();
            context.output.result(&Report::of(&answers, &node.name, by), text);
            answers.iter().all(Answer::fits)
        };
        match answers.iter().find(|it| !it.fits()) {
            Some(unfit) if !fits => {
                let what = format!("{} does not fit {}", unfit.service, node.name);
                Err(CliError::new(code::DOES_NOT_FIT, what).told_as_json())
            }
            _ => Ok(()),
        }
    }

    /// What is asked, from files and from the exchange.
    async fn question(&self, context: &Context) -> Result<Question, CliError> {
        let live = Live::of(context);
        let offer = match (&self.policy, &self.pattern) {
            (Some(policy), _) => Offer::Policy(match file(policy) {
                Some(file) => Paper::read(file, context, DeploymentPolicy::from_source)?,
                None => noted(live.policy(policy).await?, context),
            }),
            (None, Some(pattern)) => Offer::Pattern(match file(pattern) {
                Some(file) => Paper::read(file, context, Pattern::from_source)?,
                None => noted(live.pattern(pattern).await?, context),
            }),
            (None, None) => Offer::Nothing,
        };
        let mut given = Vec::new();
        for service in &self.services {
            given.push(if let Some(file) = file(service) {
                let paper = Paper::read(file, context, ServiceDefinition::from_source)?;
                (org_of(&paper.content, &offer, &live)?, paper)
            } else {
                let (org, paper) = live.service(service).await?;
                (org, noted(paper, context))
            });
        }
        let policy = self.service_policy.as_deref();
        let policy = policy.map(|it| Paper::read(it, context, ServicePolicy::from_source));
        let services = Services::new(given, policy.transpose()?, live);
        let every = self.all_versions || self.horizon;
        let versions = if every { Versions::All } else { Versions::InTurn };
        Ok(Question::new(offer, services, versions))
    }

    /// The node in question.
    async fn node(&self, question: &Question, context: &Context) -> Result<Node, CliError> {
        let said = Said {
            policy: self.node_policy.as_deref(),
            input: self.node_input.as_deref(),
            arch: self.arch.as_ref(),
            node_type: match self.node_type {
                TypeOfNode::Device => NodeType::Device,
                TypeOfNode::Cluster => NodeType::Cluster,
            },
        };
        match &self.node {
            Some(name) => Node::of_exchange(name, &said, question.services().live(), context).await,
            None if self.this_machine => Node::of_this_machine(&said, context),
            None => Node::of_files(&said, || question.services().only_arch(), context),
        }
    }
}

/// Asks every node of the organization.
async fn all_nodes(question: &mut Question, context: &Context) -> Result<(), CliError> {
    let client =
        question.services().live().client("the list of nodes", "give --node-policy FILE")?;
    let pages = client.node_profiles();
    let fleet = Fleet::ask(question, pages).await?;
    context.output.result(&fleet.report(), || fleet.told());
    if fleet.reach().matching == 0 {
        let what = "no node of the organization matches";
        return Err(CliError::new(code::DOES_NOT_FIT, what).told_as_json());
    }
    Ok(())
}

/// The document, after a note that nodes do not go by it if none signs it.
fn noted<T>(paper: Paper<T>, context: &Context) -> Paper<T> {
    if let Some(name) = paper.written.name().strip_suffix(UNSIGNED) {
        context.output.note(format!("note: {name} is unsigned: Edgepost nodes do not go by it"));
    }
    paper
}

/// How many nodes a deployment policy would match. Horizon's exchange would have to be asked for
/// each node by itself; there nobody waits for the number.
pub(super) async fn reach(
    policy: &DeploymentPolicy,
    context: &Context,
) -> Result<Option<Reach>, CliError> {
    let client = context.client()?;
    if !client.is_edgepost().await? {
        return Ok(None);
    }
    let services = Services::new(Vec::new(), None, Live::of(context));
    let offer = Offer::Policy(Paper::live("the policy", policy.clone()));
    let mut question = Question::new(offer, services, Versions::InTurn);
    let fleet = Fleet::ask(&mut question, client.node_profiles()).await?;
    Ok(Some(fleet.reach()))
}

/// The file that is meant, unless the text is a name in the exchange.
fn file(text: &str) -> Option<&Path> {
    let path = Path::new(text);
    let extension = path.extension().and_then(|it| it.to_str());
    let looks_so = matches!(extension, Some("json" | "yaml" | "yml"))
        || ["./", "../", "/"].iter().any(|it| text.starts_with(it));
    (text == "-" || looks_so || path.is_file()).then_some(path)
}

/// The organization of a service: its own word, then the settings', then that of what offers it.
fn org_of(service: &ServiceDefinition, offer: &Offer, live: &Live) -> Result<OrgId, CliError> {
    let said = service.org.as_ref().or(live.org());
    said.or_else(|| offer.org_of(&service.url)).cloned().ok_or_else(|| {
        CliError::new(code::SETTINGS, format!("the organization of {} is not known", service.url))
            .help("give --org, or say it in the file")
    })
}
