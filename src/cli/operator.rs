//! The operator of a cluster service: its archive, read from beside the definition, and what is said
//! of it.

use std::{io, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;

use crate::{
    cli::{
        Context, code,
        error::{CliError, file_error},
        files::read_at_most,
    },
    document::{
        ClusterDeployment, OperatorArchive, OperatorDeployment, ServiceDefinition,
        cluster::LARGEST_ARCHIVE,
    },
};

/// Reads the archive that the definition in `file` names, where its cluster deployment is an object.
pub(super) fn read_operator(
    file: &Path,
    definition: &ServiceDefinition,
    context: &Context,
) -> Result<Option<OperatorArchive>, CliError> {
    let ClusterDeployment::Described(operator) = &definition.cluster_deployment else {
        return Ok(None);
    };
    let path = file.with_file_name(&operator.operator_yaml_archive);
    let refused = || {
        CliError::new(code::DEFINITION, "the archive of the operator cannot be published")
            .at(path.display())
            .help("make it of the operator's YAML files alone: tar -czf operator.tar.gz *.yaml")
    };
    let bytes =
        read_at_most(&path, LARGEST_ARCHIVE as u64).map_err(|error| match error.kind() {
            io::ErrorKind::FileTooLarge => refused().because(&error),
            _ => file_error(&path, &error).help("it is named by operatorYamlArchive"),
        })?;
    let archive = OperatorArchive::read(&bytes).map_err(|error| refused().because(&error))?;
    let objects = archive.objects().len();
    context.output.step("operator", format!("{objects} objects from {}", path.display()));
    if !archive.namespace().is_empty() {
        let namespace = archive.namespace();
        let note = format!(
            "note: the operator's files name the name space {namespace}; a clusterNamespace in the policy or pattern goes over it"
        );
        context.output.note(note);
    }
    Ok(Some(archive))
}

/// What a published service says of its operator; `None` where it has none.
pub(super) fn outline(definition: &ServiceDefinition) -> Option<Value> {
    let operator = definition.cluster_deployment.operator()?;
    let mut outline = operator.outline();
    outline["objects"] = archive_of(&operator).map_or(Value::Null, |it| it.objects().into());
    Some(outline)
}

/// The same for people, in a line; nothing where there is no cluster deployment.
pub(super) fn describe(definition: &ServiceDefinition) -> Option<String> {
    if definition.cluster_deployment == ClusterDeployment::Absent {
        return None;
    }
    let operator = definition.cluster_deployment.operator();
    let archive = operator.as_ref().and_then(archive_of);
    Some(match archive {
        Some(archive) => {
            let namespace = match archive.namespace() {
                "" => "no name space of its own".to_owned(),
                namespace => format!("name space {namespace}"),
            };
            let count = archive.objects().len();
            format!(
                "cluster deployment: an operator of {count} objects, {namespace}; devices do not run it"
            )
        }
        None => {
            "cluster deployment: a text that is not read here; devices do not run it".to_owned()
        }
    })
}

/// The archive inside a signed text.
fn archive_of(operator: &OperatorDeployment) -> Option<OperatorArchive> {
    let bytes = BASE64_STANDARD.decode(&operator.operator_yaml_archive).ok()?;
    OperatorArchive::read(&bytes).ok()
}
