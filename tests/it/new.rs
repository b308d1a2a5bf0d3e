//! Stories of a new service project: it is published as it is, and stands in nobody's way.

use std::{
    fs,
    path::{Path, PathBuf},
};

use edgepost::document::{
    Candidate, DeploymentPolicy, NodeFacts, NodePolicy, Pattern, SchemaKind, ServiceDefinition,
    ServicePolicy, Source, Variables, matching::fits, project,
};
use serde_json::Value;

use crate::{
    schemas::{assert_valid, read, validator},
    support::{
        hub::Hub,
        image,
        program::{Outcome, Program},
    },
};

const ARCHES: [&str; 3] = ["amd64", "arm64", "arm"];

/// The program in a folder of its own, with an organization and nothing else.
fn program(folder: &Path) -> Program {
    Program::at_home_in(folder).with("EDGEPOST_ORG", "acme")
}

/// The files that a command says it made or would make.
fn files(outcome: &Outcome) -> Vec<String> {
    let told = outcome.json();
    let files = told["files"].as_array().unwrap();
    files.iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

/// A made file of some kind, with the variables of its project on a machine of `arch`.
fn source(horizon: &Path, name: &str, arch: &str) -> Source {
    let hzn = fs::read_to_string(horizon.join("hzn.json")).unwrap();
    let mut variables: Variables = project::variables("hzn.json", &hzn).unwrap();
    variables.set("ARCH", arch);
    let text = fs::read_to_string(horizon.join(name)).unwrap();
    Source::read(name, &text, &variables).unwrap()
}

#[test]
fn every_file_of_a_new_project_is_read_without_a_warning_and_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    for (name, images) in [
        ("hello", vec!["reg.example:5000/acme/hello"]),
        ("5g-in.use_x", vec!["acme/hello:1.0.0"]),
        ("shop", vec!["reg.example/my.web", "reg.example/db:1"]),
    ] {
        let images: Vec<_> = images.iter().flat_map(|image| ["-i", image]).collect();
        let made = program.run(&[&["new", name, "--json"], &images[..]].concat()).good();
        assert!(!made.stderr.contains("warning"), "{}", made.stderr);
        assert!(files(&made).iter().all(|file| folder.path().join(file).is_file()), "{made:?}");
        let horizon = folder.path().join(name).join("horizon");
        for arch in ARCHES {
            for kind in SchemaKind::ALL {
                assert_clean(kind, &horizon, kind.usual_name(), arch);
            }
            assert_clean(SchemaKind::Pattern, &horizon, "pattern-all-arches.json", arch);
            let service = source(&horizon, "service.definition.json", arch);
            let service = ServiceDefinition::from_source(&service).unwrap().0;
            let all_arches = source(&horizon, "pattern-all-arches.json", arch);
            let offered = Pattern::from_source(&all_arches).unwrap().0.service_refs();
            assert!(offered.iter().any(|it| it.url == service.url
                && it.arch.includes(&service.arch)
                && it.versions == [service.version.clone()]));
            assert_fits(&horizon, &service);
        }
        let ignored = toml::from_str::<toml::Table>(
            &fs::read_to_string(folder.path().join(name).join("edgepost.toml")).unwrap(),
        );
        assert_eq!(ignored.unwrap()["org"].as_str(), Some("acme"));
    }
}

#[track_caller]
fn assert_clean(kind: SchemaKind, horizon: &Path, name: &str, arch: &str) {
    let read_source = source(horizon, name, arch);
    assert_eq!(read(kind, &read_source).unwrap(), [], "{name}");
    assert_valid(&validator(kind), &read_source.to_value(), name);
    // As an editor sees it; and plain JSON, with no field that hzn would warn about.
    let text = fs::read_to_string(horizon.join(name)).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_valid(&validator(kind), &written, name);
    assert!(!text.contains("$schema"), "{name}");
}

/// The node that the project describes runs the service that the project offers.
#[track_caller]
fn assert_fits(horizon: &Path, service: &ServiceDefinition) {
    let arch = service.arch.as_str();
    let policy = source(horizon, "deployment.policy.json", arch);
    let policy = DeploymentPolicy::from_source(&policy).unwrap().0;
    let service_policy = source(horizon, "service.policy.json", arch);
    let service_policy = ServicePolicy::from_source(&service_policy).unwrap().0;
    let node = NodePolicy::from_source(&source(horizon, "node.policy.json", arch)).unwrap().0;
    let org = service.org.clone().unwrap();
    let candidate = Candidate::new(&org, service, Some(&service_policy));
    let facts = NodeFacts::device(service.arch.clone());
    assert!(fits(&policy, &candidate, &node, &facts).fits());
    assert!(!fits(&policy, &candidate, &NodePolicy::default(), &facts).fits());
}

#[test]
fn a_new_project_is_published_with_no_edit() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let arch = edgepost::types::Arch::of_this_machine();
    let registry = hub.registry();
    let login = format!("{registry}:pull:{}", hub.pull_password);
    for (name, images) in [("hello", vec!["hello"]), ("shop", vec!["web", "db"])] {
        let mut sources = Vec::new();
        let mut new = vec!["new".to_owned(), name.to_owned()];
        for (seed, image) in images.iter().enumerate() {
            let layout = folder.path().join(format!("image-{name}-{image}"));
            image::layout(&layout, seed as u64, 1, 1000);
            let base = format!("{registry}/acme/{image}");
            sources.push("--source".to_owned());
            sources.push(format!("{base}_{arch}:1.0.0=oci:{}", layout.display()));
            new.extend(["-i".to_owned(), base]);
        }
        let run = |arguments: &[&str]| hub.publisher.run(arguments).good();
        run(&new.iter().map(String::as_str).collect::<Vec<_>>());
        let horizon = PathBuf::from(name).join("horizon");
        let file = |name: &str| horizon.join(name).display().to_string();

        let mut publish = vec!["publish", "-r", &login];
        let definition = file("service.definition.json");
        publish.push(&definition);
        publish.extend(sources.iter().map(String::as_str));
        run(&publish);
        run(&["pattern", "publish", &file("pattern.json")]);
        run(&["policy", "publish", name, &file("deployment.policy.json")]);

        let (status, services) = hub.get("/v1/orgs/acme/services");
        assert_eq!(status, 200);
        let services: Value = serde_json::from_slice(&services).unwrap();
        let service = &services["services"][format!("acme/{name}_1.0.0_{arch}")];
        let deployment: Value =
            serde_json::from_str(service["deployment"].as_str().unwrap()).unwrap();
        assert_eq!(deployment["services"].as_object().unwrap().len(), images.len());
    }
}

#[test]
fn what_stands_there_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let project = folder.path().join("hello");
    fs::create_dir_all(project.join("horizon")).unwrap();
    fs::write(project.join("README.md"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", project.join("horizon/hzn.json")).unwrap();
    let refused = program.run(&["new", "hello", "-i", "reg.example/hello"]);
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(refused.stderr.contains("hello/README.md"), "{refused:?}");
    assert!(refused.stderr.contains("hello/horizon/hzn.json"), "{refused:?}");
    assert_eq!(fs::read_to_string(project.join("README.md")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&project).unwrap().count(), 2);
    assert_eq!(fs::read_dir(project.join("horizon")).unwrap().count(), 1);

    // A file in the place of a folder leaves nothing behind either.
    fs::write(folder.path().join("file"), "").unwrap();
    let refused = program.run(&["new", "hello", "-i", "reg.example/hello", "--dir", "file/x"]);
    assert_ne!(refused.code, 0, "{refused:?}");
}

#[test]
fn a_dry_run_lists_the_files_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let new = ["new", "hello", "-i", "reg.example/hello", "--json"];
    let listed = program.run(&[&new[..], &["--dry-run"]].concat()).good();
    assert!(!folder.path().join("hello").exists());
    let made = program.run(&new).good();
    assert_eq!(files(&listed), files(&made));
    for arch in ARCHES {
        assert!(files(&made).contains(&format!("hello/Dockerfile.{arch}")), "{made:?}");
    }
}

#[test]
fn parts_can_be_left_out_and_put_in() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    let new = ["new", "hello", "--json", "-i", "reg.example/hello", "--dir"];
    let less = ["--no-pattern", "--no-policy", "--no-image-gen"];
    let made = program.run(&[&new[..], &["less"], &less].concat()).good();
    let mut names = files(&made);
    names.sort();
    let horizon = ["hzn.json", "service.definition.json", "userinput.json"];
    let expected = ["less/README.md".to_owned(), "less/edgepost.toml".to_owned()];
    let horizon = horizon.map(|name| format!("less/horizon/{name}"));
    assert_eq!(names, [&expected[..], &horizon].concat());

    program.run(&[&new[..], &["more", "--vscode"]].concat()).good();
    let editor = folder.path().join("more/.vscode");
    let settings = fs::read_to_string(editor.join("settings.json")).unwrap();
    let settings: Value = serde_json::from_str(&settings).unwrap();
    for schema in settings["json.schemas"].as_array().unwrap() {
        let file = folder.path().join("more").join(schema["url"].as_str().unwrap());
        assert!(file.is_file(), "{}", file.display());
    }
}

#[test]
fn what_could_not_be_published_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    for (name, image) in [
        ("../hello", "reg.example/hello"),
        ("", "reg.example/hello"),
        ("hello", "https://reg.example/hello"),
        ("hello", "reg.example/Hello"),
    ] {
        let refused = program.run(&["new", name, "-i", image]);
        assert_eq!(refused.code, 2, "{refused:?}");
    }
    let twice = program.run(&["new", "hello", "-i", "reg.example/a/x", "-i", "reg.example/b/x"]);
    assert_eq!(twice.code, 2, "{twice:?}");
    assert!(!folder.path().join("hello").exists());
}
