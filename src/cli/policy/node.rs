//! Policies of nodes, published by their operators.

use serde_json::Value;

use crate::{
    cli::{
        code,
        documents::{Noun, Publication, Sheet, without_org},
        error::CliError,
        policy::{counts, without},
    },
    document::{NodePolicy, Problem, Problems, Property, Source},
    publish::{DocumentPlan, Existing, PublishError, Published, Publisher},
    types::{DocumentKey, NodeId},
};

/// The policy of a node.
pub(super) struct PolicyOfNode(NodeId);

impl PolicyOfNode {
    /// That of the node that a list calls so.
    pub(super) fn named(node: &str) -> Result<Self, CliError> {
        without_org(node).parse().map(Self).map_err(|error| {
            CliError::new(code::USAGE, format!("`{node}` cannot name a node")).because(&error)
        })
    }
}

/// Whether the node measures a property itself: nobody has written it.
fn is_measured(property: &Property) -> bool {
    Property::is_measured(&property.name)
}

impl Noun for PolicyOfNode {
    type Written = NodePolicy;
    type Signed = NodePolicy;

    const WORD: &'static str = "policy of node";
    const LISTED_BY: &'static str = "edgepost policy list --nodes";
    const HEADINGS: &'static [&'static str] = &["POLICY OF NODE", "PROPERTIES", "CONSTRAINTS"];

    fn name(&self) -> &str {
        self.0.as_str()
    }

    fn key(&self) -> DocumentKey {
        DocumentKey::node_policy(&self.0)
    }

    fn read(source: &Source) -> Result<(NodePolicy, Vec<Problem>), Problems> {
        NodePolicy::from_source(source)
    }

    fn cells(name: &str, row: &Value) -> Vec<String> {
        counts(name, &[row, &row["deployment"], &row["management"]])
    }

    fn summary(&self, said: &NodePolicy, sheet: &mut Sheet) {
        sheet.line("label", &said.label);
        sheet.line("description", &said.description);
        sheet.terms("", &said.properties, &said.constraints);
        for (name, part) in [("deployment", &said.deployment), ("management", &said.management)] {
            if let Some(part) = part {
                sheet.terms(&format!("{name} "), &part.properties, &part.constraints);
            }
        }
    }

    /// Without what the node measures, which the exchange keeps in the same place.
    fn to_horizon(written: &NodePolicy) -> Value {
        let mut said = written.clone();
        said.properties = without(&said.properties, is_measured);
        for part in [&mut said.deployment, &mut said.management].into_iter().flatten() {
            part.properties = without(&part.properties, is_measured);
        }
        said.to_horizon()
    }
}

impl Publication for PolicyOfNode {
    async fn publish(
        &self,
        publisher: &Publisher,
        policy: &NodePolicy,
    ) -> Result<Published, PublishError> {
        publisher.publish_document(&self.0, policy, Existing::Overwrite).await
    }

    async fn plan(
        &self,
        publisher: &Publisher,
        policy: &NodePolicy,
    ) -> Result<DocumentPlan, PublishError> {
        publisher.plan_document(&self.0, policy).await
    }
}
