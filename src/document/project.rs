//! The project file `hzn.json`: settings and variables for the documents beside it.

use serde_json::Value;

use crate::document::{
    problem::{Problem, Problems, Severity},
    source::{Source, Variables},
};

/// Reads the content of a `hzn.json`: its `HZN_*` names and `HORIZON_URL`, and the free variables
/// of its `MetadataVars`, all in one. A `MetadataVars` name wins over the same name outside.
///
/// The file is no document: `$` means nothing in it.
pub fn variables(name: &str, text: &str) -> Result<Variables, Problems> {
    let source = Source::read_as_it_is(name, text)?;
    let refuse = |what: &str, path: &str| {
        let problem = Problem {
            severity: Severity::Error,
            line: 1,
            column: 1,
            path: path.to_owned(),
            what: what.to_owned(),
            help:
                "a project file is {\"HZN_ORG_ID\": \"…\", \"MetadataVars\": {\"NAME\": \"value\"}}"
                    .to_owned(),
        };
        Problems { file: name.to_owned(), all: vec![problem] }
    };
    let Value::Object(fields) = source.to_value() else {
        return Err(refuse("expected an object", ""));
    };
    let mut variables = Variables::new();
    let mut free = None;
    for (name, value) in fields {
        match value {
            Value::Object(inner) if name == "MetadataVars" => free = Some(inner),
            Value::Null => (),
            value => {
                let text = plain(&value).ok_or_else(|| refuse("expected a text", &name))?;
                variables.set(name, text);
            }
        }
    }
    for (name, value) in free.into_iter().flatten() {
        let path = format!("MetadataVars.{name}");
        let text = plain(&value).ok_or_else(|| refuse("expected a text or a number", &path))?;
        variables.set(name, text);
    }
    Ok(variables)
}

/// The text of a value that has no parts.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::document::{
        DeploymentPolicy, NativeDeployment, NodePolicy, Pattern, ServiceDefinition, ServicePolicy,
        UserInputValue,
    };

    #[test]
    fn names_and_free_variables_are_one() {
        let text = r#"{"HZN_ORG_ID":"IBM","MetadataVars":{"A":"b","N":5,"HZN_ORG_ID":"acme"}}"#;
        let variables = variables("hzn.json", text).unwrap();
        let pairs: Vec<_> = variables.iter().collect();
        assert_eq!(pairs, [("A", "b"), ("HZN_ORG_ID", "acme"), ("N", "5")]);
        assert!(super::variables("hzn.json", r#"{"MetadataVars":{"A":[]}}"#).is_err());
        assert!(super::variables("hzn.json", "[]").is_err());
    }

    /// Horizon's own files, if they are on this machine.
    #[expect(clippy::disallowed_methods, reason = "a test may look where its data are")]
    fn horizon_data() -> Option<PathBuf> {
        let folder = std::env::var_os("EDGEPOST_HORIZON_DATA")
            .map_or_else(|| PathBuf::from("../shared/data/horizon"), PathBuf::from);
        if folder.is_dir() {
            return Some(folder);
        }
        println!("skipped: {} is not there", folder.display());
        None
    }

    fn read(folder: &Path, name: &str, variables: &Variables) -> Source {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        Source::read(name, &text, variables).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn the_hello_world_of_horizon_is_read() {
        let Some(data) = horizon_data() else { return };
        let folder = data.join("examples/edge/services/helloworld/horizon");
        let project = std::fs::read_to_string(folder.join("hzn.json")).unwrap();
        let mut variables = variables("hzn.json", &project).unwrap();
        variables.set("ARCH", "amd64");
        let source = |name| read(&folder, name, &variables);

        let source_of_service = source("service.definition.json");
        let (service, warnings) = ServiceDefinition::from_source(&source_of_service).unwrap();
        assert_eq!(warnings, []);
        let id = service.service_id(service.org.as_ref().unwrap());
        assert_eq!(id.to_string(), "IBM/ibm.helloworld_1.0.0_amd64");
        let NativeDeployment::Described(deployment) = &service.deployment else { panic!() };
        assert_eq!(
            deployment.services["ibm.helloworld"].image.to_string(),
            "docker.io/openhorizon/ibm.helloworld_amd64:1.0.0"
        );

        let (pattern, warnings) = Pattern::from_source(&source("pattern.json")).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(pattern.name.unwrap().as_str(), "pattern-ibm.helloworld-amd64");
        let (pattern, _) = Pattern::from_source(&source("pattern-all-arches.json")).unwrap();
        assert_eq!(pattern.service_refs().len(), 5);

        let (policy, warnings) =
            DeploymentPolicy::from_source(&source("deployment.policy.json")).unwrap();
        assert_eq!(warnings, []);
        let (node, warnings) = NodePolicy::from_source(&source("node.policy.json")).unwrap();
        assert_eq!(warnings, []);
        assert!(policy.constraints[0].holds(&node.for_deployment().properties));
        let (service_policy, _) =
            ServicePolicy::from_source(&source("service.policy.json")).unwrap();
        assert_eq!(service_policy.constraints[0].as_str(), "openhorizon.memory >= 100");
        let (values, _) = UserInputValue::all_from_source(&source("userinput.json")).unwrap();
        assert_eq!(values[0].service_url.as_str(), "ibm.helloworld");
    }

    #[test]
    fn the_files_of_horizon_are_read() {
        let Some(data) = horizon_data() else { return };
        let variables = Variables::from_iter([
            ("ARCH", "amd64"),
            ("HZN_ORG_ID", "IBM"),
            ("SERVICE_NAME", "ibm.service"),
            ("SERVICE_VERSION", "1.0.0"),
            ("DOCKER_IMAGE_BASE", "openhorizon/ibm.service"),
            ("VERS", "1.0"),
            ("VERSION", "1.0.0"),
            ("CPU_IMAGE_NAME", "openhorizon/amd64_cpu"),
            ("CPU_IMAGE_TAG", "1.2.2"),
            ("CPU2WIOTP_NAME", "cpu2wiotp"),
            ("CPU2WIOTP_VERSION", "1.2.2"),
            ("MYDOMAIN", "example.com"),
        ]);
        let mut count = 0;
        for path in files_below(&data) {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(&path).unwrap().replace("__ARCH__", "amd64");
            // Some are broken on purpose, and some are of other kinds.
            let Ok(source) = Source::read(&name, &text, &variables) else { continue };
            let value = source.to_value();
            let has = |field| value.get(field).is_some();
            let problems = if has("deployment") && has("url") {
                ServiceDefinition::from_source(&source).err()
            } else if has("services") && has("label") {
                Pattern::from_source(&source).err()
            } else if has("service") {
                DeploymentPolicy::from_source(&source).err()
            } else if name.contains("policy") && has("constraints") {
                NodePolicy::from_source(&source).err()
            } else {
                continue;
            };
            assert_eq!(problems.map(|it| it.to_string()), None);
            count += 1;
        }
        assert!(count > 50, "{count} files");
    }

    fn files_below(folder: &Path) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files.extend(files_below(&path));
            } else if path.extension().is_some_and(|it| it == "json") {
                files.push(path);
            }
        }
        files
    }
}
