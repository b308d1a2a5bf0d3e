//! The demonstration tells the truth.

use crate::support::{peers, podman::Podman, program::Program};

#[test]
fn the_demo_holds_without_an_engine() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());

    let story = program.run(&["demo", "--engine", "none", "--json"]).good().json();

    assert_eq!(story["ok"], true);
    let names: Vec<_> =
        story["steps"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    for attack in ["altered", "swapped-layer", "rollback", "stranger", "freeze"] {
        assert!(names.contains(&attack), "{attack} is missing in {names:?}");
    }
}

#[test]
fn the_demo_holds_in_docker_and_leaves_nothing_there() {
    let Some(docker) = peers::docker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path()).with("DOCKER_HOST", &docker);

    let story = program.run(&["demo", "--engine", "docker", "--json"]).good().json();

    assert_eq!(story["ok"], true);
    let left = |what: &[&str]| {
        peers::run(std::process::Command::new("docker").args(["--host", &docker]).args(what))
    };
    let ours = "label=edgepost.node=demo/node-1";
    assert_eq!(left(&["ps", "--all", "--quiet", "--filter", ours]), "");
    assert_eq!(left(&["network", "ls", "--quiet", "--filter", ours]), "");
    let text = story.to_string();
    let registry = text.split("registry on ").nth(1).expect("the demo names its registry");
    let registry: String =
        registry.chars().take_while(|it| matches!(it, '0'..='9' | '.' | ':')).collect();
    let images = format!("reference={registry}/*");
    assert_eq!(left(&["images", "--quiet", "--filter", &images]), "");
}

#[test]
fn the_demo_holds_in_podman_and_leaves_nothing_there() {
    let folder = tempfile::tempdir().unwrap();
    let Some(podman) = Podman::start_with_containers(&folder.path().join("podman")) else { return };
    let program = Program::at_home_in(folder.path()).with("DOCKER_HOST", podman.socket());

    let story = program.run(&["demo", "--engine", "podman", "--json"]).good().json();

    assert_eq!(story["ok"], true);
    assert_eq!(podman.ask(&["ps", "--all", "--quiet"]), "");
    assert_eq!(podman.ask(&["images", "--quiet"]), "");
    let networks = podman.ask(&["network", "ls", "--format", "{{.Name}}"]);
    assert_eq!(networks, "podman", "the network that Podman always has");
}
