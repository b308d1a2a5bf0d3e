//! The node of a question: one of the exchange, one of files, or this machine.

use std::path::Path;

use super::{
    live::Live,
    paper::{Paper, Papers, Written},
};
use crate::{
    agent::Machine,
    cli::{Context, code, error::CliError},
    document::{
        NodePolicy, Properties, Property, PropertyValue, UserInputValue,
        matching::{NodeFacts, NodeType, Role},
    },
    exchange::api::{NodeProfile, NodeProfileError},
    types::Arch,
};

/// A node, with all that decides about it.
#[derive(Debug)]
pub(super) struct Node {
    /// What people call it.
    pub(super) name: String,
    pub(super) policy: NodePolicy,
    pub(super) facts: NodeFacts,
    /// The pattern that it takes, `org/pattern`; a node that does goes by no policies.
    pub(super) pattern: Option<String>,
    /// Where its documents are written.
    pub(super) papers: Papers,
}

/// What is said about a node on the command line.
#[derive(Debug)]
pub(super) struct Said<'a> {
    pub(super) policy: Option<&'a Path>,
    pub(super) input: Option<&'a Path>,
    pub(super) arch: Option<&'a Arch>,
    pub(super) node_type: NodeType,
}

impl Node {
    /// A node as the exchange knows it.
    pub(super) fn of_profile(
        name: String,
        profile: &NodeProfile,
    ) -> Result<Self, NodeProfileError> {
        let (policy, facts) = (profile.policy()?, profile.facts()?);
        let papers = Papers::from([
            (Role::NodePolicy, Written::Exchange(format!("policy of node {name}"))),
            (Role::NodeInput, Written::Exchange(format!("userInput of node {name}"))),
        ]);
        let pattern = Some(profile.pattern.clone()).filter(|it| !it.is_empty());
        Ok(Self { name, policy, facts, pattern, papers })
    }

    /// A node of the exchange, with what is said about it here in the place of what it told.
    pub(super) async fn of_exchange(
        name: &str,
        said: &Said<'_>,
        live: &Live,
        context: &Context,
    ) -> Result<Self, CliError> {
        let (name, profile) = live.node(name).await?;
        let mut node = Self::of_profile(name.clone(), &profile).map_err(|error| {
            CliError::new(code::ANSWER, format!("nothing can be said about node {name}"))
                .because(&error)
                .help("register the node again")
        })?;
        if let Some(file) = said.policy {
            // What it has measured stays, whatever its owner is about to state.
            let measured = measured(&node.policy.properties);
            node.take_policy(Paper::read(file, context, NodePolicy::from_source)?);
            node.policy.properties = measured.merged_with(&node.policy.properties);
        }
        node.take_input(said, context)?;
        Ok(node)
    }

    /// A node of files alone. What its policy does not state is not known, save its architecture:
    /// that is `usual` where neither the command nor the policy says it.
    pub(super) fn of_files(
        said: &Said<'_>,
        usual: impl FnOnce() -> Option<Arch>,
        context: &Context,
    ) -> Result<Self, CliError> {
        let Some(file) = said.policy else {
            return Err(CliError::new(code::USAGE, "there is no node to check against")
                .help("give --node NODE, --node-policy FILE, --this-machine or --all-nodes"));
        };
        let paper = Paper::read(file, context, NodePolicy::from_source)?;
        let arch = said.arch.cloned().or_else(|| stated_arch(&paper.content)).or_else(usual);
        let arch = arch.unwrap_or_else(|| {
            let arch = Arch::of_this_machine();
            context
                .output
                .note(format!("note: taking the node to be {arch}; --arch says otherwise"));
            arch
        });
        let facts = match said.node_type {
            NodeType::Device => NodeFacts::device(arch),
            NodeType::Cluster => NodeFacts::cluster(arch),
        };
        let mut node = Self {
            name: format!("the node of {}", paper.written.name()),
            policy: NodePolicy::default(),
            facts,
            pattern: None,
            papers: Papers::new(),
        };
        node.take_policy(paper);
        node.take_input(said, context)?;
        Ok(node)
    }

    /// This machine, measured as an agent on it would.
    pub(super) fn of_this_machine(said: &Said<'_>, context: &Context) -> Result<Self, CliError> {
        let machine = Machine::measured(Path::new("/"));
        let arch = said.arch.cloned().unwrap_or_else(|| machine.arch.clone());
        let mut node = Self {
            name: "this machine".to_owned(),
            policy: NodePolicy::default(),
            facts: machine.facts(arch),
            pattern: None,
            papers: Papers::new(),
        };
        if let Some(file) = said.policy {
            node.take_policy(Paper::read(file, context, NodePolicy::from_source)?);
        }
        node.take_input(said, context)?;
        Ok(node)
    }

    fn take_policy(&mut self, paper: Paper<NodePolicy>) {
        self.policy = paper.content;
        self.papers.insert(Role::NodePolicy, paper.written);
    }

    fn take_input(&mut self, said: &Said<'_>, context: &Context) -> Result<(), CliError> {
        if let Some(file) = said.input {
            let paper = Paper::read(file, context, UserInputValue::all_from_source)?;
            self.facts.user_input = paper.content;
            self.papers.insert(Role::NodeInput, paper.written);
        }
        Ok(())
    }
}

/// What a node has measured, of what its policy tells.
fn measured(told: &Properties) -> Properties {
    told.iter().filter(|it| Property::is_measured(&it.name)).cloned().collect()
}

fn stated_arch(policy: &NodePolicy) -> Option<Arch> {
    match &policy.for_deployment().properties.get("openhorizon.arch")?.value {
        PropertyValue::Text(text) => text.parse().ok(),
        _ => None,
    }
}
