//! Answers that say one thing and are another.

use std::fs;

use edgepost::{
    image::{Descriptor, media_type},
    types::Digest,
};
use serde_json::json;

use super::{MANIFEST, Served, Victim, files_below, got_away, path_of, unharmed};
use crate::support::liar::{Answer, Liar};

/// An image whose layer is answered for in another way.
fn lying_about_the_layer(
    size: usize,
    lie: impl Fn(&str, &[u8]) -> Answer + Send + Sync + 'static,
) -> (Liar, Victim) {
    let layer: Vec<u8> = (0..size).map(|it| u8::try_from(it % 251).unwrap()).collect();
    let served = Served::new(&layer);
    let registry = Liar::new(move |request| {
        if served.is_for_layer(request) { lie(request, &layer) } else { served.answer(request) }
    });
    let victim = Victim::of(registry.address());
    (registry, victim)
}

#[test]
fn a_manifest_that_is_not_its_digests_is_refused() {
    let served = Served::new(b"layer");
    let registry = Liar::new(move |request| served.answer(request));
    let victim = Victim::of(registry.address());
    let zeros = "0".repeat(64);
    let image = format!("{}/team/app@sha256:{zeros}", registry.address());
    let outcome = victim.program.run(&["image", "copy", &image, "oci:out"]);
    got_away(&outcome, "E0801", &["expected sha256:0000", "received sha256:"]);

    let served = Served::new(b"layer");
    let digest = format!("{MANIFEST}docker-content-digest: sha256:{zeros}\r\n");
    let registry = Liar::new(move |_| Answer::of("200 OK", &digest, served.manifest().to_string()));
    got_away(&Victim::of(registry.address()).pull(), "E0801", &["expected sha256:"]);
}

#[test]
fn a_layer_that_is_not_its_digests_leaves_nothing_behind() {
    for size in [10, 3_000_000] {
        let (_, victim) = lying_about_the_layer(size, |_, layer| {
            let mut other = layer.to_vec();
            let last = other.len() - 1;
            other[last] ^= 1;
            Answer::of("200 OK", "", other)
        });
        got_away(&victim.pull(), "E0801", &["expected sha256:", "received sha256:"]);
        assert!(!victim.path("out/index.json").exists());
        let left = files_below(&victim.path("out"));
        assert!(left.iter().all(|(_, length)| *length != size as u64), "{left:?}");
    }
}

#[test]
fn a_layer_of_another_length_is_refused() {
    for (headers, cut) in [("", 500), ("docker-content-digest: x\r\n", 1)] {
        let (_, victim) = lying_about_the_layer(1000, move |_, layer| {
            Answer::of("200 OK", headers, &layer[..layer.len() - cut])
        });
        got_away(&victim.pull(), "E0801", &["should have 1000 bytes, and has "]);
    }
    let (_, victim) =
        lying_about_the_layer(1000, |_, layer| Answer::of("200 OK", "", [layer, b"more"].concat()));
    got_away(&victim.pull(), "E0801", &["should have 1000 bytes, and has 1004"]);
}

/// Breaks off in the middle, and lies when it is asked for the rest.
fn lying_about_the_rest(lie: fn(usize, &[u8]) -> (String, Vec<u8>)) -> Victim {
    let (_, victim) = lying_about_the_layer(3_000_000, move |request, layer| {
        let from = request.lines().find_map(|it| it.strip_prefix("range: bytes="));
        let Some(from) = from.and_then(|it| it.trim_end_matches('-').parse().ok()) else {
            let Answer::Raw(whole) = Answer::of("200 OK", "", layer) else { panic!("it ends") };
            return Answer::Raw(whole[..2_000_000].to_vec());
        };
        let (range, body) = lie(from, layer);
        Answer::of("206 Partial Content", &format!("content-range: {range}\r\n"), body)
    });
    victim
}

#[test]
fn a_range_that_was_not_asked_for_is_refused() {
    type Lie = fn(usize, &[u8]) -> (String, Vec<u8>);
    let lies: [(Lie, &str, &str); 7] = [
        (
            |_, all| (format!("bytes 0-{}/{}", all.len() - 1, all.len()), all.to_vec()),
            "E0503",
            "another range",
        ),
        (
            |from, all| {
                (
                    format!("bytes {}-{}/{}", from - 1, all.len() - 1, all.len()),
                    all[from..].to_vec(),
                )
            },
            "E0503",
            "another range",
        ),
        (
            |from, all| {
                (format!("bytes {from}-{}/999999999999", all.len() - 1), all[from..].to_vec())
            },
            "E0801",
            "should have 3000000 bytes, and has 999999999999",
        ),
        (
            |from, all| (format!("bytes {from}-{}/{}", from - 1, all.len()), all[from..].to_vec()),
            "E0503",
            "less of a blob at a time",
        ),
        (
            |from, all| {
                (
                    format!("bytes {from}-18446744073709551615/{}", all.len()),
                    [&all[from..], b"more"].concat(),
                )
            },
            "E0801",
            "should have 3000000 bytes, and has 3000001",
        ),
        (|_, all| ("bytes */*".to_owned(), all.to_vec()), "E0503", "another range"),
        (|_, all| ("lines 1-2/3".to_owned(), all.to_vec()), "E0503", "another range"),
    ];
    for (lie, code, words) in lies {
        let victim = lying_about_the_rest(lie);
        got_away(&victim.pull(), code, &[words]);
        assert!(!victim.path("out/index.json").exists());
    }
    // Right in its headers, wrong in its bytes: found by the digest, and fetched once more in vain.
    let victim = lying_about_the_rest(|from, all| {
        (format!("bytes {from}-{}/{}", all.len() - 1, all.len()), vec![0; all.len() - from])
    });
    got_away(&victim.pull(), "E0801", &["expected sha256:", "received sha256:"]);
}

#[test]
fn an_upload_that_is_said_to_be_further_than_it_is_is_found_out() {
    for said in ["0-99999999999", "0-18446744073709551615", "5-9", "0-", "0-2999999"] {
        let registry = Liar::new(move |request| {
            let path = path_of(request);
            match request.split(' ').next().unwrap_or_default() {
                "POST" => Answer::of("202 Accepted", "location: /upload\r\n", ""),
                "PATCH" => {
                    let range = format!("location: /upload\r\nrange: {said}\r\n");
                    Answer::of("202 Accepted", &range, "")
                }
                "PUT" if path.starts_with("/upload") => {
                    let other = format!("docker-content-digest: {}\r\n", Digest::of(b"other"));
                    Answer::of("201 Created", &other, "")
                }
                _ => Answer::of("404 Not Found", "", ""),
            }
        });
        let outcome = Victim::of(registry.address()).push(3_000_000);
        got_away(&outcome, "E0801", &["expected sha256:"]);
        assert!(!registry.heard().iter().any(|it| it.contains("/manifests/1")), "no tag is put");
    }
}

#[test]
fn the_urls_of_a_layer_are_never_fetched() {
    let thief = Liar::new(|_| Answer::of("200 OK", "", "layer"));
    let url = format!("http://{}/layer", thief.address());
    for media_type in [
        media_type::OCI_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    ] {
        let served = Served::new(b"layer");
        let mut manifest = served.manifest();
        manifest["layers"][0]["mediaType"] = json!(media_type);
        manifest["layers"][0]["urls"] = json!([url, "file:///etc/passwd"]);
        let registry = Liar::new(move |request| {
            if served.is_for_layer(request) {
                Answer::of("404 Not Found", "", "")
            } else {
                served.answer_with(request, &manifest)
            }
        });
        let victim = Victim::of(registry.address());
        unharmed(&victim.pull());
        let copy = format!("{}/other/app:1", registry.address());
        let more = ["image", "copy", &victim.image(), &copy, "--include-foreign-layers"];
        unharmed(&victim.program.run(&more));
        assert!(registry.heard().len() > 3);
    }
    assert_eq!(thief.heard(), Vec::<String>::new());
}

#[test]
fn an_answer_that_is_encoded_unasked_is_not_unpacked() {
    let zeros = vec![b' '; 50_000_000];
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, &zeros).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(&zeros[..], 1).unwrap();
    drop(zeros);
    for (name, bomb) in [("gzip", gzip), ("zstd", zstd), ("br, gzip", vec![0; 1000])] {
        let headers = format!("{MANIFEST}content-encoding: {name}\r\n");
        let whole = bomb.clone();
        let registry = Liar::new(move |_| Answer::of("200 OK", &headers, &whole));
        let words = format!("its answer is encoded ({name}), which nobody asked for");
        got_away(&Victim::of(registry.address()).pull(), "E0503", &[&words]);

        // A layer is what its digest says, whatever it is called.
        let encoded = format!("content-encoding: {name}\r\n");
        let (_, victim) =
            lying_about_the_layer(1000, move |_, layer| Answer::of("200 OK", &encoded, layer));
        unharmed(&victim.pull().good());
        let encoded = format!("content-encoding: {name}\r\n");
        let (_, victim) =
            lying_about_the_layer(1000, move |_, _| Answer::of("200 OK", &encoded, &bomb));
        got_away(&victim.pull(), "E0801", &[]);
    }
}

#[test]
fn what_a_registry_says_cannot_command_the_terminal() {
    let evil = "\\u001b]0;owned\\u0007\\u001b[2J\\u202e\\r\\n";
    for (status, body) in [
        (
            "418 I'm a teapot",
            format!("{{\"errors\":[{{\"code\":\"{evil}\",\"message\":\"{evil}\"}}]}}"),
        ),
        (
            "403 Forbidden",
            format!("{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"{evil}\"}}]}}"),
        ),
        (
            "200 OK",
            format!(
                "{{\"schemaVersion\":2,\"mediaType\":\"{evil}\",\"config\":{{\"mediaType\":\"{evil}\",\"digest\":\"{evil}\",\"size\":1}},\"layers\":[]}}"
            ),
        ),
        ("500 Oops", "\u{1b}[2J\u{9b}2J".to_owned()),
    ] {
        let registry = Liar::new(move |_| Answer::of(status, MANIFEST, &body));
        let outcome = Victim::of(registry.address()).pull();
        let shown = format!("{}{}", outcome.stdout, outcome.stderr);
        let obeyed =
            |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!shown.contains(obeyed), "{shown:?}");
        assert_ne!(outcome.code, 0);
        unharmed(&outcome);
    }
}

#[test]
fn a_file_that_another_wrote_into_the_layout_is_not_believed() {
    let served = Served::new(b"layer");
    let layer: Descriptor = served.layer();
    let registry = Liar::new(move |request| match request.split(' ').next().unwrap_or_default() {
        _ if path_of(request).starts_with("/v2/team/app/") => served.answer(request),
        "HEAD" => Answer::of("404 Not Found", "", ""),
        "POST" => Answer::of("202 Accepted", "location: /upload\r\n", ""),
        _ => Answer::of("201 Created", "", ""),
    });
    let victim = Victim::of(registry.address());
    victim.pull().good();
    fs::write(victim.path("out/blobs/sha256").join(layer.digest.hex()), b"LAYER").unwrap();
    let copy = format!("{}/team/copy:1", registry.address());
    let outcome = victim.program.run(&["image", "copy", "oci:out", &copy]);
    got_away(&outcome, "E0801", &["expected sha256:", "received sha256:"]);
    assert!(!registry.heard().iter().any(|it| it.starts_with("PUT /v2/team/copy/manifests/")));
}
