//! Which image of an archive or layout is taken, and what of it.

use std::path::Path;

use edgepost::{
    image::{Descriptor, layout::blob_name, media_type},
    types::Arch,
};
use serde_json::{Value, json};

use super::image_files::{ImageFiles, gzip, layer};
use crate::support::{
    hub::Hub,
    image::{definition, write},
    program::{Outcome, Program},
};

/// Publishes `hello` with the image `reference` of the hub's registry, from `source`.
fn publish(hub: &Hub, reference: &str, source: &str, more: &[&str]) -> Outcome {
    let image = format!("{}/acme/{reference}", hub.registry());
    let file = write(hub, "hello.json", &definition("1.0.0", &image));
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let arguments = ["publish", &file, "--source", source, "-r", &login, "--json"];
    hub.publisher.run(&[&arguments, more].concat())
}

/// The manifest of an image in the hub's registry.
fn pushed(hub: &Hub, reference: &str) -> (u16, Value) {
    let (status, body) = hub.pull(&format!("/v2/acme/hello/manifests/{reference}"));
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn plain(files: &mut ImageFiles, content: &[u8]) -> Descriptor {
    files.blob(media_type::OCI_LAYER, content)
}

fn saved(config: &Descriptor, names: &Value, layers: &[Descriptor]) -> Value {
    let path = |it: &Descriptor| blob_name(&it.digest);
    let layers: Vec<_> = layers.iter().map(path).collect();
    json!({"Config": path(config), "RepoTags": names, "Layers": layers})
}

/// Docker 25.0 wrote an OCI manifest without layers beside a right manifest.json (moby/moby#47065).
#[test]
fn an_archive_without_layers_is_read_and_a_layout_without_layers_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let (first, second) = (layer("hello", b"hi"), layer("data", &[7; 999]));
    let mut files = ImageFiles::new();
    let layers = [plain(&mut files, &first), plain(&mut files, &second)];
    let config = files.config(&[&first, &second], &json!({}));
    let manifest = files.manifest(&config, &[]);
    files.list(&json!([manifest]));
    files.folder(&folder.path().join("layout"));
    files.add("manifest.json", &json!([saved(&config, &Value::Null, &layers)]));
    files.tar(&folder.path().join("saved.tar"));

    let refused = publish(&hub, "hello:0.1", "oci:layout", &[]).failed(3, "E0303");
    let text = format!("{}{}", refused.stdout, refused.stderr);
    assert!(text.contains("lists 0 layers") && text.contains("names 2"), "{text}");
    assert_eq!(pushed(&hub, "0.1").0, 404, "nothing was pushed");
    publish(&hub, "hello:0.1", "oci:layout", &["--dry-run"]).failed(3, "E0303");
    let registry = format!("{}/acme/hello:0.1", hub.registry());
    hub.publisher.run(&["image", "copy", "oci:layout", &registry]).failed(8, "E0801");
    hub.publisher.run(&["image", "copy", "oci:layout", "oci:copy"]).failed(8, "E0801");

    publish(&hub, "hello:0.2", "docker-archive:saved.tar", &[]).good();
    let (status, manifest) = pushed(&hub, "0.2");
    assert_eq!((status, manifest["layers"].as_array().unwrap().len()), (200, 2), "{manifest}");
}

/// `docker save A@sha256:… B@sha256:…` lists one of the two images in index.json (moby/moby#51389).
#[test]
fn an_archive_of_two_unnamed_images_is_refused_with_both() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let mut files = ImageFiles::new();
    let (mut listed, mut list) = (Vec::new(), Vec::new());
    for name in ["first", "second"] {
        let content = layer(name, name.as_bytes());
        let layer = plain(&mut files, &content);
        let config = files.config(&[&content], &json!({}));
        listed.push(files.manifest(&config, std::slice::from_ref(&layer)));
        list.push((config.clone(), saved(&config, &Value::Null, &[layer])));
    }
    files.list(&json!([listed[0]]));
    files.add("manifest.json", &json!([list[0].1, list[1].1]));
    files.tar(&folder.path().join("saved.tar"));

    let refused = publish(&hub, "hello:1.0", "docker-archive:saved.tar", &[]).failed(3, "E0303");
    let text = format!("{}{}", refused.stdout, refused.stderr);
    let second = list[1].0.digest.to_string();
    assert!(text.contains("has 2 images"), "{text}");
    assert!(text.contains(&listed[0].digest.to_string()) && text.contains(&second), "{text}");

    let source = format!("docker-archive:saved.tar:{second}");
    publish(&hub, "hello:1.0", &source, &[]).good();
    assert_eq!(pushed(&hub, "1.0").1["config"]["digest"], second);
}

/// Docker 25.0.0 listed the layers of the OCI manifest in another order (moby/moby#47150).
#[test]
fn the_order_of_manifest_json_is_the_order_of_the_layers() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (layer("hello", b"hi"), layer("data", &[7; 999]));
    let mut files = ImageFiles::new();
    let layers = [plain(&mut files, &first), plain(&mut files, &second)];
    let config = files.config(&[&first, &second], &json!({}));
    let [below, above] = &layers;
    let manifest = files.manifest(&config, &[above.clone(), below.clone()]);
    files.list(&json!([manifest]));
    files.add("manifest.json", &json!([saved(&config, &json!(["h:1"]), &layers)]));
    files.tar(&folder.path().join("saved.tar"));

    let program = Program::at_home_in(folder.path());
    program.run(&["image", "copy", "docker-archive:saved.tar", "oci:copy"]).good();
    let raw = program.run(&["image", "inspect", "oci:copy", "--raw"]).good().json();
    let plain: Vec<Vec<u8>> = raw["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| {
            let digest = layer["digest"].as_str().unwrap().parse().unwrap();
            unzip(&folder.path().join("copy").join(blob_name(&digest)))
        })
        .collect();
    assert_eq!(plain, [first, second]);
}

fn unzip(file: &Path) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut decoder = flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap());
    std::io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
    plain
}

/// A layout whose index.json lists a manifest for each platform itself (skopeo#2463, image-spec#718).
#[test]
fn a_layout_of_several_platforms_is_an_image_index() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    let mut files = ImageFiles::new();
    let content = layer("hello", b"hi");
    let images: Vec<_> = ["amd64", "arm64"]
        .iter()
        .map(|arch| (*arch, files.image(&content, &json!({"architecture": arch}))))
        .collect();
    let listed = |name: Option<&str>| -> Value {
        let entries = images.iter().map(|(arch, image)| {
            let mut entry = json!(image);
            entry["platform"] = json!({"architecture": arch, "os": "linux"});
            if let Some(name) = name {
                entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
            }
            entry
        });
        entries.collect()
    };
    for (place, name) in [("flat", None), ("named", Some("1.0"))] {
        files.list(&listed(name));
        files.folder(&folder.path().join(place));
        files.tar(&folder.path().join(format!("{place}.tar")));
        let name = name.map_or(String::new(), |name| format!(":{name}"));
        for source in [format!("oci:{place}{name}"), format!("oci-archive:{place}.tar{name}")] {
            let to = format!("oci:copy-{}", source.replace([':', '.'], "-"));
            let copied = program
                .run(&["image", "copy", &source, &to, "--platform", "linux/arm64", "--json"])
                .good()
                .json();
            assert_eq!(copied["digest"], images[1].1.digest.to_string(), "{source}");
            let whole = program.run(&["image", "inspect", &source, "--json"]).good().json();
            assert_eq!(whole["platforms"].as_array().unwrap().len(), 2, "{whole}");
        }
    }
}

/// Build tools that leave out the architecture in the configuration (grafana/alloy#5378).
#[test]
fn a_configuration_without_architecture_takes_the_word_of_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let mut files = ImageFiles::new();
    let image = files.image(&layer("hello", b"hi"), &json!({"architecture": "", "os": ""}));
    files.list(&json!([image]));
    files.folder(&folder.path().join("bare"));
    let mut listed = json!(image);
    listed["platform"] = json!({"architecture": Arch::of_this_machine(), "os": "linux"});
    let index = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [listed],
    });
    let index = files.document(media_type::OCI_INDEX, &index);
    files.list(&json!([index]));
    files.folder(&folder.path().join("indexed"));

    let planned = publish(&hub, "hello:1.0", "oci:indexed", &["--dry-run"]).good();
    assert_eq!(planned.json()["images"][0]["notes"][0]["kind"], "platform-of-index");
    assert!(planned.stderr.contains("names no architecture"), "{}", planned.stderr);
    publish(&hub, "hello:1.0", "oci:indexed", &[]).good();

    let refused = publish(&hub, "hello:1.1", "oci:bare", &[]).failed(3, "E0303");
    let text = format!("{}{}", refused.stdout, refused.stderr);
    assert!(text.contains("the configuration sha256:"), "{text}");
}

#[test]
fn the_only_image_of_a_source_needs_no_name_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let mut files = ImageFiles::new();
    let image = files.image(&layer("hello", b"hi"), &json!({}));
    let mut listed = json!(image);
    listed["annotations"] = json!({"org.opencontainers.image.ref.name": "other.example/build:7"});
    files.list(&json!([listed]));
    files.folder(&folder.path().join("layout"));

    let published = publish(&hub, "hello:1.0", "oci:layout", &[]).good();
    assert!(published.stderr.contains("called `other.example/build:7`"), "{}", published.stderr);
    assert_eq!(published.json()["images"][0]["notes"][0]["kind"], "other-name");
    assert_eq!(pushed(&hub, "1.0").0, 200);
}

#[test]
fn a_digest_that_the_named_source_holds_is_taken_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let mut files = ImageFiles::new();
    let content = layer("hello", b"hi");
    let image = files.image(&content, &json!({}));
    let mut listed = json!(image);
    listed["platform"] = json!({"architecture": Arch::of_this_machine(), "os": "linux"});
    let index = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
        "manifests": [listed], "annotations": null,
    });
    let index = files.document(media_type::OCI_INDEX, &index);
    files.list(&json!([index]));
    files.folder(&folder.path().join("layout"));
    files.tar(&folder.path().join("layout.tar"));
    for (source, digest) in [("oci-archive:layout.tar", image.digest), ("oci:layout", index.digest)]
    {
        let reference = format!("hello@{digest}");
        assert_eq!(pushed(&hub, &digest.to_string()).0, 404);
        publish(&hub, &reference, source, &["--overwrite"]).good();
        assert_eq!(pushed(&hub, &digest.to_string()).0, 200);
    }
    let elsewhere = Descriptor::of("", &gzip(&content)).digest;
    let refused = publish(&hub, &format!("hello@{elsewhere}"), "oci:layout", &[]);
    let refused = refused.failed(3, "E0303");
    let text = format!("{}{}", refused.stdout, refused.stderr);
    assert!(text.contains("has no image"), "{text}");
}

/// Go writes `null` for an empty list or map; our registry takes such documents and gives them back.
#[test]
fn null_where_go_writes_it_is_absence_in_the_registry_too() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let mut files = ImageFiles::new();
    let content = layer("hello", b"hi");
    let stored = files.blob(media_type::OCI_LAYER_GZIP, &gzip(&content));
    let config = files.config(&[&content], &json!({}));
    let mut stored = json!(stored);
    stored["urls"] = Value::Null;
    stored["annotations"] = Value::Null;
    stored["platform"] = Value::Null;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config,
        "layers": [stored], "annotations": null, "subject": null,
    });
    let manifest = files.document(media_type::OCI_MANIFEST, &manifest);
    let mut listed = json!(manifest);
    listed["platform"] = json!({});
    listed["annotations"] = json!({});
    let index = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_INDEX,
        "manifests": [listed], "annotations": null,
    });
    let index = files.document(media_type::OCI_INDEX, &index);
    files.list(&json!([index]));
    files.folder(&folder.path().join("layout"));
    publish(&hub, "hello:1.0", "oci:layout", &[]).good();
    assert_eq!(pushed(&hub, &index.digest.to_string()).0, 200);
    let image = format!("{}/acme/hello:1.0", hub.registry());
    hub.publisher.run(&["image", "copy", &image, "oci:back"]).good();
    let empty = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": null});
    let empty = files.document(media_type::OCI_INDEX, &empty);
    files.list(&json!([empty]));
    files.folder(&folder.path().join("empty"));
    let to = format!("{}/acme/empty:1.0", hub.registry());
    hub.publisher.run(&["image", "copy", "oci:empty", &to]).good();
    hub.publisher.run(&["image", "copy", &to, "oci:nothing"]).good();
}
