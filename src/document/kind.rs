//! Which document a file is, by what it says.

use std::fmt;

use crate::document::{
    problem::{Problem, Problems, Severity},
    source::{Content, Node, Source},
};

/// What a file can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A service definition.
    Service,
    /// A pattern.
    Pattern,
    /// A deployment policy.
    DeploymentPolicy,
    /// A policy of a node or of a service, which look alike.
    Policy,
    /// Values for the variables of services, in either format.
    UserInput,
    /// A project file, `hzn.json`.
    Project,
}

impl Kind {
    /// Sees which document a file is; if it is none that is known here, says what it looks like.
    pub fn of(source: &Source) -> Result<Self, Problems> {
        let root = source.root();
        kind_of(root).ok_or_else(|| refusal(source, "no document that is known here", hint(root)))
    }

    /// Refuses a file that is clearly another document than the one that is asked for.
    pub(super) fn expect(self, source: &Source) -> Result<(), Problems> {
        match kind_of(source.root()) {
            // A deployment policy without its service is better told what it lacks.
            Some(Self::Policy) if self == Self::DeploymentPolicy => Ok(()),
            Some(found) if found != self => {
                let what = format!("expected {self}, found {found}");
                Err(refusal(source, &what, "give the file to the command that is made for it"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "a service definition",
            Self::Pattern => "a pattern",
            Self::DeploymentPolicy => "a deployment policy",
            Self::Policy => "a policy of a node or a service",
            Self::UserInput => "values for services",
            Self::Project => "a project file",
        })
    }
}

fn refusal(source: &Source, what: &str, help: &str) -> Problems {
    let (line, column) = source.place(source.root().at);
    let problem = Problem {
        severity: Severity::Error,
        line,
        column,
        path: String::new(),
        what: what.to_owned(),
        help: help.to_owned(),
    };
    Problems { file: source.name().to_owned(), all: vec![problem] }
}

fn kind_of(root: &Node) -> Option<Kind> {
    if let Content::List(items) = &root.content {
        let is_values = |it: &Node| has(it, "inputs") && has(it, "serviceUrl");
        let is_input = !items.is_empty() && items.iter().all(is_values);
        return is_input.then_some(Kind::UserInput);
    }
    let any = |names: &[&str]| names.iter().any(|name| has(root, name));
    let first_service = match root.member("services").map(|it| &it.content) {
        Some(Content::List(items)) => Some(items.first()),
        _ => None,
    };
    if any(&["deployment", "clusterDeployment", "requiredServices"])
        && any(&["url", "version", "arch", "sharable"])
    {
        return Some(Kind::Service);
    }
    if let Some(first) = first_service {
        let is_old = |it: &Node| has(it, "variables") || (has(it, "url") && has(it, "org"));
        let is_values = has(root, "global") || first.is_some_and(is_old);
        return Some(if is_values { Kind::UserInput } else { Kind::Pattern });
    }
    if root.member("service").is_some_and(|it| matches!(it.content, Content::Object(_))) {
        return Some(Kind::DeploymentPolicy);
    }
    if any(&["properties", "constraints"]) {
        return Some(Kind::Policy);
    }
    let parts = ["deployment", "management"].map(|name| root.member(name));
    if parts.into_iter().flatten().any(|it| has(it, "properties") || has(it, "constraints")) {
        return Some(Kind::Policy);
    }
    let Content::Object(members) = &root.content else { return None };
    let is_setting = |name: &str| name.starts_with("HZN_") || name == "HORIZON_URL";
    let is_project =
        has(root, "MetadataVars") || members.iter().any(|it| is_setting(it.name.as_str()));
    is_project.then_some(Kind::Project)
}

fn has(node: &Node, name: &str) -> bool {
    node.member(name).is_some()
}

/// What the author may have meant.
fn hint(root: &Node) -> &'static str {
    let any = |names: &[&str]| names.iter().any(|name| has(root, name));
    if any(&["serviceUrl", "serviceVersions"]) {
        "it looks like one of the `services` of a pattern: put it into the list of one"
    } else if any(&["workloads", "specRef", "apiSpec"]) {
        "it looks like a definition from before there were services: write `url`, `deployment`"
    } else if any(&["Edge", "AgreementBot"]) {
        "it looks like the settings of Horizon's agent"
    } else if any(&["objectID", "objectType"]) {
        "it looks like an object of the model management service"
    } else {
        "a service has `url` and `deployment`, a pattern `services`, a deployment policy `service`, \
         other policies `properties` and `constraints`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{DeploymentPolicy, NodePolicy, Pattern, ServiceDefinition, Variables};

    fn source(text: &str) -> Source {
        Source::read("f.json", text, &Variables::new()).unwrap()
    }

    #[test]
    fn a_document_is_known_by_what_it_says() {
        for (text, kind) in [
            (r#"{"url":"u","deployment":{}}"#, Some(Kind::Service)),
            (r#"{"label":"l","services":[{"serviceUrl":"u"}]}"#, Some(Kind::Pattern)),
            (r#"{"services":[]}"#, Some(Kind::Pattern)),
            (r#"{"services":[{"org":"o","url":"u","variables":{}}]}"#, Some(Kind::UserInput)),
            (r#"{"global":[],"services":[]}"#, Some(Kind::UserInput)),
            (r#"[{"serviceUrl":"u","inputs":[]}]"#, Some(Kind::UserInput)),
            (r#"{"service":{},"constraints":[]}"#, Some(Kind::DeploymentPolicy)),
            (r#"{"constraints":[]}"#, Some(Kind::Policy)),
            (r#"{"deployment":{"properties":[]}}"#, Some(Kind::Policy)),
            (r#"{"HZN_ORG_ID":"o"}"#, Some(Kind::Project)),
            (r#"{"MetadataVars":{}}"#, Some(Kind::Project)),
            (r#"{"deployment":{}}"#, None),
            (r#"{"Edge":{}}"#, None),
            ("[1]", None),
            ("[]", None),
            ("5", None),
        ] {
            assert_eq!(Kind::of(&source(text)).ok(), kind, "{text}");
        }
        let told = Kind::of(&source("\n{\"serviceUrl\":\"u\"}")).unwrap_err();
        assert_eq!((told.all[0].line, told.all[0].column), (2, 1));
        assert!(told.all[0].help.contains("pattern"));
    }

    #[test]
    fn one_document_is_not_taken_for_another() {
        let pattern = source(r#"{"label":"l","services":[{"serviceUrl":"u"}]}"#);
        let policy = source(r#"{"service":{"name":"n"}}"#);
        for problems in [
            ServiceDefinition::from_source(&pattern).unwrap_err(),
            NodePolicy::from_source(&policy).unwrap_err(),
            Pattern::from_source(&policy).unwrap_err(),
        ] {
            assert_eq!(problems.all.len(), 1);
            assert!(problems.all[0].what.starts_with("expected "), "{problems}");
        }
        let policy = source(r#"{"properties":[],"constraints":[]}"#);
        let problems = DeploymentPolicy::from_source(&policy).unwrap_err();
        assert!(problems.all[0].what.contains("`service` is missing"));
    }
}
