//! Images and definitions to publish.

use std::{fs, path::Path};

use edgepost::image::synthetic::SyntheticImage;
use serde_json::{Value, json};

use super::{hub::Hub, program::Outcome};

/// Makes an image of `layers` layers of `size` random bytes each, as an OCI layout folder.
pub fn layout(folder: &Path, seed: u64, layers: usize, size: u64) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    runtime
        .block_on(SyntheticImage::new(seed).layers(layers, size).in_folder(folder, None))
        .expect("the image can be written");
}

/// The definition of service `hello` for this machine, with one container of `image`.
pub fn definition(version: &str, image: &str) -> Value {
    json!({
        "label": "Hello",
        "url": "hello",
        "version": version,
        "arch": edgepost::types::Arch::of_this_machine(),
        "sharable": "multiple",
        "public": false,
        "deployment": {"services": {"hello": {"image": image}}}
    })
}

/// A pattern of service `hello` in one version.
pub fn pattern(version: &str) -> Value {
    json!({
        "label": "Hello everywhere",
        "services": [{
            "serviceUrl": "hello",
            "serviceOrgid": "acme",
            "serviceArch": "*",
            "serviceVersions": [{"version": version}]
        }]
    })
}

/// Writes `value` as a JSON file of the story.
pub fn write(hub: &Hub, name: &str, value: &Value) -> String {
    let file = hub.folder().join(name);
    let text = serde_json::to_string_pretty(value).expect("JSON can be written");
    fs::write(&file, text).expect("the folder is writable");
    file.display().to_string()
}

/// Publishes version `version` of `hello`, made of two layers of `size` bytes, into the hub's registry.
pub fn publish_hello(hub: &Hub, version: &str, size: u64, more: &[&str]) -> Outcome {
    let seed = version.bytes().map(u64::from).sum();
    let folder = hub.folder().join(format!("image-{version}"));
    if !folder.exists() {
        layout(&folder, seed, 2, size);
    }
    let image = format!("{}/acme/hello:{version}", hub.registry());
    let file = write(hub, &format!("hello-{version}.json"), &definition(version, &image));
    let source = format!("oci:{}", folder.display());
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let arguments = ["publish", &file, "--source", &source, "-r", &login, "--json"];
    hub.publisher.run(&[&arguments, more].concat())
}

/// Publishes pattern `hello-everywhere` for `version`.
pub fn publish_pattern(hub: &Hub, version: &str) {
    let file = write(hub, "hello-everywhere.json", &pattern(version));
    hub.publisher.run(&["pattern", "publish", &file]).good();
}

/// Publishes deployment policy `where-wanted`: version `version` of `hello`, on nodes that want it.
pub fn publish_policy(hub: &Hub, version: &str) {
    let policy = json!({
        "label": "Hello where wanted",
        "service": {"name": "hello", "org": "acme", "arch": "*", "serviceVersions": [{"version": version}]},
        "constraints": ["wants == hello"]
    });
    let file = write(hub, "policy.json", &policy);
    hub.publisher.run(&["policy", "publish", "where-wanted", &file]).good();
}

/// Makes an index of images for these architectures, each of two layers of `size` random bytes, as an OCI
/// layout folder.
pub fn index_layout(folder: &Path, seed: u64, arches: &[&str], size: u64) {
    use edgepost::image::{Index, Manifest, RawManifest, layout::OciLayoutWriter};
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let made = runtime.block_on(async {
        let mut layout = OciLayoutWriter::create(folder).await?;
        let mut images = Vec::new();
        for (number, arch) in (0..).zip(arches) {
            let image = SyntheticImage::new(seed + number).layers(2, size);
            let image = image.arch(arch.parse().expect("an architecture"));
            images.push(image.environment("GREETING", "hello").write(&mut layout).await?);
        }
        let index = Manifest::Index(Index::new(images));
        let index = RawManifest::encode(&index).expect("an index can be written");
        layout.add_manifest(&index).await?;
        layout.finish(index.descriptor(), None).await
    });
    made.expect("the index can be written");
}
