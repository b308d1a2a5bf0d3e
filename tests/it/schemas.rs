//! The JSON Schemas in `schemas/`: they are those of the types, and say what the readers say.

use std::path::PathBuf;

use edgepost::document::{
    DeploymentPolicy, NodePolicy, Pattern, Problem, Problems, SchemaKind, ServiceDefinition,
    ServicePolicy, Source, UserInputValue, Variables,
};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::horizon_data;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn validator(kind: SchemaKind) -> Validator {
    jsonschema::validator_for(&kind.schema()).unwrap()
}

/// What our reader of that kind of file says.
pub fn read(kind: SchemaKind, source: &Source) -> Result<Vec<Problem>, Problems> {
    match kind {
        SchemaKind::Service => ServiceDefinition::from_source(source).map(|it| it.1),
        SchemaKind::Pattern => Pattern::from_source(source).map(|it| it.1),
        SchemaKind::DeploymentPolicy => DeploymentPolicy::from_source(source).map(|it| it.1),
        SchemaKind::ServicePolicy => ServicePolicy::from_source(source).map(|it| it.1),
        SchemaKind::NodePolicy => NodePolicy::from_source(source).map(|it| it.1),
        SchemaKind::UserInput => UserInputValue::all_from_source(source).map(|it| it.1),
    }
}

/// The same for a document without variables and comments.
fn is_taken(kind: SchemaKind, document: &Value) -> bool {
    let source = Source::read_as_it_is("f.json", &document.to_string()).unwrap();
    read(kind, &source).is_ok()
}

#[track_caller]
pub fn assert_valid(validator: &Validator, document: &Value, name: &str) {
    let errors: Vec<_> =
        validator.iter_errors(document).map(|it| format!("{}: {it}", it.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

#[test]
fn the_files_are_those_that_the_types_make() {
    for kind in SchemaKind::ALL {
        let file = root().join("schemas").join(kind.file_name());
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            text == kind.text(),
            "{} is not what the types make; renew it: cargo run -- schema --write schemas",
            file.display(),
        );
        jsonschema::draft7::meta::validate(&kind.schema()).unwrap();
    }
}

/// A document that has every field, so that every field is changed.
fn full(name: &str) -> Value {
    let file = root().join("tests/fixtures/documents").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// The JSON pointers of everything in a document.
fn pointers(document: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![(String::new(), document)];
    while let Some((pointer, value)) = open.pop() {
        let parts: Vec<_> = match value {
            Value::Object(fields) => fields
                .iter()
                .map(|(name, it)| (format!("{pointer}/{}", name.replace('/', "~1")), it))
                .collect(),
            Value::Array(items) => {
                items.iter().enumerate().map(|(i, it)| (format!("{pointer}/{i}"), it)).collect()
            }
            _ => Vec::new(),
        };
        all.extend(parts.iter().map(|(pointer, _)| pointer.clone()));
        open.extend(parts);
    }
    all
}

/// The document with something else at a place.
fn with(document: &Value, pointer: &str, value: &Value) -> Value {
    let mut changed = document.clone();
    *changed.pointer_mut(pointer).unwrap() = value.clone();
    changed
}

/// The document with nothing at a place.
fn without(document: &Value, pointer: &str) -> Value {
    let mut changed = document.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match changed.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.shift_remove(&name.replace("~1", "/"))),
        Value::Array(items) => drop(items.remove(name.parse().unwrap())),
        _ => (),
    }
    changed
}

/// What people put into the wrong place.
fn odd_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(""),
        json!(" "),
        json!("x"),
        json!(" x"),
        json!("a/b"),
        json!("*"),
        json!("1"),
        json!("1.2.3"),
        json!("v1"),
        json!("[1.0.0,2.0.0)"),
        json!("infinity"),
        json!("amd64"),
        json!("https://x.y"),
        json!("a=b"),
        json!("=b"),
        json!("a b"),
        json!("80:80/tcp"),
        json!("99999"),
        json!("/a:/b"),
        json!("a == 1"),
        json!("a in \"b\""),
        json!("()"),
        json!("int"),
        json!("version"),
        json!("single"),
        json!("never"),
        json!("bool"),
        json!("reg.io/a@sha256:00"),
        json!(0),
        json!(1),
        json!(1.5),
        json!(-1),
        json!(true),
        json!([]),
        json!([1]),
        json!(["x"]),
        json!([null]),
        json!({}),
        json!({"a": "b"}),
        json!({"a": {}}),
        json!([{}]),
        json!([["x"]]),
        json!({"services": {}}),
        json!({"name": "a", "value": null}),
        json!({"name": "a", "value": [], "x": 1}),
    ]
}

/// The claim of the whole: every field of every document, taken away or changed into anything.
#[test]
fn what_a_reader_takes_is_valid() {
    let names = SchemaKind::ALL.map(|kind| (kind, kind.as_str()));
    for (kind, name) in names.into_iter().chain([(SchemaKind::UserInput, "user-input-old")]) {
        let validator = validator(kind);
        let whole = full(name);
        assert!(is_taken(kind, &whole), "{name}");
        let (mut taken, mut refused, mut refused_by_schema) = (0, 0, 0);
        for pointer in pointers(&whole) {
            let odd = odd_values();
            let changed = odd.iter().map(|value| with(&whole, &pointer, value));
            for document in changed.chain([without(&whole, &pointer)]) {
                if is_taken(kind, &document) {
                    taken += 1;
                    assert_valid(&validator, &document, &format!("{name} {document}"));
                } else {
                    refused += 1;
                    refused_by_schema += usize::from(!validator.is_valid(&document));
                }
            }
        }
        println!("{name}: {taken} taken; of {refused} refused a schema sees {refused_by_schema}");
        assert!(taken > 100, "{name}: {taken}");
        // The rest is what a schema cannot know, such as a number that is too large for a port.
        assert!(
            refused_by_schema * 100 >= refused * 90,
            "{name}: {refused_by_schema} of {refused}"
        );
    }
}

/// The lines of a vector file.
fn vectors(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(root().join("tests/fixtures/horizon").join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn whatever_horizon_takes_for_a_value_is_valid() {
    let policy = validator(SchemaKind::NodePolicy);
    for vector in vectors("constraints.jsonl") {
        let document =
            json!({"constraints": vector["constraints"], "properties": vector["properties"]});
        if is_taken(SchemaKind::NodePolicy, &document) {
            assert_valid(&policy, &document, &vector.to_string());
        }
    }
    let input = validator(SchemaKind::UserInput);
    for vector in vectors("version_range.jsonl") {
        let mut document = full("user-input");
        document[0]["serviceVersionRange"] = vector["range"].clone();
        // A range is all a pattern: the schema and the reader agree in both directions.
        let range = vector["range"].as_str().unwrap();
        if !range.is_empty() {
            assert_eq!(input.is_valid(&document), vector["valid"], "{vector}");
        }
    }
    let service = validator(SchemaKind::Service);
    for vector in vectors("image_path.jsonl") {
        let mut document = full("service");
        document["deployment"]["services"]["web"]["image"] = vector["image"].clone();
        if is_taken(SchemaKind::Service, &document) {
            assert_valid(&service, &document, &vector.to_string());
        }
    }
}

#[test]
fn a_variable_may_stand_wherever_a_text_stands() {
    for kind in SchemaKind::ALL {
        let validator = validator(kind);
        let whole = full(kind.as_str());
        let is_text = |pointer: &String| whole.pointer(pointer).unwrap().is_string();
        for pointer in pointers(&whole).iter().filter(|it| is_text(it)) {
            for variable in ["$NAME", "a-${NAME}_$OTHER:1"] {
                let document = with(&whole, pointer, &json!(variable));
                assert_valid(&validator, &document, &format!("{kind} {pointer}"));
            }
        }
    }
}

/// Every file of Horizon's that a reader takes; and what an editor sees of it, where that is JSON.
#[test]
fn horizon_data_files_that_are_taken_are_valid() {
    let Some(folder) = horizon_data::folder() else { return };
    let validators = SchemaKind::ALL.map(|kind| (kind, validator(kind)));
    let (mut files, mut taken, mut as_written) = (0, 0, 0);
    for path in horizon_data::files_below(&folder, "json") {
        let name = path.display().to_string();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        files += 1;
        let Ok(source) = Source::read(&name, &text, &variables_in(&text)) else { continue };
        for (kind, validator) in &validators {
            let Ok(warnings) = read(*kind, &source) else { continue };
            // A schema knows names in the case that they have alone.
            if warnings.iter().any(|it| it.what.contains("is read as")) {
                continue;
            }
            taken += 1;
            assert_valid(validator, &source.to_value(), &format!("{kind} {name}"));
            if let Ok(written) = Source::read_as_it_is(&name, &text) {
                as_written += 1;
                assert_valid(validator, &written.to_value(), &format!("{kind} {name}"));
            }
        }
    }
    println!("{files} files; taken and valid: {taken}, of them as they are written: {as_written}");
    assert!(taken > 0);
}

/// A value for every variable of a text: one that does for a name, a version and a number.
fn variables_in(text: &str) -> Variables {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = text.split('$').skip(1).map(|rest| rest.strip_prefix('{').unwrap_or(rest));
    names.map(|rest| (rest.split(|c| !is_name(c)).next().unwrap(), "1")).collect()
}

/// Comments are left out there, because editors take them for mistakes.
#[test]
fn the_examples_name_their_schemas_and_are_valid() {
    let mut count = 0;
    for path in horizon_data::files_below(&root().join("examples"), "json") {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(kind) = SchemaKind::ALL.into_iter().find(|it| it.usual_name() == name) else {
            continue;
        };
        let text = std::fs::read_to_string(&path).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_valid(&validator(kind), &written, &path.display().to_string());
        let schema = path.parent().unwrap().join(written["$schema"].as_str().unwrap());
        let expected = root().join("schemas").join(kind.file_name());
        assert_eq!(schema.canonicalize().unwrap(), expected, "{}", path.display());
        count += 1;
    }
    assert!(count >= 4, "{count}");
}
