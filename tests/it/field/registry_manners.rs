//! Registries that hide, that do not answer every question, that warn, or whose rights take time.

use std::{fs, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{
    fake_registry::{FakeRegistry, Peculiarities},
    image::layout,
    program::{Outcome, Program},
    web::Door,
};

/// Somebody with an image.
struct Person {
    folder: tempfile::TempDir,
    program: Program,
}

impl Person {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        layout(&folder.path().join("image"), 7, 2, 30_000);
        let program = Program::at_home_in(folder.path());
        Self { folder, program }
    }

    /// Writes `login` for `host` into the login file of Docker.
    fn log_in(&self, host: &str, login: &str) {
        let auths = serde_json::json!({"auths": {host: {"auth": STANDARD.encode(login)}}});
        let folder = self.folder.path().join("docker");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.json"), auths.to_string()).unwrap();
    }

    fn copy(&self, from: &str, to: &str) -> Outcome {
        self.program.run(&["image", "copy", from, to])
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn is_whole(layout: &Path) -> bool {
    layout.join("index.json").is_file()
}

#[test]
fn a_registry_that_hides_what_is_private_gets_the_login() {
    for (scheme, anonymous) in [("Bearer", 404), ("Bearer", 403), ("Basic", 403), ("Basic", 401)] {
        let peculiarities = Peculiarities {
            scheme: Some(scheme),
            anonymous: Some(anonymous),
            ..Peculiarities::default()
        };
        let registry = FakeRegistry::start(peculiarities, Door::Plain);
        let person = Person::new();
        person.log_in(&registry.host(), "ann:secret");
        let image = format!("{}/team/app:1.0", registry.host());
        person.copy("oci:image", &image).good();
        person.copy(&image, "oci:back").good();
        assert!(is_whole(&person.path("back")), "{scheme} {anonymous}");
        person.program.run(&["registry", "check", &format!("{}/team/app", registry.host())]).good();
    }
}

#[test]
fn a_wrong_login_is_named_where_the_registry_hides() {
    let peculiarities =
        Peculiarities { scheme: Some("Basic"), anonymous: Some(404), ..Peculiarities::default() };
    let registry = FakeRegistry::start(peculiarities, Door::Plain);
    let person = Person::new();
    person.log_in(&registry.host(), "ann:wrong-canary");
    let image = format!("{}/team/app:1.0", registry.host());
    let outcome = person.copy(&image, "oci:back").failed(4, "E0402");
    assert!(outcome.stderr.contains("does not accept the login of `ann`"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains("wrong-canary"), "{}", outcome.stderr);
}

#[test]
fn a_login_for_another_registry_is_named() {
    let peculiarities = Peculiarities { scheme: Some("Basic"), ..Peculiarities::default() };
    let registry = FakeRegistry::start(peculiarities, Door::Plain);
    let person = Person::new();
    person.log_in("other.example:5000", "ann:secret");
    let image = format!("{}/team/app:1.0", registry.host());
    let outcome = person.copy(&image, "oci:back").failed(4, "E0402");
    assert!(outcome.stderr.contains("only for other.example:5000"), "{}", outcome.stderr);
    let command = format!("edgepost registry login {}", registry.host());
    assert!(outcome.stderr.contains(&command), "{}", outcome.stderr);
}

#[test]
fn heads_that_are_refused_do_not_keep_an_image_from_being_pushed() {
    for refused in [403, 405, 501] {
        for peculiarities in [
            Peculiarities { head_manifest: Some(refused), ..Peculiarities::default() },
            Peculiarities { head_blob: Some(refused), ..Peculiarities::default() },
        ] {
            let registry = FakeRegistry::start(peculiarities, Door::Plain);
            let person = Person::new();
            let image = format!("{}/team/app:1.0", registry.host());
            person.copy("oci:image", &image).good();
            person.copy(&image, "oci:back").good();
            assert!(is_whole(&person.path("back")), "{refused}");
        }
    }
}

#[test]
fn a_warning_of_a_registry_is_shown_once() {
    let warning = ("warning", "299 - \"this registry moves to new.example on 1 May\"");
    let peculiarities = Peculiarities { header: Some(warning), ..Peculiarities::default() };
    let registry = FakeRegistry::start(peculiarities, Door::Plain);
    let person = Person::new();
    let outcome = person.copy("oci:image", &format!("{}/a:1", registry.host())).good();
    assert!(registry.heard().len() > 3, "several answers carry it");
    assert_eq!(outcome.stderr.matches("moves to new.example").count(), 1, "{}", outcome.stderr);
}
