//! What is said: services, patterns, policies, and whether they fit together.
//!
//! The formats are Horizon's. A document that an author wrote is read from a [`Source`], which
//! knows the place of everything in it; one that comes from the exchange, by serde.

mod check;
pub mod choice;
pub mod cluster;
pub mod constraint;
pub mod deployment;
pub mod difference;
pub mod horizon_row;
pub mod kind;
mod lenient;
pub mod matching;
pub mod pattern;
pub mod policy;
pub mod problem;
pub mod project;
pub mod property;
pub mod schema;
pub mod service;
pub mod service_body;
pub mod source;
#[cfg(test)]
mod survival;
pub mod trial;
pub mod user_input;

pub use self::{
    choice::{ArchChoice, SecretBinding, VersionChoice, choose_version},
    cluster::{ClusterDeployment, OperatorArchive, OperatorDeployment},
    constraint::Constraint,
    deployment::{AccessNeed, Container, Deployment, HostAccess, PathAccess, normalized, of_path},
    kind::Kind,
    matching::{Candidate, Clause, NodeFacts, Outcome, Rule, Verdict},
    pattern::{Pattern, PatternService, ServiceRef},
    policy::{DeploymentPolicy, NodePolicy, ServicePolicy},
    problem::{Problem, Problems, Severity},
    property::{Properties, Property, PropertyType, PropertyValue},
    schema::SchemaKind,
    service::{NativeDeployment, RequiredService, ServiceDefinition, Sharable},
    service_body::{ServiceBody, ServiceBodyError, ShippedImage},
    source::{Source, Variables},
    user_input::{InputKind, InputValue, UserInput, UserInputValue},
};
