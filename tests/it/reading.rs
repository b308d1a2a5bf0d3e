//! What people type and keep in files, as the program reads it.

use std::{fs, path::Path};

use crate::support::program::Program;

/// A program with an exchange to speak to, which is not there.
fn program(folder: &Path) -> Program {
    let mut program = Program::at_home_in(folder);
    program.set("EDGEPOST_EXCHANGE_URL", "http://127.0.0.1:9/v1");
    program.set("EDGEPOST_ORG", "acme");
    program.set("EDGEPOST_USER_AUTH", "ann:ann-secret");
    program
}

/// Writes a file below a folder.
fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder can be made");
    fs::write(path, text).expect("a file can be written");
}

#[test]
fn every_problem_is_shown_under_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "{\n  \"label\": 5, // a label\n\u{a0} \"services\": [],\n}\n";
    write(folder.path(), "p.json", text);
    let told = program(folder.path()).run(&["pattern", "publish", "p.json"]).failed(3, "E0301");
    let expected = "  p.json:2:15: JSON has no // comments
   2 |   \"label\": 5, // a label
     |               ^
    help: write /* … */
  p.json:3:1: U+00A0 (no-break space) outside of a text
   3 |   \"services\": [],
     | ^
    help: put an ordinary blank in its place
  p.json:3:17: a comma before `}`
   3 |   \"services\": [],
     |                 ^
    help: take the comma away
";
    assert!(told.stderr.contains(expected), "{}", told.stderr);
    let told = program(folder.path()).run(&["pattern", "publish", "p.json", "--json"]);
    let details = told.failed(3, "E0301").json()["error"]["details"].clone();
    assert_eq!(details.as_array().unwrap().len(), 3);
    assert_eq!(details[2], "p.json:3:17: a comma before `}`\n  help: take the comma away");
}

#[test]
fn a_policy_in_yaml_is_checked_with_its_places() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\
# What the pumps need.
label: \"$NAME\"
service:
  name: hello
  arch: $ARCH
  org: $HZN_ORG_ID
  serviceVersions:
    - version: 1.10
constraints:
  - >-
    purpose == pump
    AND speed == fast @
";
    write(folder.path(), "horizon/policy.yaml", text);
    write(folder.path(), "hzn.json", r#"{"HZN_ORG_ID": "acme", "MetadataVars": {"NAME": "n"}}"#);
    let program = program(folder.path());
    let told = program.run(&["policy", "publish", "p", "horizon/policy.yaml"]).failed(3, "E0301");
    for expected in [
        "8:16: service.serviceVersions[0].version: expected a text, found a number",
        "\n   8 |     - version: 1.10\n     |                ^\n    help: put it into quotes: \"1.10\"",
        "12:23: constraints[0]: ",
        "\n   12 |     AND speed == fast @\n      |                       ^\n",
    ] {
        assert!(told.stderr.contains(expected), "{expected}\n{}", told.stderr);
    }
    assert!(!told.stderr.contains("is not defined"), "{}", told.stderr);
    let as_it_is = program.with("HZN_DONT_SUBST_ENV_VARS", "1");
    let told = as_it_is.run(&["policy", "publish", "p", "horizon/policy.yaml"]);
    assert!(told.failed(3, "E0301").stderr.contains("5:9: service.arch: "));
}

#[test]
fn a_project_names_its_definition() {
    let folder = tempfile::tempdir().unwrap();
    let definition = "label: l\nurl: hello\nversion: 1.0.0\narch: $ARCH\nsharable: multiple\n\
        deployment: {services: {web: {image: \"127.0.0.1:9/a/b:1\"}}}\n";
    write(folder.path(), "project/horizon/my.service.yaml", definition);
    write(folder.path(), "project/edgepost.toml", "definition = \"horizon/my.service.yaml\"\n");
    write(folder.path(), "project/src/main.c", "");
    for start in ["project", "project/src"] {
        let program = program(folder.path()).standing_in(&folder.path().join(start));
        let told = program.run(&["publish", "--dry-run"]);
        assert!(told.stderr.contains("hello 1.0.0 for "), "{}", told.stderr);
        assert!(told.stderr.contains("horizon/my.service.yaml"), "{}", told.stderr);
    }
    let told = program(folder.path()).run(&["publish", "-"]).failed(3, "E0301");
    assert!(told.stderr.contains("stdin:1:1: the file is empty"), "{}", told.stderr);
}

#[test]
fn every_setting_says_where_it_comes_from_and_no_password() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "edgepost.toml", "org = \"toml\"\n[variables]\nNAME = \"toml\"\n");
    let project =
        r#"{"HZN_ORG_ID": "json", "MetadataVars": {"NAME": "json", "A_TOKEN": "hidden"}}"#;
    write(folder.path(), "horizon/hzn.json", project);
    let user = r#"{"HZN_ORG_ID": "user", "HZN_EXCHANGE_URL": "http://user/v1",
        "HZN_EXCHANGE_USER_AUTH": "ann:ann-secret"}"#;
    write(folder.path(), ".hzn/hzn.json", user);
    let program = Program::at_home_in(folder.path());
    let shown = program.run(&["config", "show", "--origin"]).good().stdout;
    let line = |name: &str| {
        let line = shown.lines().find(|it| it.starts_with(name)).unwrap_or_default();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let path = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(line("exchange"), ["exchange", "http://user/v1", &path(".hzn/hzn.json")]);
    assert_eq!(line("org"), ["org", "toml", &path("edgepost.toml")]);
    assert_eq!(line("user-auth"), ["user-auth", "ann:***", &path(".hzn/hzn.json")]);
    let hidden = path("horizon/hzn.json");
    assert_eq!(line("$NAME"), ["$NAME", "toml", &path("edgepost.toml"), &hidden]);
    assert_eq!(line("$A_TOKEN"), ["$A_TOKEN", "***", &hidden]);
    assert!(!shown.contains("ann-secret") && !shown.contains("hidden\n"), "{shown}");
    let program = program.with("HZN_EXCHANGE_URL", "http://environment/v1");
    let settings = program.run(&["config", "show", "--json", "--org", "flag"]).good().json();
    assert_eq!(settings["settings"][0]["origin"], "HZN_EXCHANGE_URL");
    assert_eq!(settings["settings"][1]["origin"], "command line");
}
