//! Why a service does not fit a node.

use std::fmt;

use crate::{
    document::{
        constraint::Constraint,
        property::{Properties, PropertyValue},
    },
    types::Arch,
};

/// One reason why a service does not fit a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The policy or the pattern does not offer this version of this service for its architecture.
    NotOffered {
        /// The service.
        service: String,
    },
    /// The service is for another architecture.
    Arch {
        /// What it is for.
        service: Arch,
        /// What the node has.
        node: Arch,
    },
    /// The service has no deployment for a node of this type.
    NoDeployment {
        /// The field it lacks.
        field: &'static str,
    },
    /// The node is confined to another name space of its cluster.
    Namespace {
        /// Where the service wants to be.
        service: String,
        /// Where the node is.
        node: String,
    },
    /// The node does not satisfy a constraint of the deployment.
    NodeFails(Failure),
    /// The deployment does not satisfy a constraint of the node.
    ServiceFails(Failure),
    /// The service is privileged, and the node does not allow that.
    Privileged,
    /// A variable without a default gets no value.
    NoValue {
        /// The service that asks for it.
        service: String,
        /// The variable.
        variable: String,
    },
    /// A variable gets a value of another type.
    WrongValue {
        /// The service that asks for it.
        service: String,
        /// The variable.
        variable: String,
    },
    /// A secret of a container is bound to nothing.
    Unbound {
        /// The container that needs it.
        container: String,
        /// The secret.
        secret: String,
    },
}

/// A constraint that does not hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// The whole constraint.
    pub constraint: String,
    /// The comparisons that fail, each with the value that was found for its property.
    pub comparisons: Vec<(String, Option<PropertyValue>)>,
}

impl Failure {
    /// What fails, if `constraint` does not hold for `properties`.
    pub(super) fn of(constraint: &Constraint, properties: &Properties) -> Option<Self> {
        if constraint.holds(properties) {
            return None;
        }
        let found = |name: &str| properties.get(name).map(|it| it.value.clone());
        let failures = constraint.failures(properties);
        let comparisons =
            failures.into_iter().map(|it| (it.to_string(), found(&it.name))).collect();
        Some(Self { constraint: constraint.to_string(), comparisons })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` does not hold", self.constraint)?;
        for (index, (comparison, found)) in self.comparisons.iter().enumerate() {
            let joint = if index == 0 { ": " } else { ", " };
            write!(f, "{joint}{comparison} but ")?;
            match found {
                Some(PropertyValue::Text(text)) => write!(f, "it is {text}")?,
                Some(PropertyValue::Bool(value)) => write!(f, "it is {value}")?,
                Some(PropertyValue::Number(value)) => write!(f, "it is {value}")?,
                Some(PropertyValue::Unusable(_)) => f.write_str("its value cannot be used")?,
                None => f.write_str("there is no such property")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered { service } => write!(f, "{service} is not offered"),
            Self::Arch { service, node } => {
                write!(f, "the service is for {service}, and the node is {node}")
            }
            Self::NoDeployment { field } => write!(f, "the service has no `{field}`"),
            Self::Namespace { service, node } => {
                write!(f, "the service is for the name space {service}, and the node is in {node}")
            }
            Self::NodeFails(failure) => write!(f, "the node does not fit: {failure}"),
            Self::ServiceFails(failure) => write!(f, "the node refuses: {failure}"),
            Self::Privileged => f.write_str(
                "the service is privileged: the node must have openhorizon.allowPrivileged = true",
            ),
            Self::NoValue { service, variable } => {
                write!(f, "nobody gives a value to `{variable}` of {service}")
            }
            Self::WrongValue { service, variable } => {
                write!(f, "the value of `{variable}` of {service} is of another type")
            }
            Self::Unbound { container, secret } => {
                write!(f, "the secret `{secret}` of container `{container}` is bound to nothing")
            }
        }
    }
}
