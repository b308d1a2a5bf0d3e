//! Stories of real registries, and of the other programs that people use with them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::support::{
    hub::Hub,
    image::layout,
    issuer::Issuer,
    peers::{self, DockerRegistry},
    podman::Podman,
    program::{Outcome, Program},
};

/// Somebody with an image, and logins that every program reads.
struct Person {
    folder: PathBuf,
    program: Program,
}

impl Person {
    fn in_folder(folder: &Path, program: Program) -> Self {
        layout(&folder.join("image"), 5, 3, 200_000);
        Self { folder: folder.to_owned(), program }
    }

    /// Writes the login file that Docker, Podman and skopeo read, too.
    fn log_in(&self, host: &str, login: &str) {
        let auths = serde_json::json!({"auths": {host: {"auth": STANDARD.encode(login)}}});
        fs::create_dir_all(self.folder.join("docker")).unwrap();
        fs::write(self.login_file(), auths.to_string()).unwrap();
    }

    fn login_file(&self) -> PathBuf {
        self.folder.join("docker/config.json")
    }

    fn trust(&self, host: &str, ca: &str) {
        let certificates = self.folder.join("home/certs.d").join(host);
        fs::create_dir_all(&certificates).unwrap();
        fs::write(certificates.join("ca.crt"), ca).unwrap();
    }

    fn copy(&self, from: &str, to: &str, more: &[&str]) -> Outcome {
        self.program.run(&[&["image", "copy", from, to], more].concat())
    }

    /// What a layout's only manifest says, and its digest.
    fn manifest(&self, layout: &str) -> (String, Value) {
        let read =
            |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let folder = self.folder.join(layout);
        let digest = read(&folder.join("index.json"))["manifests"][0]["digest"].clone();
        let digest = digest.as_str().unwrap().to_owned();
        let blob = folder.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
        (digest, read(&blob))
    }

    fn config(&self, layout: &str) -> String {
        self.manifest(layout).1["config"]["digest"].as_str().unwrap().to_owned()
    }

    /// Docker, Podman and skopeo pull what we push to `host`, and we pull what they push.
    fn goes_with_everybody(&self, host: &str) {
        let at = |name: &str| format!("{host}/acme/{name}:1");
        self.copy("oci:image", &at("ours"), &[]).good();
        let (digest, _) = self.manifest("image");
        let config = self.config("image");

        let docker = peers::docker();
        if let Some(engine) = &docker {
            let docker = |arguments: &[&str]| {
                let mut command = Command::new("docker");
                command.arg("--config").arg(self.folder.join("docker"));
                peers::run(command.args(["--host", engine]).args(arguments))
            };
            docker(&["pull", "--quiet", &at("ours")]);
            assert_eq!(docker(&["image", "inspect", "--format", "{{.Id}}", &at("ours")]), config);
            docker(&["tag", &at("ours"), &at("dockers")]);
            docker(&["push", "--quiet", &at("dockers")]);
            docker(&["image", "rm", &at("ours"), &at("dockers")]);
        }
        let podman = Podman::start(&self.folder.join("podman"));
        let login = self.login_file().display().to_string();
        if let Some(podman) = &podman {
            let by = ["--tls-verify=false", "--authfile", &login];
            podman.ask(&[&["pull", "--quiet"], &by[..], &[&at("ours")]].concat());
            let seen = podman.ask(&["image", "inspect", "--format", "{{.Digest}}", &at("ours")]);
            assert_eq!(seen, digest);
            podman.ask(&[&["push"], &by[..], &[&at("ours"), &at("podmans")]].concat());
        }
        let skopeo = peers::has("skopeo");
        if skopeo {
            let copy = |from: &str, to: &str| {
                let mut command = Command::new("skopeo");
                command.args(["copy", "--quiet", "--authfile", &login]);
                command.args(["--src-tls-verify=false", "--dest-tls-verify=false", from, to]);
                peers::run(&mut command)
            };
            let layout = format!("oci:{}:1", self.folder.join("by-skopeo").display());
            copy(&format!("docker://{}", at("ours")), &layout);
            assert_eq!(self.manifest("by-skopeo").0, digest);
            copy(&layout, &format!("docker://{}", at("skopeos")));
        }

        for (is_there, theirs) in
            [(docker.is_some(), "dockers"), (podman.is_some(), "podmans"), (skopeo, "skopeos")]
        {
            if is_there {
                let back = format!("back-{theirs}");
                self.copy(&at(theirs), &format!("oci:{back}"), &[]).good();
                assert_eq!(self.config(&back), config, "{theirs}");
                fs::remove_dir_all(self.folder.join(back)).unwrap();
            }
        }
    }
}

#[test]
fn docker_podman_and_skopeo_pull_what_we_push_and_push_what_we_pull() {
    let folder = tempfile::tempdir().unwrap();
    let Some(registry) = DockerRegistry::start(&folder.path().join("registry")) else { return };
    let person = Person::in_folder(folder.path(), Program::at_home_in(folder.path()));
    let host = registry.address().to_string();
    person.log_in(&host, "pusher:push-secret");
    person.trust(&host, &fs::read_to_string(registry.ca()).unwrap());
    person.goes_with_everybody(&host);
}

#[test]
fn they_do_the_same_with_our_registry() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let person = Person::in_folder(folder.path(), hub.publisher.clone());
    person.goes_with_everybody(&hub.registry());
}

#[test]
fn a_registry_with_a_token_server_is_pushed_to_by_who_may() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::start(Duration::from_secs(2));
    let at = folder.path().join("registry");
    fs::create_dir_all(&at).unwrap();
    let auth = issuer.as_auth(&at.join("issuer.crt"));
    let Some(registry) = DockerRegistry::start_asking(&at, &auth) else { return };
    let person = Person::in_folder(folder.path(), Program::at_home_in(folder.path()));
    let host = registry.address().to_string();
    person.trust(&host, &fs::read_to_string(registry.ca()).unwrap());
    person.trust(&issuer.host(), &issuer.ca());
    let image = format!("{host}/acme/hello:1");

    person.log_in(&host, "pusher:push-secret");
    // Six hundred thousand bytes take three seconds, and a token lives for two.
    person.copy("oci:image", &image, &["--limit-rate", "200k"]).good();
    let asked = issuer.asked();
    person.log_in(&host, "puller:pull-secret");
    let refused = person.copy("oci:image", &format!("{host}/acme/other:1"), &[]);
    let refused = refused.failed(4, "E0403");
    person.copy(&image, "oci:back", &[]).good();
    person.log_in(&host, "puller:push-secret");
    let wrong = person.copy(&image, "oci:never", &[]).failed(4, "E0402");

    assert!(asked.len() >= 2, "tokens that ended were bought anew: {asked:?}");
    for token in &asked {
        assert_eq!(token.values("service"), ["registry"]);
        let scopes = token.values("scope").join(" ");
        assert!(scopes.contains("repository:acme/hello:") && scopes.contains("push"), "{scopes}");
    }
    assert_eq!(person.manifest("back").0, person.manifest("image").0);
    assert!(refused.stderr.contains("acme/other"), "{}", refused.stderr);
    for told in [&refused, &wrong] {
        assert!(!told.stderr.contains("secret"), "{}", told.stderr);
    }
}

#[test]
fn a_registry_whose_certificate_signs_itself_is_trusted_by_that_certificate_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("registry");
    let Some(mut registry) = DockerRegistry::start(&at) else { return };
    if !peers::has("openssl") {
        return;
    }
    // As Docker's own manual makes it: what signs itself is a CA, too, if nothing else is said.
    let make = |certificate: &str, key: &str| {
        let name = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"];
        let new = ["req", "-newkey", "rsa:2048", "-nodes", "-x509", "-days", "9"];
        let out = ["-keyout", key, "-out", certificate];
        let mut openssl = Command::new("openssl");
        peers::run(openssl.args(new).args(name).args(out).current_dir(&at));
    };
    make("server.crt", "server.key");
    make("other.crt", "other.key");
    registry.kill();
    registry.restart();
    let person = Person::in_folder(folder.path(), Program::at_home_in(folder.path()));
    let host = registry.address().to_string();
    person.log_in(&host, "pusher:push-secret");
    let image = format!("{host}/acme/hello:1");

    person.trust(&host, &fs::read_to_string(at.join("server.crt")).unwrap());
    person.copy("oci:image", &image, &[]).good();
    person.trust(&host, &fs::read_to_string(at.join("other.crt")).unwrap());
    let refused = person.copy("oci:image", &image, &[]).failed(5, "E0502");

    assert!(refused.stderr.contains("not trusted here"), "{}", refused.stderr);
}
