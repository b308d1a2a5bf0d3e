//! Stories of the signatures beside images, in the form of cosign.

use std::{fs, path::Path, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use edgepost::{
    sign::{VerifyingKey, compat::cosign},
    types::Digest,
};
use serde_json::Value;

use crate::support::{
    hub::Hub,
    image::{index_layout, layout, publish_hello},
    peers,
    program::Outcome,
};

/// The only manifest of a layout, and the path of any of its blobs.
fn manifest(folder: &Path) -> Value {
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = read(&folder.join("index.json"));
    read(&blob(folder, index["manifests"][0]["digest"].as_str().unwrap()))
}

fn blob(folder: &Path, digest: &str) -> std::path::PathBuf {
    folder.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

#[test]
fn what_is_published_is_signed_for_cosign_and_openssl_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let run = |arguments: &[&str]| -> Outcome { hub.publisher.run(arguments) };
    run(&["key", "create", "build"]).good();
    run(&["key", "create", "stranger"]).good();
    let published = publish_hello(&hub, "1.0.0", 1000, &["--key", "default"]).good().json();
    let image = published["images"][0]["image"].as_str().unwrap().to_owned();
    let tagged = format!("{}/acme/hello:1.0.0", hub.registry());

    let verify = |image: &str, keys: &[&str]| {
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["--key", key]).collect();
        run(&[&["image", "verify", image, "--json"], &keys[..]].concat())
    };
    let held = verify(&tagged, &["default"]).good().json();
    verify(&image, &[]).good();
    let stranger = verify(&tagged, &["default", "stranger"]).failed(8, "stranger");

    assert_eq!(held["image"], image);
    assert_eq!(held["signedBy"].as_array().unwrap().len(), 1);
    assert!(stranger.stdout.contains("has not signed"), "{}", stranger.stdout);

    // The same for a program that knows nothing of ours.
    let digest = image.split_once('@').unwrap().1.replace(':', "-");
    let beside = format!("{}/acme/hello:{digest}.sig", hub.registry());
    run(&["image", "copy", &beside, "oci:signatures"]).good();
    let signatures = folder.path().join("signatures");
    let layer = &manifest(&signatures)["layers"][0];
    let signature = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
    fs::write(folder.path().join("signature"), STANDARD.decode(signature).unwrap()).unwrap();
    run(&["key", "export", "--output", "public.pem"]).good();
    if peers::has("openssl") {
        let payload = blob(&signatures, layer["digest"].as_str().unwrap());
        let mut openssl = Command::new("openssl");
        openssl.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in"]);
        openssl.arg(payload).args(["-sigfile", "signature"]).current_dir(folder.path());
        assert_eq!(peers::run(&mut openssl), "Signature Verified Successfully");
    }
}

#[test]
fn a_signature_moved_from_another_image_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let run = |arguments: &[&str]| -> Outcome { hub.publisher.run(arguments) };
    let published = publish_hello(&hub, "1.0.0", 1000, &[]).good().json();
    let signed = published["images"][0]["image"].as_str().unwrap().to_owned();
    let repository = format!("{}/acme/hello", hub.registry());
    layout(&folder.path().join("evil"), 66, 1, 1000);
    run(&["image", "copy", "oci:evil", &format!("{repository}:1.0.0")]).good();
    let verify = || run(&["image", "verify", &format!("{repository}:1.0.0")]);
    let seen = run(&["image", "inspect", &format!("{repository}:1.0.0"), "--json"]).good().json();
    let at = |digest: &str| format!("{repository}:{}.sig", digest.replace(':', "-"));

    let unsigned = verify().failed(8, "nobody has signed the image");
    let from = at(signed.split_once('@').unwrap().1);
    run(&["image", "copy", &from, &at(seen["digest"].as_str().unwrap())]).good();
    let moved = verify().failed(8, "over another image");

    for told in [&unsigned, &moved] {
        assert_eq!(told.stdout, "");
    }
    run(&["image", "verify", "oci:evil"]).failed(2, "signatures lie in registries alone");
}

/// The payload and the signatures beside an image, fetched as any other program would.
fn beside(hub: &Hub, image: &str, name: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let digest = image.split_once('@').unwrap().1.replace(':', "-");
    let at = format!("{}/acme/hello:{digest}.sig", hub.registry());
    hub.publisher.run(&["image", "copy", &at, &format!("oci:{name}")]).good();
    let folder = hub.folder().join(name);
    let layers = manifest(&folder)["layers"].as_array().unwrap().clone();
    let signature = |layer: &Value| {
        let text = layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap();
        STANDARD.decode(text).unwrap()
    };
    let payload = fs::read(blob(&folder, layers[0]["digest"].as_str().unwrap())).unwrap();
    (payload, layers.iter().map(signature).collect())
}

/// The message with one bit flipped.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[20] ^= 4;
    bytes
}

/// Whether OpenSSL takes it.
fn openssl_takes(folder: &Path, key: &str, payload: &[u8], signature: &[u8]) -> bool {
    fs::write(folder.join("judged"), payload).unwrap();
    fs::write(folder.join("judged.sig"), signature).unwrap();
    let key = format!("{key}.pem");
    let mut openssl = Command::new("openssl");
    openssl.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", &key, "-in", "judged"]);
    openssl.args(["-sigfile", "judged.sig"]).current_dir(folder);
    openssl.output().unwrap().status.success()
}

#[test]
fn of_two_signers_an_image_and_an_index_every_verdict_is_that_of_openssl() {
    if !peers::has("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let signers = ["default", "build"];
    let keys = ["default", "build", "stranger"];
    for key in &keys[1..] {
        hub.publisher.run(&["key", "create", key]).good();
    }
    let public = keys.map(|key| {
        let file = format!("{key}.pem");
        hub.publisher.run(&["key", "export", key, "--output", &file]).good();
        VerifyingKey::from_pem(&fs::read_to_string(folder.path().join(file)).unwrap()).unwrap()
    });
    index_layout(&folder.path().join("image-2.0.0"), 7, &["amd64", "arm64"], 1000);
    let (mut judged, mut held) = (0, 0);
    for version in ["1.0.0", "2.0.0"] {
        let published = publish_hello(&hub, version, 1000, &["-k", "default", "-k", "build"]);
        let image = published.good().json()["images"][0]["image"].as_str().unwrap().to_owned();
        let seen = hub.publisher.run(&["image", "inspect", &image, "--json"]).good().stdout;
        assert_eq!(seen.contains("arm64"), version == "2.0.0", "an image, and an index");
        let digest: Digest = image.split_once('@').unwrap().1.parse().unwrap();
        let (payload, mut signatures) = beside(&hub, &image, version);
        assert_eq!(signatures.len(), signers.len());
        signatures.push(flipped(&signatures[0]));
        for payload in [&payload, &flipped(&payload)] {
            for signature in &signatures {
                for (name, key) in keys.iter().zip(&public) {
                    let text = STANDARD.encode(signature);
                    let ours = cosign::verify(payload, &text, &digest, key).is_ok();
                    assert_eq!(ours, openssl_takes(folder.path(), name, payload, signature));
                    judged += 1;
                    held += u32::from(ours);
                }
            }
        }
        for (names, code) in [(&keys[..1], 0), (&keys[..2], 0), (&keys[1..2], 0), (&keys[..], 8)] {
            let names: Vec<_> = names.iter().flat_map(|it| ["--key", it]).collect();
            let told = hub.publisher.run(&[&["image", "verify", &image], &names[..]].concat());
            assert_eq!(told.code, code, "{names:?}: {}", told.stderr);
        }
    }
    println!("cosign: {judged} of 36 verdicts as OpenSSL's, {held} signatures held");
    assert_eq!((judged, held), (36, 4));
}
