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
    hub::Hub,
    image::{definition, index_layout, layout, write},
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
    assert_eq!((&again["blobs"]["copied"], &again["blobs"]["existed"]), (&0.into(), &4.into()));
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
    refused("hello", "oci:out", 2, "E0200");
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
    // Each knows nothing of the others, or it would mount what they have sent.
    let copy = |name: &str, more: &[&str]| {
        let to = format!("{}/team/{name}:1", site.host());
        let program = site.program.with("XDG_STATE_HOME", folder.path().join(name).display());
        program.run(&[&["image", "copy", "oci:image", &to], more].concat()).good()
    };

    let lines = copy("lines", &[]);
    let json = copy("json", &["--json"]);
    let none = copy("none", &["--progress", "none"]);
    let quiet = copy("quiet", &["--quiet", "--progress", "json"]);

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

    let up = site.copy("oci:image", &image, &["--limit-rate", "2M"]).good();
    let down = site.copy(&image, "oci:slowly", &["--limit-rate", "2M"]).good();

    // Six million bytes at two a second, but for the tenth of a second that may go at once.
    assert!(up.took > Duration::from_millis(2700), "{:?}", up.took);
    assert!(down.took > Duration::from_millis(2700), "{:?}", down.took);
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

#[test]
fn an_image_for_several_platforms_is_copied_whole_or_by_platform() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path()) else { return };
    index_layout(&folder.path().join("image"), 1, &["amd64", "arm64", "s390x"], 10_000);
    let whole = root_of(&folder.path().join("image"));
    let image = format!("{}/team/many", site.host());
    let tagged = |tag: &str| format!("{image}:{tag}");

    let all = site.copy("oci:image", &tagged("all"), &["--json"]).good();
    let seen = site.program.run(&["image", "inspect", &tagged("all"), "--json"]).good().json();
    let platforms = seen["platforms"].as_array().unwrap();
    let arm = platforms.iter().find(|it| it["platform"]["architecture"] == "arm64").unwrap();
    let arm = arm["digest"].as_str().unwrap().to_owned();
    let one = site.copy(&tagged("all"), &tagged("arm"), &["--platform", "arm64", "--json"]).good();
    let back = site.copy(&tagged("all"), "oci:back", &["--json"]).good().json();
    let arm_back = site.copy(&tagged("all"), "oci:arm", &["--platform", "linux/arm64"]).good();
    let chosen = site.program.with("EDGEPOST_PLATFORM", "arm64");
    let chosen = chosen.run(&["image", "copy", &tagged("all"), "oci:whole", "--all"]).good();

    assert_eq!(all.json()["digest"], whole.as_str());
    assert_eq!(platforms.len(), 3);
    assert_eq!(one.json()["digest"], arm.as_str());
    assert_eq!((&back["digest"], &back["blobs"]["copied"]), (&whole.as_str().into(), &9.into()));
    assert_eq!(arm_back.stdout.trim(), format!("oci:arm:{arm}"));
    assert_eq!(chosen.stdout.trim(), format!("oci:whole:{whole}"));
    if let Some(seen) = site.seen_by_skopeo(&tagged("arm")) {
        assert_eq!(seen, arm);
    }
    site.copy("oci:image", &tagged("x"), &["--platform", "windows/amd64"]).failed(6, "E0601");
    site.copy("oci:image", &tagged("x"), &["--platform", "arm64,amd64"]).failed(2, "E0200");
}

#[test]
fn an_image_is_shown_wherever_it_is_with_what_was_said_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = Site::start(folder.path()) else { return };
    index_layout(&folder.path().join("image"), 1, &["amd64", "arm64"], 10_000);
    let to = format!("{}/team/a:1", site.host());
    site.copy("oci:image", &to, &["--digest-file", "digest"]).good();
    let inspect = |more: &[&str]| site.program.run(&[&["image", "inspect", &to], more].concat());

    let people = inspect(&[]).good().stdout;
    let arm = inspect(&["--platform", "arm64"]).good().stdout;
    let json = inspect(&["--platform", "arm64", "--json"]).good().json();
    let raw = inspect(&["--raw"]).good().stdout;
    let local = site.program.run(&["image", "inspect", "oci:image", "--json"]).good().json();

    let digest = root_of(&folder.path().join("image"));
    assert_eq!(fs::read_to_string(folder.path().join("digest")).unwrap().trim(), digest);
    assert!(people.contains(&digest) && people.contains("linux/arm64"), "{people}");
    assert!(
        arm.contains("GREETING") && !arm.contains("=hello"),
        "values are not for screens: {arm}"
    );
    assert_eq!(json["env"], serde_json::json!(["GREETING=hello"]));
    assert_eq!(json["layers"].as_array().unwrap().len(), 2);
    assert_eq!(local["digest"], digest.as_str());
    let blob = folder.path().join("image/blobs/sha256").join(digest.trim_start_matches("sha256:"));
    assert_eq!(raw.as_bytes(), fs::read(blob).unwrap());
    inspect(&["--platform", "s390x"]).failed(6, "E0601");
    site.program.run(&["image", "inspect", "oci:nowhere"]).failed(3, "E0303");
}

#[test]
fn one_command_publishes_a_service_for_every_platform_of_its_image() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    index_layout(&folder.path().join("image"), 1, &["amd64", "arm64"], 10_000);
    let mut service = definition("1.0.0", &format!("{}/acme/hello:1.0.0", hub.registry()));
    service["arch"] = "$ARCH".into();
    let file = write(&hub, "hello.json", &service);
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let publish = |more: &[&str]| {
        let arguments = ["publish", &file, "--source", "oci:image", "-r", &login, "--json"];
        hub.publisher.run(&[&arguments, more].concat())
    };
    let listed = || hub.publisher.run(&["service", "list"]).good().stdout;

    let plan = publish(&["--platforms", "all", "--dry-run"]).good().json();
    assert_eq!(plan["services"].as_array().unwrap().len(), 2, "{plan}");
    assert!(!listed().contains("hello"));
    let published = publish(&["--platforms", "all"]).good().json();
    let again = publish(&["--arch", "arm64", "--arch", "amd64"]).good().json();

    let services = published["services"].as_array().unwrap();
    let digest = root_of(&folder.path().join("image"));
    for service in services {
        let image = service["images"][0]["image"].as_str().unwrap();
        assert!(image.ends_with(&digest), "{image}");
    }
    let sent = |number: usize| services[number]["images"][0]["sentBytes"].as_u64().unwrap();
    assert!(sent(0) > 40_000, "{published}");
    assert_eq!(sent(1), 0, "the images are sent once");
    assert!(again["services"].as_array().unwrap().iter().all(|it| it["unchanged"] == true));
    let list = listed();
    assert!(list.contains("hello_1.0.0_amd64") && list.contains("hello_1.0.0_arm64"), "{list}");
    // What one architecture lacks is found before anything of another is published.
    let missing = publish(&["--arch", "amd64,s390x"]).failed(3, "E0303");
    assert!(missing.stdout.contains("does not run on linux/s390x"), "{}", missing.stdout);
    assert!(!missing.stdout.contains("published before it"), "{}", missing.stdout);
}
