//! Stories of images that go into engines, and out of them.

use std::{fs, path::Path, process::Command};

use crate::support::{
    hub::Hub,
    image::layout,
    link::Link,
    peers,
    program::{Outcome, Program},
    ssh::Sshd,
};

/// An engine, a hub's registry behind a link, and somebody who copies.
struct Site {
    docker: String,
    hub: Hub,
    link: Link,
    name: String,
}

impl Site {
    fn start(folder: &Path, name: &str) -> Option<Self> {
        let docker = peers::docker()?;
        let mut hub = Hub::start(folder);
        let link = Link::to(hub.address());
        hub.log_in(&link.address().to_string(), "push", &hub.push_password.clone());
        hub.publisher.set("DOCKER_HOST", &docker);
        layout(&folder.join("small"), 9, 2, 50_000);
        let name = format!("edgepost-story/{name}:{}", std::process::id());
        Some(Self { docker, hub, link, name })
    }

    fn program(&self) -> &Program {
        &self.hub.publisher
    }

    fn copy(&self, from: &str, to: &str) -> Outcome {
        self.program().run(&["image", "copy", from, to])
    }

    fn in_engine(&self) -> String {
        format!("docker:{}", self.name)
    }

    fn in_registry(&self, path: &str) -> String {
        format!("{}/acme/{path}:1.0.0", self.link.address())
    }

    fn engine(&self, arguments: &[&str]) -> String {
        peers::run(Command::new("docker").args(["--host", &self.docker]).args(arguments))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // The story may not have come as far as to give it.
        let _ = Command::new("docker")
            .args(["--host", &self.docker, "image", "rm", &self.name])
            .output();
    }
}

fn digest(outcome: &Outcome) -> String {
    let (_, digest) = outcome.stdout.trim().rsplit_once('@').expect("an image by its digest");
    digest.to_owned()
}

#[test]
fn an_engine_takes_an_image_and_what_it_gave_once_it_need_not_give_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path(), "again") else { return };

    site.copy("oci:small", &site.in_engine()).good();
    let id = site.engine(&["image", "inspect", "--format", "{{.Id}}", &site.name]);
    let first = site.copy(&site.in_engine(), &site.in_registry("first")).good();
    let up = site.link.up();
    let second = site.copy(&site.in_engine(), &site.in_registry("second")).good();

    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(digest(&first), digest(&second));
    let sent = site.link.up() - up;
    assert!(sent < 50_000, "layers were mounted, and {sent} bytes sent");
    let packed = folder.path().join(".local/state/edgepost/transfers/packed");
    assert_eq!(fs::read_dir(packed).unwrap().count(), 1, "it is remembered once");
}

#[test]
fn an_engine_on_another_machine_is_reached_by_the_users_own_ssh() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path(), "ssh") else { return };
    let Some(sshd) = Sshd::start(&folder.path().join("sshd"), &site.docker) else { return };
    let path = std::env::var("PATH").unwrap();
    let with_key = |key: &str| {
        site.program()
            .with("DOCKER_HOST", sshd.address())
            .with("PATH", format!("{}:{path}", sshd.client(key).display()))
    };
    let copy = |program: &Program, from: &str, to: &str| program.run(&["image", "copy", from, to]);

    copy(&with_key("user"), "oci:small", &site.in_engine()).good();
    let far = copy(&with_key("user"), &site.in_engine(), &site.in_registry("far")).good();
    let near = site.copy(&site.in_engine(), &site.in_registry("near")).good();
    let refused = copy(&with_key("stranger"), &site.in_engine(), "oci:x").failed(1, "E0102");
    fs::write(folder.path().join("sshd/known"), "").unwrap();
    let unknown = copy(&with_key("user"), &site.in_engine(), "oci:x").failed(1, "E0102");

    assert_eq!(digest(&far), digest(&near), "it is the same image by either way");
    assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);
    assert!(unknown.stderr.contains("Host key verification failed"), "{}", unknown.stderr);
    for call in sshd.calls().lines() {
        assert!(call.ends_with("-- 127.0.0.1 docker system dial-stdio"), "{call}");
    }
}
