//! Archives and folders that somebody else made, as sources of an image.

use std::{
    fs::{self, File},
    io::{Seek as _, SeekFrom, Write as _},
    os::unix::fs::symlink,
    path::Path,
    process::Command,
};

use edgepost::image::{Descriptor, media_type};
use serde_json::json;

use super::{Served, Victim, got_away, told};
use crate::support::{
    image::layout,
    liar::{Answer, Liar},
    program::Outcome,
};

/// Somebody who got an archive, and copies its image into a folder.
struct Reader {
    victim: Victim,
}

impl Reader {
    fn new() -> Self {
        Self { victim: Victim::of("registry.example") }
    }

    fn read(&self, source: &str) -> Outcome {
        self.victim.program.run(&["image", "copy", source, "oci:out"])
    }

    /// A tar named `name` of what `fill` puts into it.
    fn tar(&self, name: &str, fill: impl FnOnce(&mut tar::Builder<File>)) {
        let mut builder = tar::Builder::new(File::create(self.victim.path(name)).unwrap());
        fill(&mut builder);
        builder.into_inner().unwrap();
    }

    /// A docker archive with this `manifest.json`, and what `fill` adds.
    fn docker(&self, manifest: &str, fill: impl FnOnce(&mut tar::Builder<File>)) -> Outcome {
        self.tar("image.tar", |tar| {
            file(tar, "manifest.json", manifest.as_bytes());
            fill(tar);
        });
        self.read("docker-archive:image.tar")
    }

    #[track_caller]
    fn nothing_was_made(&self) {
        assert!(!self.victim.path("out/index.json").exists());
    }
}

/// A header that names whatever it is told to.
fn header(name: &str, kind: tar::EntryType, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn file(tar: &mut tar::Builder<File>, name: &str, content: &[u8]) {
    let size = content.len() as u64;
    tar.append(&header(name, tar::EntryType::Regular, size), content).unwrap();
}

fn link(tar: &mut tar::Builder<File>, kind: tar::EntryType, name: &str, target: &str) {
    let mut header = header(name, kind, 0);
    header.set_link_name_literal(target).unwrap();
    header.set_cksum();
    tar.append(&header, &b""[..]).unwrap();
}

const SAVED: &str = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["layer.tar"]}]"#;

#[test]
fn what_lies_outside_of_an_archive_is_not_in_it() {
    let reader = Reader::new();
    fs::write(reader.victim.path("secret"), super::PASSWORD).unwrap();
    let outside = reader.victim.path("secret").display().to_string();
    for name in ["/etc/passwd", "../../../../etc/passwd", "a/../../secret", "../secret", &outside] {
        let manifest = json!([{"Config": name, "RepoTags": null, "Layers": []}]).to_string();
        let outcome = reader.docker(&manifest, |tar| file(tar, "../secret", b"{}"));
        got_away(&outcome, "E0303", &["it has no file `"]);
        for kind in [tar::EntryType::Symlink, tar::EntryType::Link] {
            let manifest =
                json!([{"Config": "c.json", "RepoTags": null, "Layers": []}]).to_string();
            let outcome = reader.docker(&manifest, |tar| link(tar, kind, "c.json", name));
            got_away(&outcome, "E0303", &["it has no file `c.json`"]);
        }
    }
    let outcome = reader.docker(SAVED, |tar| {
        link(tar, tar::EntryType::Symlink, "c.json", "d.json");
        link(tar, tar::EntryType::Symlink, "d.json", "c.json");
    });
    got_away(&outcome, "E0303", &["it has no file `c.json`"]);
    reader.nothing_was_made();
    assert_eq!(fs::read_to_string(reader.victim.path("secret")).unwrap(), super::PASSWORD);
}

#[test]
fn lengths_that_are_not_true_are_refused() {
    let reader = Reader::new();
    for (size, words) in [
        (5_000, "it is cut short in `c.json`"),
        (1 << 40, "it is cut short in `c.json`"),
        (u64::MAX, "of a length that none has"),
    ] {
        reader.tar("image.tar", |tar| {
            file(tar, "manifest.json", SAVED.as_bytes());
            tar.get_mut()
                .write_all(header("c.json", tar::EntryType::Regular, size).as_bytes())
                .unwrap();
        });
        got_away(&reader.read("docker-archive:image.tar"), "E0303", &[words]);
    }
    // Cut off anywhere.
    reader.tar("whole.tar", |tar| {
        file(tar, "manifest.json", SAVED.as_bytes());
        file(tar, "c.json", &vec![b' '; 2_000]);
    });
    let whole = fs::read(reader.victim.path("whole.tar")).unwrap();
    for length in [100, 512, 600, 1024 + 300, 1024 + 512 + 700] {
        fs::write(reader.victim.path("image.tar"), &whole[..length]).unwrap();
        got_away(&reader.read("docker-archive:image.tar"), "E0303", &["cannot be read: "]);
    }
    reader.nothing_was_made();
}

#[test]
fn what_is_mostly_holes_costs_no_memory() {
    let reader = Reader::new();
    // A file, a name and notes of 8 GiB, of which none is on the disk.
    for (kind, words) in [
        (tar::EntryType::Regular, "`c.json` has more than"),
        (tar::EntryType::GNULongName, "a name that is too long"),
        (tar::EntryType::GNULongLink, "a name that is too long"),
        (tar::EntryType::XHeader, "a name that is too long"),
        (tar::EntryType::GNUSparse, "a file with holes"),
    ] {
        let size = 8 << 30;
        reader.tar("image.tar", |tar| {
            file(tar, "manifest.json", SAVED.as_bytes());
            let tar = tar.get_mut();
            tar.write_all(header("c.json", kind, size).as_bytes()).unwrap();
            tar.seek(SeekFrom::Current(i64::try_from(size).unwrap())).unwrap();
            tar.write_all(&[0; 1024]).unwrap();
        });
        got_away(&reader.read("docker-archive:image.tar"), "E0303", &[words]);
    }
    reader.nothing_was_made();
}

#[test]
fn very_many_files_and_very_long_names_are_refused() {
    let reader = Reader::new();
    let outcome = reader.docker(SAVED, |tar| {
        for number in 0..100_001 {
            file(tar, &format!("f{number}"), b"");
        }
    });
    got_away(&outcome, "E0303", &["it has more than 100000 files"]);
    let outcome = reader.docker(SAVED, |tar| {
        for number in 0..5_000 {
            let name = format!("{number}{}", "n".repeat(4_000));
            tar.append(
                &header("", tar::EntryType::GNULongName, name.len() as u64),
                name.as_bytes(),
            )
            .unwrap();
            file(tar, "f", b"");
        }
    });
    got_away(&outcome, "E0303", &["its names have more than 16777216 bytes"]);
}

#[test]
fn an_archive_that_becomes_too_large_is_left() {
    let reader = Reader::new();
    let target = File::create(reader.victim.path("image.tar.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(target, flate2::Compression::best());
    for _ in 0..200 {
        encoder.write_all(&vec![0; 1_000_000]).unwrap();
    }
    encoder.finish().unwrap();
    for kind in ["docker-archive", "oci-archive"] {
        let outcome = reader.read(&format!("{kind}:image.tar.gz"));
        got_away(&outcome, "E0303", &["it becomes too large when it is inflated"]);
    }
    reader.nothing_was_made();
}

#[test]
fn a_saved_image_of_nonsense_is_refused() {
    let reader = Reader::new();
    let deep = "[".repeat(1_000_000);
    for (manifest, words) in [
        (deep.as_str(), "manifest.json: "),
        ("", "manifest.json: "),
        ("{}", "manifest.json: "),
        ("[]", "has no image"),
        (SAVED, "`c.json`: "),
    ] {
        let outcome = reader.docker(manifest, |tar| file(tar, "c.json", deep.as_bytes()));
        assert_ne!(outcome.code, 0);
        let code = if manifest == "[]" { "E0601" } else { "E0303" };
        got_away(&outcome, code, &[words]);
    }
    let config = json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [Descriptor::of("", b"other").digest]}});
    let outcome = reader.docker(SAVED, |tar| {
        file(tar, "c.json", config.to_string().as_bytes());
        file(tar, "layer.tar", b"layer");
    });
    got_away(&outcome, "E0801", &["expected sha256:", "received sha256:"]);
    reader.nothing_was_made();
}

/// A layout folder, whose layer's file is replaced by what `replace` makes.
fn layout_with(reader: &Reader, replace: impl FnOnce(&Path)) -> Outcome {
    let folder = reader.victim.path("image");
    let _ = fs::remove_dir_all(&folder);
    layout(&folder, 1, 1, 100_000);
    let (layer, _) = super::files_below(&folder).into_iter().max_by_key(|(_, size)| *size).unwrap();
    fs::remove_file(&layer).unwrap();
    replace(&layer);
    reader.read("oci:image")
}

#[test]
fn a_folder_of_links_pipes_and_lies_is_refused() {
    let reader = Reader::new();
    fs::write(reader.victim.path("secret"), super::PASSWORD.repeat(10_000)).unwrap();
    let secret = reader.victim.path("secret");
    let outcome = layout_with(&reader, |layer| symlink(&secret, layer).unwrap());
    got_away(&outcome, "E0303", &["received more"]);
    let outcome = layout_with(&reader, |layer| symlink("/dev/zero", layer).unwrap());
    got_away(&outcome, "E0303", &["it is no file"]);
    let outcome = layout_with(&reader, |layer| fs::create_dir(layer).unwrap());
    got_away(&outcome, "E0303", &["it is no file"]);
    let outcome = layout_with(&reader, |layer| {
        assert!(Command::new("mkfifo").arg(layer).status().unwrap().success());
    });
    got_away(&outcome, "E0303", &["it is no file"]);
    let outcome = layout_with(&reader, |layer| {
        File::create(layer).unwrap().set_len(8 << 30).unwrap();
    });
    got_away(&outcome, "E0303", &["received more"]);
    let index = reader.victim.path("image/index.json");
    fs::remove_file(&index).unwrap();
    symlink("/dev/zero", &index).unwrap();
    got_away(&reader.read("oci:image"), "E0303", &["it is no file"]);
    reader.nothing_was_made();
}

#[test]
fn a_file_of_ours_that_a_layout_links_to_is_not_sent() {
    let registry = Liar::new(|request| match request.split(' ').next().unwrap_or_default() {
        "HEAD" => Answer::of("404 Not Found", "", ""),
        "POST" => Answer::of("202 Accepted", "location: /upload\r\n", ""),
        _ => Answer::of("201 Created", "", ""),
    });
    let victim = Victim::of(registry.address());
    let secret = super::PASSWORD.repeat(100);
    fs::write(victim.path("secret"), &secret).unwrap();
    let served = Served::new(b"layer");
    let mut manifest = served.manifest();
    // The length is right, and nobody knows the digest.
    manifest["layers"][0]["size"] = json!(secret.len());
    let manifest = manifest.to_string();
    let root = Descriptor::of(media_type::OCI_MANIFEST, manifest.as_bytes());
    let blobs = victim.path("image/blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let config = Descriptor::of("", &served.config);
    fs::write(blobs.join(config.digest.hex()), &served.config).unwrap();
    fs::write(blobs.join(root.digest.hex()), &manifest).unwrap();
    symlink(victim.path("secret"), blobs.join(served.layer().digest.hex())).unwrap();
    fs::write(victim.path("image/oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [root]});
    fs::write(victim.path("image/index.json"), index.to_string()).unwrap();

    got_away(&victim.push(0), "E0801", &["expected sha256:", "received sha256:"]);
    for request in registry.heard() {
        let body = request.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(!told(body), "a file of ours was sent");
    }
}
