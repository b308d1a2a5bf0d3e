//! Manifests that are small, and what they name is not.

use edgepost::image::{Descriptor, Index, Manifest, RawManifest, media_type};
use serde_json::{Value, json};

use super::{INDEX, MANIFEST, Served, Victim, got_away, path_of};
use crate::support::liar::{Answer, Liar};

/// A registry whose image has layers that are said to be so long, and its victim.
fn naming_layers(count: u64, size: u64) -> (Liar, Victim) {
    let mut served = Served::new(b"layer");
    let mut config: Value = serde_json::from_slice(&served.config).unwrap();
    let layer = config["rootfs"]["diff_ids"][0].clone();
    config["rootfs"]["diff_ids"] = (0..count).map(|_| layer.clone()).collect();
    served.config = config.to_string().into_bytes();
    let mut manifest = served.manifest();
    let layers: Vec<Value> = (0..count)
        .map(|it| {
            json!(Descriptor::new(
                media_type::OCI_LAYER_GZIP,
                Descriptor::of("", &it.to_be_bytes()).digest,
                size
            ))
        })
        .collect();
    manifest["layers"] = json!(layers);
    let registry = Liar::new(move |request| match request.split(' ').next() {
        _ if path_of(request).starts_with("/v2/copy/") => Answer::of("404 Not Found", "", ""),
        _ if path_of(request).contains("/manifests/") => {
            Answer::of("200 OK", MANIFEST, manifest.to_string())
        }
        _ if path_of(request).ends_with(&Descriptor::of("", &served.config).digest.to_string()) => {
            served.answer(request)
        }
        _ => Answer::Endless(Answer::head("200 OK", ""), vec![0; 1000]),
    });
    let victim = Victim::of(registry.address());
    (registry, victim)
}

#[test]
fn a_layer_that_nobody_has_room_for_is_refused_by_name() {
    for (count, size) in [(1, 1 << 60), (1, u64::MAX), (40, 1 << 60)] {
        let (registry, victim) = naming_layers(count, size);
        let words =
            format!("is said to have {size} bytes, and no more than 274877906944 are fetched");
        got_away(&victim.pull(), "E0801", &["sha256:", &words, "made to harm"]);
        assert!(!victim.path("out/index.json").exists());
        let copy = format!("{}/copy/app:1", registry.address());
        let outcome = victim.program.run(&["image", "copy", &victim.image(), &copy]);
        got_away(&outcome, "E0801", &["sha256:", &words]);
        assert!(!registry.heard().iter().any(|it| it.starts_with("POST")), "nothing was begun");
    }
}

#[test]
fn layers_that_the_disk_has_no_room_for_cost_no_memory() {
    let (_, victim) = naming_layers(40, 1 << 38);
    got_away(&victim.pull(), "E0101", &["no room on the disk for "]);
    let left: u64 = super::files_below(&victim.path("out")).iter().map(|(_, size)| size).sum();
    assert!(left < 1_000_000, "{left} bytes are left");
}

#[test]
fn a_manifest_of_very_many_layers_is_refused() {
    let (_, victim) = naming_layers(20_000, 10);
    got_away(&victim.pull(), "E0303", &["it names more than 10000 blobs"]);
}

/// A registry that makes an index for each digest it knows the seed of, and its victim: each one names
/// `width` others, `depth` levels deep, with `padding` bytes.
fn naming_indexes(width: usize, depth: usize, padding: usize) -> (Liar, Victim) {
    let mut level: Vec<RawManifest> = (0..width).map(|it| leaf(it, padding)).collect();
    let mut all = level.clone();
    for _ in 1..depth {
        let children = level.iter().map(RawManifest::descriptor).collect();
        let index = RawManifest::encode(&Manifest::Index(Index::new(children))).unwrap();
        all.push(index.clone());
        level = vec![index];
    }
    let children = level.iter().map(RawManifest::descriptor).collect();
    let root = RawManifest::encode(&Manifest::Index(Index::new(children))).unwrap();
    let registry = Liar::new(move |request| {
        let found = all.iter().find(|it| path_of(request).ends_with(&it.digest.to_string()));
        let found = found.unwrap_or(&root);
        let headers = if found.media_type == media_type::OCI_INDEX { INDEX } else { MANIFEST };
        Answer::of("200 OK", headers, &found.bytes)
    });
    let victim = Victim::of(registry.address());
    (registry, victim)
}

fn leaf(number: usize, padding: usize) -> RawManifest {
    let served = Served::new(format!("layer {number}").as_bytes());
    let text = format!("{}{}", served.manifest(), " ".repeat(padding));
    RawManifest::new(media_type::OCI_MANIFEST, text)
}

#[test]
fn an_index_that_is_too_deep_or_too_wide_is_refused() {
    let (registry, victim) = naming_indexes(1, 9, 0);
    got_away(&victim.pull(), "E0303", &["too deep or has too many manifests"]);
    assert!(registry.heard().len() < 10, "{}", registry.heard().len());

    let (_, victim) = naming_indexes(1100, 1, 0);
    got_away(&victim.pull(), "E0303", &["too deep or has too many manifests"]);

    // Few, and each as long as a manifest may be.
    let (registry, victim) = naming_indexes(100, 1, 4_000_000);
    got_away(&victim.pull(), "E0303", &["its manifests have more than 8388608 bytes"]);
    assert!(registry.heard().len() < 10, "{}", registry.heard().len());
}

#[test]
fn an_index_that_names_itself_or_one_image_very_often_ends() {
    let one = leaf(0, 0);
    let often = Index::new(vec![one.descriptor(); 20_000]);
    let often = RawManifest::encode(&Manifest::Index(often)).unwrap();
    let served = Served::new(b"layer 0");
    let registry = Liar::new(move |request| match path_of(request) {
        path if path.ends_with("/manifests/1") => Answer::of("200 OK", INDEX, &often.bytes),
        path if path.contains("/manifests/") => Answer::of("200 OK", MANIFEST, &one.bytes),
        _ => served.answer(request),
    });
    let outcome = Victim::of(registry.address()).pull().good();
    super::unharmed(&outcome);
    assert!(registry.heard().len() < 10, "{}", registry.heard().len());
}

#[test]
fn a_manifest_that_is_deep_or_odd_is_refused_by_its_digest() {
    let deep = format!("{{\"schemaVersion\":2,\"config\":{}", "[".repeat(1_000_000));
    let notes: Vec<String> = (0..250_000).map(|it| format!("\"{it}\":\"\",")).collect();
    let notes = notes.concat();
    for (body, words) in [
        (deep, "cannot be read"),
        (format!("{{\"schemaVersion\":2,\"annotations\":{{{notes}\"x\":1}}}}"), "cannot be read"),
        (
            "{\"schemaVersion\":2,\"config\":{},\"layers\":[],\"manifests\":[]}".to_owned(),
            "manifests of an index",
        ),
        ("{\"schemaVersion\":1}".to_owned(), "schemaVersion"),
        ("{\"schemaVersion\":1e400}".to_owned(), "cannot be read"),
        (String::new(), "cannot be read"),
        ("\u{feff}{}".to_owned(), "cannot be read"),
    ] {
        let registry = Liar::new(move |_| Answer::of("200 OK", MANIFEST, &body));
        got_away(&Victim::of(registry.address()).pull(), "E0303", &["the manifest sha256:", words]);
    }
}
