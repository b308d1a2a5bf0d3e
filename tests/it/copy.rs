//! Stories of images that are copied by hand.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::support::{
    image::layout,
    link::Link,
    peers::{self, DockerRegistry},
    program::{Outcome, Program},
};

/// A docker-registry, and somebody who copies images.
struct Site {
    folder: PathBuf,
    registry: DockerRegistry,
    program: Program,
}

impl Site {
    fn start(folder: &Path) -> Option<Self> {
        let registry = DockerRegistry::start(&folder.join("docker-registry"))?;
        let program = Program::at_home_in(folder);
        let site = Self { folder: folder.to_owned(), registry, program };
        site.know(&site.host());
        Some(site)
    }

    fn host(&self) -> String {
        self.registry.address().to_string()
    }

    /// Gives the person a login and the CA for the registry under the name `host`.
    fn know(&self, host: &str) {
        let docker = self.folder.join("docker");
        fs::create_dir_all(&docker).unwrap();
        let auth = STANDARD.encode("pusher:push-secret");
        let file = serde_json::json!({"auths": {host: {"auth": auth}}});
        fs::write(docker.join("config.json"), file.to_string()).unwrap();
        let certificates = self.folder.join("home/certs.d").join(host);
        fs::create_dir_all(&certificates).unwrap();
        fs::copy(self.registry.ca(), certificates.join("ca.crt")).unwrap();
    }

    fn copy(&self, from: &str, to: &str, more: &[&str]) -> Outcome {
        self.program.run(&[&["image", "copy", from, to], more].concat())
    }

    /// An image's digest in the registry, as skopeo sees it.
    fn seen_by_skopeo(&self, image: &str) -> Option<String> {
        if !peers::has("skopeo") {
            return None;
        }
        let certificates = self.folder.join("home/certs.d").join(self.host());
        Some(peers::run(
            Command::new("skopeo")
                .args(["inspect", "--creds", "puller:pull-secret", "--format", "{{.Digest}}"])
                .arg("--cert-dir")
                .arg(certificates)
                .arg(format!("docker://{image}")),
        ))
    }
}

/// The digest of the only image of a layout.
fn root_of(folder: &Path) -> String {
    let index = fs::read(folder.join("index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn an_image_goes_into_a_registry_and_out_again_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path()) else { return };
    layout(&folder.path().join("image"), 1, 3, 100_000);
    let digest = root_of(&folder.path().join("image"));
    let image = format!("{}/team/hello", site.host());
    let tagged = format!("{image}:1.0.0");

    let there = site.copy("oci:image", &tagged, &[]).good();
    let again = site.copy("oci:image", &tagged, &["--json"]).good().json();
    let back = site.copy(&tagged, "oci:back", &[]).good();
    let by_digest = site.copy(&format!("{image}@{digest}"), "oci:again:1.0.0", &[]).good();

    assert_eq!(there.stdout.trim(), format!("{image}@{digest}"));
    assert_eq!((&again["digest"], &again["bytes"]), (&digest.as_str().into(), &0.into()));
    assert_eq!((&again["blobs"]["uploaded"], &again["blobs"]["existed"]), (&0.into(), &4.into()));
    assert_eq!(back.stdout.trim(), format!("oci:back:{digest}"));
    assert_eq!(by_digest.stdout.trim(), format!("oci:again:{digest}"));
    assert_eq!(root_of(&folder.path().join("back")), digest);
    assert_eq!(root_of(&folder.path().join("again")), digest);
    if let Some(seen) = site.seen_by_skopeo(&tagged) {
        assert_eq!(seen, digest);
        let back = format!("oci:{}", folder.path().join("back").display());
        let inspected =
            peers::run(Command::new("skopeo").args(["inspect", "--format", "{{.Digest}}", &back]));
        assert_eq!(inspected, digest);
    }
}

#[test]
fn what_cannot_be_copied_is_told_with_its_place_its_reason_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path()) else { return };
    let host = site.host();
    layout(&folder.path().join("image"), 1, 1, 1000);
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/letter"), "mine").unwrap();
    let at = |path: &str| format!("{host}/{path}");
    let digest = format!("team/a@sha256:{}", "0".repeat(64));
    site.copy("oci:image", &at("team/a:1"), &[]).good();

    let refused = |from: &str, to: &str, exit: i32, code: &str| {
        let told = site.copy(from, to, &[]).failed(exit, code);
        for part in ["  where  ", "  try    "] {
            assert!(told.stderr.contains(part), "{from} {to}: {}", told.stderr);
        }
        assert_eq!(told.stdout, "");
        let json = site.copy(from, to, &["--json"]).failed(exit, code).json();
        assert_eq!(json["error"]["code"], code);
    };
    refused("oci:image", "oci:image", 2, "E0200");
    refused("oci:nowhere", &at("team/a:1"), 3, "E0303");
    refused("oci:image:other", &at("team/a:1"), 6, "E0601");
    refused("oci:image", &at(&digest), 2, "E0200");
    refused("oci:image", "oci:full", 7, "E0703");
    refused(&at("team/a:2"), "oci:out", 6, "E0601");
    refused(&at("nobody/knows:1"), "oci:out", 6, "E0601");
    refused(&at("team/a:2"), &at("team/b:2"), 6, "E0601");
    refused("oci:image", "127.0.0.1:1/team/a:1", 5, "E0501");
    assert!(!folder.path().join("out/index.json").exists());
    assert_eq!(fs::read_dir(folder.path().join("full")).unwrap().count(), 1);
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path()) else { return };
    layout(&folder.path().join("image"), 1, 1, 1000);
    let to = format!("{}/team/a:1", site.host());
    let good = site.copy("oci:image", &to, &["-vvv"]).good();
    let login = fs::read_to_string(folder.path().join("docker/config.json")).unwrap();
    let encoded = login.split('"').find(|it| it.ends_with('=') || it.len() > 20).unwrap();
    let secrets = ["push-secret".to_owned(), encoded.to_owned()];
    let wrong = STANDARD.encode("pusher:wrong-secret");
    fs::write(folder.path().join("docker/config.json"), login.replace(encoded, &wrong)).unwrap();

    let bad = site.copy("oci:image", &to, &["-vvv"]).failed(4, "E0402");

    for secret in secrets.iter().map(String::as_str).chain(["wrong-secret", &wrong]) {
        for told in [&good, &bad] {
            assert!(!told.stderr.contains(secret) && !told.stdout.contains(secret), "{secret}");
        }
    }
}

#[test]
fn progress_is_a_line_a_step_or_an_object_a_line_or_silent() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path()) else { return };
    layout(&folder.path().join("image"), 1, 2, 3_000_000);
    let to = |name: &str| format!("{}/team/{name}:1", site.host());

    let lines = site.copy("oci:image", &to("lines"), &[]).good();
    let json = site.copy("oci:image", &to("json"), &["--json"]).good();
    let none = site.copy("oci:image", &to("none"), &["--progress", "none"]).good();
    let quiet = site.copy("oci:image", &to("quiet"), &["--quiet", "--progress", "json"]).good();

    let sent = lines.stderr.lines().filter(|it| it.starts_with("copy ") && it.contains(" sent, "));
    assert_eq!(sent.count(), 3, "{}", lines.stderr);
    assert_eq!((none.stderr.as_str(), quiet.stderr.as_str()), ("", ""));
    let events: Vec<Value> =
        json.stderr.lines().map(|it| serde_json::from_str(it).expect(it)).collect();
    let of = |kind: &str| events.iter().filter(|it| it["event"] == kind).collect::<Vec<_>>();
    assert!(events.iter().all(|it| it["v"] == 1 && it["time"].is_number()), "{}", json.stderr);
    assert_eq!((of("planned").len(), of("settled").len(), of("ended").len()), (1, 3, 1));
    let whole = of("planned")[0]["size"].as_u64().unwrap();
    assert!(whole > 6_000_000);
    assert_eq!(of("ended")[0]["moved"].as_u64(), Some(whole));
}

#[test]
fn a_limited_copy_takes_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path()) else { return };
    layout(&folder.path().join("image"), 1, 2, 3_000_000);
    let image = format!("{}/team/a:1", site.host());
    site.copy("oci:image", &image, &[]).good();

    let limited = site.copy(&image, "oci:slowly", &["--limit-rate", "2M"]).good();

    // Six million bytes at two a second, but for the tenth of a second that may go at once.
    assert!(limited.took > Duration::from_millis(2700), "{:?}", limited.took);
    site.copy(&image, "oci:x", &["--limit-rate", "fast"]).failed(2, "fast");
}

#[test]
fn a_copy_that_is_stopped_ends_at_once_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path()) else { return };
    let link = Link::to(site.registry.address());
    site.know(&link.address().to_string());
    layout(&folder.path().join("image"), 1, 4, 3_000_000);
    let to = format!("{}/team/a:1", link.address());
    link.slow_to(2_000_000);

    let log = folder.path().join("log");
    let running = site.program.start(&["image", "copy", "oci:image", &to], &log);
    link.wait_for(Link::up, 5_000_000);
    let begun = std::time::Instant::now();
    let code = running.stop();
    let took = begun.elapsed();

    assert_eq!(code, 130);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let told = fs::read_to_string(&log).unwrap();
    assert!(told.contains("E1300") && told.contains("goes on where it stopped"), "{told}");
    link.slow_to(0);
    site.copy("oci:image", &to, &[]).good();
}
