//! Every JSON file of Horizon's own repositories: read, checked and kept whole, or refused with its
//! place. Each file has exactly one outcome, and the counts are told.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use edgepost::document::{
    DeploymentPolicy, Kind, NodePolicy, Pattern, Problem, Problems, ServiceDefinition,
    ServicePolicy, Source, UserInputValue, Variables, project,
};
use serde::Serialize;
use serde_json::Value;

use super::{files_below, folder};
use crate::support::peers::record_skip;

/// What becomes of a file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It was read and checked, and nothing of it was lost on the way through our types.
    Kept(Kind),
    /// It is not JSON; the first problem and its place are told.
    NotJson,
    /// It is JSON, and none of the documents that are known here.
    OfNoKind,
    /// It is a document of the kind, and wrong.
    Wrong(Kind),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept(kind) => write!(f, "kept whole: {kind}"),
            Self::NotJson => f.write_str("refused with its place: no JSON"),
            Self::OfNoKind => f.write_str("refused with its place: no document"),
            Self::Wrong(kind) => write!(f, "refused with its place: {kind}"),
        }
    }
}

#[test]
fn horizon_data_files_are_kept_whole_or_refused_with_their_place() {
    let Some(folder) = folder() else { return };
    let files: Vec<_> = ["anax", "examples"]
        .iter()
        .flat_map(|part| files_below(&folder.join(part), "json"))
        .collect();
    let mut counts = BTreeMap::new();
    let mut broken = Vec::new();
    for file in &files {
        let name = file.strip_prefix(&folder).expect("a file below").display().to_string();
        match outcome_of(file, &name) {
            Ok((outcome, told)) => {
                if let Some(told) = told {
                    eprintln!("{told}");
                }
                *counts.entry(outcome).or_insert(0) += 1;
            }
            Err(why) => broken.push(format!("{name}: {why}")),
        }
    }
    for (outcome, count) in &counts {
        eprintln!("{count:4} {outcome}");
    }
    eprintln!(
        "{:4} files, {} of them with a field lost or without a place",
        files.len(),
        broken.len()
    );
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
    assert_eq!(counts.values().sum::<usize>(), files.len());
    assert!(!files.is_empty(), "{} has no files", folder.display());
}

#[test]
fn horizon_data_hello_world_means_what_it_says() {
    let Some(folder) = folder() else { return };
    let folder = folder.join("examples/edge/services/helloworld/horizon");
    if !folder.is_dir() {
        return record_skip(&format!("{} is not there", folder.display()));
    }
    let source = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).expect("a file of the example");
        Source::read(name, &text, &variables_for(&folder.join(name), &text)).expect("a document")
    };
    let (service, warnings) =
        ServiceDefinition::from_source(&source("service.definition.json")).unwrap();
    assert_eq!(warnings, []);
    let id = service.service_id(service.org.as_ref().expect("it has an organization"));
    assert_eq!(id.exchange_id(), "ibm.helloworld_1.0.0_amd64");

    let (pattern, warnings) = Pattern::from_source(&source("pattern.json")).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(pattern.name.unwrap().as_str(), "pattern-ibm.helloworld-amd64");
    let (pattern, _) = Pattern::from_source(&source("pattern-all-arches.json")).unwrap();
    assert_eq!(pattern.service_refs().len(), 5);

    let (policy, _) = DeploymentPolicy::from_source(&source("deployment.policy.json")).unwrap();
    let (node, _) = NodePolicy::from_source(&source("node.policy.json")).unwrap();
    assert!(policy.constraints[0].holds(&node.for_deployment().properties));
    let (policy, _) = ServicePolicy::from_source(&source("service.policy.json")).unwrap();
    assert_eq!(policy.constraints[0].as_str(), "openhorizon.memory >= 100");
    let (values, _) = UserInputValue::all_from_source(&source("userinput.json")).unwrap();
    assert_eq!(values[0].service_url.as_str(), "ibm.helloworld");
}

/// What becomes of a file, and what is told of it; or what is wrong with how we read it.
fn outcome_of(file: &Path, name: &str) -> Result<(Outcome, Option<String>), String> {
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    let Ok(text) = String::from_utf8(bytes) else {
        return Ok((Outcome::NotJson, Some(format!("{name}: not UTF-8"))));
    };
    if file.file_name().is_some_and(|it| it == "hzn.json") {
        return match project::variables(name, &text) {
            Ok(variables) => {
                all_variables(&variables, &text).map(|()| (Outcome::Kept(Kind::Project), None))
            }
            Err(problems) => refused(Outcome::Wrong(Kind::Project), &problems, &text),
        };
    }
    let source = match Source::read(name, &text, &variables_for(file, &text)) {
        Ok(source) => source,
        Err(problems) => return refused(Outcome::NotJson, &problems, &text),
    };
    let kind = match Kind::of(&source) {
        Ok(kind) => kind,
        Err(problems) => return refused(Outcome::OfNoKind, &problems, &text),
    };
    let problems = match kind {
        Kind::Service => kept(&source, ServiceDefinition::from_source)?,
        Kind::Pattern => kept(&source, Pattern::from_source)?,
        Kind::DeploymentPolicy => kept(&source, DeploymentPolicy::from_source)?,
        Kind::Policy => {
            kept(&source, NodePolicy::from_source)?.or(kept(&source, ServicePolicy::from_source)?)
        }
        Kind::UserInput => values_kept(&source)?,
        Kind::Project => None,
    };
    match problems {
        Some(problems) => refused(Outcome::Wrong(kind), &problems, &text),
        None => Ok((Outcome::Kept(kind), None)),
    }
}

/// The file is refused: the first error has a place in it.
fn refused(
    outcome: Outcome,
    problems: &Problems,
    text: &str,
) -> Result<(Outcome, Option<String>), String> {
    let error = problems.errors().next().ok_or("refused without an error")?;
    let line = text.lines().nth(error.line.wrapping_sub(1));
    let is_end = error.line == text.lines().count() + 1;
    let line = line.or(is_end.then_some("")).ok_or(format!("there is no line {}", error.line))?;
    if error.column == 0 || error.column > line.chars().count() + 1 {
        return Err(format!("there is no column {} in line {}", error.column, error.line));
    }
    Ok((outcome, Some(format!("{}:{error}", problems.file))))
}

/// Reads a document, and holds what our type makes of it against what the author wrote; the problems
/// where it is refused.
fn kept<T: Serialize>(
    source: &Source,
    read: impl Fn(&Source) -> Result<(T, Vec<Problem>), Problems>,
) -> Result<Option<Problems>, String> {
    let document = match read(source) {
        Ok((document, _)) => document,
        Err(problems) => return Ok(Some(problems)),
    };
    let ours = serde_json::to_value(&document).map_err(|error| error.to_string())?;
    let mut lost = Vec::new();
    compare("", &source.to_value(), &ours, &mut lost);
    if lost.is_empty() { Ok(None) } else { Err(lost.join("; ")) }
}

/// The same for values; the older format becomes the newer one, field by field.
fn values_kept(source: &Source) -> Result<Option<Problems>, String> {
    let written = source.to_value();
    let Some(services) = written.get("services").and_then(Value::as_array) else {
        return kept(source, UserInputValue::all_from_source);
    };
    let values = match UserInputValue::all_from_source(source) {
        Ok((values, _)) => values,
        Err(problems) => return Ok(Some(problems)),
    };
    let mut lost = Vec::new();
    if services.len() != values.len() {
        return Err(format!("{} services became {}", services.len(), values.len()));
    }
    for (old, new) in services.iter().zip(&values) {
        let new = serde_json::to_value(new).map_err(|error| error.to_string())?;
        for (from, to) in [("org", "serviceOrgid"), ("url", "serviceUrl")] {
            compare(from, &old[from], &new[to], &mut lost);
        }
        let range = new.get("serviceVersionRange").unwrap_or(&Value::Null);
        compare("versionRange", &old["versionRange"], range, &mut lost);
        let inputs = new["inputs"].as_array().ok_or("no inputs")?;
        for (name, value) in old["variables"].as_object().into_iter().flatten() {
            let given = inputs.iter().find(|it| it["name"] == **name);
            compare(name, value, given.map_or(&Value::Null, |it| &it["value"]), &mut lost);
        }
    }
    if lost.is_empty() { Ok(None) } else { Err(lost.join("; ")) }
}

/// Every variable of a project file is there with its text.
fn all_variables(variables: &Variables, text: &str) -> Result<(), String> {
    let written = Source::read_as_it_is("hzn.json", text).map_err(|it| it.to_string())?.to_value();
    let free = written.get("MetadataVars").and_then(Value::as_object);
    let names = written.as_object().into_iter().chain(free).flatten();
    for (name, value) in names.filter(|(name, value)| *name != "MetadataVars" && !value.is_null()) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let wins = free.and_then(|free| free.get(name)).is_some_and(|it| it != value);
        if variables.get(name) != Some(&text) && !wins {
            return Err(format!("the variable {name} was lost"));
        }
    }
    Ok(())
}

/// Tells what `ours` lacks of what was `written`, and what it has that was not written.
///
/// Two differences are none, since Horizon's own programs, which are written in Go, cannot see them:
/// a field that is left out and one with the empty value of its type (null, false, 0, an empty text,
/// list or object); and a number however it is written. And two are wanted: an architecture has one
/// name here, `amd64` for `x86_64`, and `*` for every one, which may be left empty too; and an image
/// says its registry, which is `docker.io` where its author named none, as for every engine.
fn compare(path: &str, written: &Value, ours: &Value, lost: &mut Vec<String>) {
    match (written, ours) {
        (Value::Object(written), Value::Object(ours)) => {
            let names = written.keys().chain(ours.keys().filter(|it| !written.contains_key(*it)));
            for name in names {
                let [before, after] =
                    [written, ours].map(|it| it.get(name).unwrap_or(&Value::Null));
                compare(&format!("{path}.{name}"), before, after, lost);
            }
        }
        (Value::Array(written), Value::Array(ours)) if written.len() == ours.len() => {
            for (index, (before, after)) in written.iter().zip(ours).enumerate() {
                compare(&format!("{path}[{index}]"), before, after, lost);
            }
        }
        (before, after) if is_empty(before) && is_empty(after) => (),
        (Value::Number(before), Value::Number(after)) if before.as_f64() == after.as_f64() => (),
        (Value::String(before), Value::String(after)) if is_arch(path) && arch(before) == after => {
        }
        (Value::Null, Value::String(after)) if is_arch(path) && after == "*" => (),
        (Value::String(before), Value::String(after)) if last(path) == "image" => {
            let same = |start: &str| after.strip_prefix(start) == Some(before);
            if after != before && !same("docker.io/") && !same("docker.io/library/") {
                lost.push(format!("{path}: {before} became {after}"));
            }
        }
        (before, after) if before == after => (),
        (before, after) => lost.push(format!("{path}: {before} became {after}")),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(is_empty),
    }
}

fn is_arch(path: &str) -> bool {
    matches!(last(path), "arch" | "serviceArch")
}

/// The field at the end of a path.
fn last(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, field)| field)
}

fn arch(name: &str) -> &str {
    match name {
        "" => "*",
        "x86_64" => "amd64",
        "armhf" => "arm",
        "aarch64" => "arm64",
        name => name,
    }
}

/// The variables of the hzn.json beside the file or beside its folder, as Horizon's projects have
/// them; what they do not define has a value that its name suggests.
fn variables_for(file: &Path, text: &str) -> Variables {
    let mut variables = Variables::new();
    let folders = file.ancestors().skip(1).take(2);
    for project in folders.map(|folder| folder.join("hzn.json")) {
        if let Ok(text) = fs::read_to_string(&project)
            && let Ok(defined) = project::variables("hzn.json", &text)
        {
            variables = variables.or(&defined);
        }
    }
    let mut guesses = Variables::new();
    for part in text.split('$').skip(1) {
        let part = part.strip_prefix('{').unwrap_or(part);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = &part[..part.find(|c| !is_name(c)).unwrap_or(part.len())];
        let guess = match name {
            "ARCH" => "amd64",
            _ if name.contains("VERS") || name.contains("TAG") => "1.0.0",
            _ if name.contains("ORG") => "acme",
            _ if name.contains("DOMAIN") => "example.com",
            _ if name.contains("IMAGE") => "example.com/image",
            _ => "value",
        };
        guesses.set(name, guess);
    }
    variables.or(&guesses)
}
