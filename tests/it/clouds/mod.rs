//! Stories of logins, at clouds and elsewhere.

use std::{
    cell::RefCell,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::support::{
    cloud::Cloud,
    image::layout,
    program::{Outcome, Program},
    proxy::Proxy,
};

mod azure;
mod files;
mod hostile;
mod ibm;
mod openshift;
mod ways;

/// Somebody with an image, who reaches clouds by a proxy.
#[derive(Clone)]
struct Person {
    folder: PathBuf,
    proxy: Proxy,
    program: Program,
    /// What no command may show.
    secrets: RefCell<Vec<String>>,
}

impl Person {
    /// Trusts the authorities of `clouds`, which the proxy leads to.
    fn before(folder: &Path, clouds: &[&Cloud]) -> Self {
        let (folder, proxy) = (folder.to_owned(), Proxy::http());
        let mut program = Program::at_home_in(&folder);
        program.set("HTTPS_PROXY", format!("http://{}", proxy.address()));
        let secrets = RefCell::default();
        let person = Self { folder, proxy, program, secrets };
        for cloud in clouds {
            for host in cloud.hosts() {
                person.proxy.lead(&format!("{host}:443"), cloud.web().address());
                person.trust(host, &cloud.ca());
            }
        }
        layout(&person.folder.join("image"), 1, 2, 20_000);
        person
    }

    /// The same person with another environment.
    fn as_by(&self, program: Program) -> Self {
        Self { program, ..self.clone() }
    }

    fn trust(&self, host: &str, ca: &str) {
        let folder = self.certificates_for(host);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("ca.crt"), ca).unwrap();
    }

    fn certificates_for(&self, host: &str) -> PathBuf {
        self.folder.join("home/certs.d").join(host)
    }

    /// Runs a command at its most talkative, and holds that it shows no secret.
    #[track_caller]
    fn run(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut outcome = self.program.run_told(&[&["-vvv"], arguments].concat(), input);
        for secret in self.secrets.borrow().iter() {
            is_nowhere_in(&outcome.stdout, secret);
            is_nowhere_in(&outcome.stderr, secret);
        }
        let for_people = |line: &&str| !line.contains(" TRACE ") && !line.contains(" DEBUG ");
        let told: Vec<&str> = outcome.stderr.lines().filter(for_people).collect();
        outcome.stderr = told.join("\n");
        outcome
    }

    /// Has a secret, which no command may show from now on.
    fn hide(&self, secret: &str) {
        self.secrets.borrow_mut().push(secret.to_owned());
    }

    /// Logs in by a password from standard input.
    #[track_caller]
    fn log_in(&self, host: &str, (user, password): (&str, &str)) -> Outcome {
        self.hide(password);
        let login = ["registry", "login", host, "--username", user, "--password-stdin"];
        self.run(&login, &format!("{password}\n"))
    }

    #[track_caller]
    fn check(&self, place: &str, more: &[&str]) -> Outcome {
        self.run(&[&["registry", "check", place, "--json"], more].concat(), "")
    }

    #[track_caller]
    fn copy(&self, from: &str, to: &str, more: &[&str]) -> Outcome {
        self.run(&[&["image", "copy", from, to], more].concat(), "")
    }

    /// Pushes the image to `to`, and pulls it back, as whoever is logged in.
    #[track_caller]
    fn carry(&self, to: &str) {
        let there = self.copy("oci:image", to, &["--json"]).good().json();
        let folder = tempfile::tempdir_in(&self.folder).unwrap();
        let back = format!("oci:{}/back", folder.path().display());
        let back = self.copy(to, &back, &["--json"]).good().json();
        assert_eq!(there["digest"], back["digest"]);
    }

    /// The login file.
    fn kept(&self) -> Value {
        let text = fs::read(self.folder.join("docker/config.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }

    /// Replaces the login file.
    fn keep(&self, file: &Value) {
        fs::create_dir_all(self.folder.join("docker")).unwrap();
        fs::write(self.folder.join("docker/config.json"), file.to_string()).unwrap();
    }

    /// Keeps one login.
    fn keep_login(&self, host: &str, login: (&str, &str)) {
        self.hide(login.1);
        self.keep(&json!({"auths": {host: {"auth": auth(login)}}}));
    }
}

/// A login as login files have it.
fn auth((user, password): (&str, &str)) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.encode(format!("{user}:{password}"))
}

/// How a secret may look in a text: itself, in the query of an address, and within base64, wherever it begins.
fn looks_of(secret: &str) -> Vec<String> {
    use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let within = (0..3).map(|before| {
        let bytes = [&vec![0; before], secret.as_bytes()].concat();
        let text = STANDARD_NO_PAD.encode(bytes);
        // The first and last characters stand for their neighbours too.
        text[2 * before..text.len() - 2].to_owned()
    });
    within.chain([secret.to_owned(), encoded]).collect()
}

#[track_caller]
fn is_nowhere_in(text: &str, secret: &str) {
    for look in looks_of(secret) {
        assert!(!text.contains(&look), "{look} shows in\n{text}");
    }
}

/// The texts of a check's steps, by their names.
fn step(outcome: &Outcome, name: &str) -> String {
    let told = outcome.json();
    let found = told["steps"].as_array().unwrap().iter().find(|it| it["step"] == name);
    found.unwrap_or_else(|| panic!("no step {name} in {told}"))["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_secret_is_found_however_it_is_written() {
    let secret = "principal~secret.8Q";
    for text in [
        secret.to_owned(),
        format!("Basic {}", auth(("bob", secret))),
        format!("Basic {}", auth(("bobby", secret))),
        format!("Basic {}", auth(("bobbi", secret))),
        "?token=principal%7Esecret.8Q".to_owned(),
    ] {
        let found = std::panic::catch_unwind(|| is_nowhere_in(&text, secret)).is_err();
        assert!(found, "{text}");
    }
    is_nowhere_in("principal and secret", secret);
}
