//! Images for Windows, whose base layers are foreign, with Docker's own registry (2.8).

use std::{fs, path::Path};

use edgepost::image::{Descriptor, media_type};
use serde_json::{Value, json};

use super::image_files::{ImageFiles, gzip, layer};
use crate::support::{
    hub::Hub,
    image::{definition, write},
    peers::DockerRegistry,
};

const FOREIGN: &str = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
const VERSION: &str = "10.0.20348.2849";

/// An index of one image for Windows, as a layout in `folder`.
fn windows_layout(folder: &Path) -> Descriptor {
    let mut files = ImageFiles::new();
    let (base, own) = (layer("Files/base", &[3; 5000]), layer("Files/own", b"own"));
    let mut foreign = json!(files.blob(FOREIGN, &gzip(&base)));
    foreign["urls"] = json!(["https://mcr.microsoft.com/v2/windows/nanoserver/blobs/sha256:0"]);
    let own_layer = files.blob(media_type::DOCKER_LAYER_GZIP, &gzip(&own));
    let mut config = files.config(
        &[&base, &own],
        &json!({"architecture": "amd64", "os": "windows", "os.version": VERSION}),
    );
    media_type::DOCKER_CONFIG.clone_into(&mut config.media_type);
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::DOCKER_MANIFEST,
        "config": config, "layers": [foreign, own_layer],
    });
    let mut listed = json!(files.document(media_type::DOCKER_MANIFEST, &manifest));
    listed["platform"] = json!({"architecture": "amd64", "os": "windows", "os.version": VERSION});
    let index = json!({
        "schemaVersion": 2, "mediaType": media_type::DOCKER_INDEX, "manifests": [listed],
    });
    let index = files.document(media_type::DOCKER_INDEX, &index);
    files.list(&json!([index]));
    files.folder(folder);
    index
}

#[test]
fn a_windows_image_is_published_with_its_base_layer_as_an_ordinary_one() {
    let folder = tempfile::tempdir().unwrap();
    let registry_folder = folder.path().join("docker-registry");
    let Some(registry) = DockerRegistry::start(&registry_folder) else { return };
    let mut hub = Hub::start(folder.path());
    let host = registry.address().to_string();
    hub.log_in(&host, "pusher", "push-secret");
    let index = windows_layout(&folder.path().join("windows"));
    let mut service = definition("1.0.0", &format!("{host}/site/hello:1.0.0"));
    service["arch"] = "amd64".into();
    let file = write(&hub, "hello.json", &service);
    let login = format!("{host}:puller:pull-secret");
    let ca = format!("{host}={}", registry.ca().display());
    let publish = |more: &[&str]| {
        let arguments = [
            "publish",
            &file,
            "--source",
            "oci:windows",
            "-r",
            &login,
            "--registry-ca",
            &ca,
            "--json",
        ];
        hub.publisher.run(&[&arguments, more].concat())
    };

    // The registry answers 500 to the manifest, which is not tried again.
    let refused = publish(&[]).failed(3, "E0305");
    let text = format!("{}{}", refused.stdout, refused.stderr);
    assert!(text.contains("--include-foreign-layers") && text.contains("new digest"), "{text}");
    assert!(!text.contains("trying again"), "{text}");

    let planned = publish(&["--include-foreign-layers", "--dry-run"]).good().json();
    let published = publish(&["--include-foreign-layers"]).good();
    let said = published.json();
    assert_eq!(said["images"][0]["image"], planned["images"][0]["image"]);
    assert_eq!(said["images"][0]["platform"]["os.version"], VERSION);
    let image = said["images"][0]["image"].as_str().unwrap().to_owned();
    assert!(!image.ends_with(&index.digest.to_string()), "the digest is a new one");
    assert!(published.stderr.contains(&index.digest.to_string()), "{}", published.stderr);
    assert!(published.stderr.contains("runs on windows/amd64"), "{}", published.stderr);

    let program = &hub.publisher;
    let certificates = folder.path().join("home/certs.d").join(&host);
    fs::create_dir_all(&certificates).unwrap();
    fs::copy(registry.ca(), certificates.join("ca.crt")).unwrap();
    program.run(&["image", "copy", &image, "oci:back"]).good();
    let root = program.run(&["image", "inspect", "oci:back", "--raw"]).good().json();
    assert_eq!(root["manifests"][0]["platform"]["os.version"], VERSION);
    let child = root["manifests"][0]["digest"].as_str().unwrap();
    let child = program.run(&["image", "inspect", &format!("oci:back:{child}"), "--raw"]).good();
    let layers = child.json()["layers"].as_array().unwrap().clone();
    let is_ordinary =
        |it: &Value| it["mediaType"] == media_type::DOCKER_LAYER_GZIP && it.get("urls").is_none();
    assert!(layers.len() == 2 && layers.iter().all(is_ordinary), "{layers:?}");

    // The same again changes nothing, and a copy by hand is the same image.
    assert_eq!(publish(&["--include-foreign-layers"]).good().json()["unchanged"], true);
    let to = format!("{host}/site/copied:1");
    let copied =
        program.run(&["image", "copy", "oci:windows", &to, "--include-foreign-layers", "--json"]);
    let copied = copied.good();
    assert!(image.ends_with(copied.json()["digest"].as_str().unwrap()));
    assert!(copied.stderr.contains("new digest"), "{}", copied.stderr);
}

/// A push whose base layer the source does not have names the layer.
#[test]
fn a_base_layer_that_is_nowhere_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    windows_layout(&folder.path().join("windows"));
    let blobs = folder.path().join("windows/blobs/sha256");
    let base = Descriptor::of("", &gzip(&layer("Files/base", &[3; 5000])));
    fs::remove_file(blobs.join(base.digest.hex())).unwrap();
    let to = format!("{}/acme/windows:1", hub.registry());
    let copy =
        |more: &[&str]| hub.publisher.run(&[&["image", "copy", "oci:windows", &to], more].concat());
    let refused = copy(&["--include-foreign-layers"]).failed(3, "E0303");
    assert!(refused.stderr.contains(&base.digest.to_string()), "{}", refused.stderr);
    // Our own registry keeps the image without it.
    copy(&[]).good();
    assert_eq!(hub.pull("/v2/acme/windows/manifests/1").0, 200);
}
