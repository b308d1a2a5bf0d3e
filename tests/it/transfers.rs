//! Stories of bad links: what has come through is not sent again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    hub::Hub,
    image::layout,
    link::Link,
    peers,
    program::{Outcome, Program},
};

/// The length of the image that goes over the link, in bytes.
const SIZE: u64 = 4 * 8_000_000;

/// A hub's registry behind a link, and an image for it.
struct Site {
    folder: PathBuf,
    hub: Hub,
    link: Link,
}

impl Site {
    fn start(folder: &Path) -> Self {
        let mut hub = Hub::start(folder);
        let link = Link::to(hub.address());
        hub.log_in(&link.address().to_string(), "push", &hub.push_password.clone());
        layout(&folder.join("image"), 7, 4, SIZE / 4);
        Self { folder: folder.to_owned(), hub, link }
    }

    fn image(&self) -> String {
        format!("{}/acme/big:1.0.0", self.link.address())
    }

    fn program(&self) -> &Program {
        &self.hub.publisher
    }

    fn copy(&self, from: &str, to: &str) -> Outcome {
        self.program().run(&["image", "copy", from, to])
    }

    /// Copies and is killed when `count` of the link says `bytes`.
    fn copy_until(&self, from: &str, to: &str, count: impl Fn(&Link) -> u64, bytes: u64) {
        let log = self.folder.join("log");
        let running = self.program().start(&["image", "copy", from, to], &log);
        self.link.wait_for(count, bytes);
        running.kill();
    }

    /// Whether both folders have the same image, byte for byte.
    fn is_the_image(&self, other: &str) -> bool {
        let blobs = |folder: &str| {
            let folder = self.folder.join(folder).join("blobs/sha256");
            let mut all: Vec<_> = fs::read_dir(folder)
                .unwrap()
                .map(|it| it.unwrap().path())
                .map(|it| (it.file_name().unwrap().to_owned(), fs::read(&it).unwrap()))
                .collect();
            all.sort();
            all
        };
        blobs("image") == blobs(other)
    }
}

#[track_caller]
fn assert_hardly_more(moved: u64, share: u64) {
    assert!(moved < SIZE + SIZE * share / 100, "{moved} bytes went for {SIZE}");
}

#[test]
fn over_a_link_that_breaks_every_megabyte_hardly_anything_goes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path());
    site.link.break_every(1_000_000);

    site.copy("oci:image", &site.image()).good();
    let up = site.link.up();
    site.copy(&site.image(), "oci:back").good();
    let down = site.link.down();

    assert!(site.is_the_image("back"));
    println!("sent {up} and received {down} bytes for {SIZE}");
    // In a test of megabytes the headers of some seventy requests, and what systems held, count.
    assert_hardly_more(up, 20);
    assert_hardly_more(down, 20);
}

#[test]
fn a_push_that_is_killed_goes_on_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path());
    site.link.slow_to(16_000_000);

    site.copy_until("oci:image", &site.image(), Link::up, SIZE / 2);
    let before = site.link.up();
    let copied = ["image", "copy", "oci:image", &site.image(), "--json"];
    let bytes = site.program().run(&copied).good().json()["bytes"].as_u64().unwrap();
    let sent = site.link.up() - before;
    assert!(bytes <= sent, "{bytes} bytes are said to have been sent, and {sent} were");

    assert_hardly_more(site.link.up(), 20);
    site.copy(&site.image(), "oci:back").good();
    assert!(site.is_the_image("back"));
}

#[test]
fn a_pull_that_is_killed_goes_on_in_another_process_and_finds_what_was_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path());
    site.copy("oci:image", &site.image()).good();
    site.link.slow_to(16_000_000);
    let before = site.link.down();

    site.copy_until(&site.image(), "oci:back", Link::down, before + SIZE / 2);
    let partial = folder.path().join("back/.partial");
    let damaged = fs::read_dir(&partial)
        .unwrap()
        .map(|it| it.unwrap().path())
        .filter(|it| it.extension().is_none())
        .max_by_key(|it| fs::metadata(it).unwrap().len())
        .expect("something was on its way");
    let mut content = fs::read(&damaged).unwrap();
    content[1000] ^= 1;
    fs::write(&damaged, content).unwrap();
    site.copy(&site.image(), "oci:back").good();

    assert!(site.is_the_image("back"));
    assert!(!partial.exists(), "nothing is left of the attempt");
    // The damaged block of a megabyte came twice, and what the kill took.
    assert_hardly_more(site.link.down() - before, 20);
}

#[test]
fn archives_are_written_and_read_by_others_and_by_us() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path());
    layout(&folder.path().join("small"), 8, 2, 50_000);
    let digest = site.copy("oci:small", "oci-archive:small.tar:1.0").good().stdout;
    let digest = digest.trim().rsplit_once(":sha256:").unwrap().1.to_owned();
    site.copy("oci:small", "oci-archive:again.tar:1.0").good();
    let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("small.tar"), read("again.tar"), "the same image is the same file");

    site.copy("oci-archive:small.tar:1.0", &site.image()).good();
    site.copy(&site.image(), "docker-archive:docker.tar:hello:1.0").good();
    let back = site.copy("docker-archive:docker.tar:hello:1.0", "oci:back").good().stdout;
    assert!(back.contains(&digest), "{back}");
    assert!(!folder.path().join(".docker.tar.partial").exists());
    if peers::has("skopeo") {
        let archive = |kind: &str, name: &str| {
            let place = format!("{kind}:{}", folder.path().join(name).display());
            peers::run(Command::new("skopeo").args(["inspect", "--raw", &place]))
        };
        assert!(archive("oci-archive", "small.tar").contains("layers"));
        assert!(archive("docker-archive", "docker.tar").contains("layers"));
    }
}

#[test]
fn an_index_of_several_platforms_is_no_docker_archive() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    let image = folder.path().join("image");
    crate::support::image::index_layout(&image, 1, &["amd64", "arm64"], 1000);
    let refused = program.run(&["image", "copy", "oci:image", "docker-archive:x.tar:a:1"]);
    let refused = refused.failed(2, "E0200");
    assert!(refused.stderr.contains("for one platform"), "{}", refused.stderr);
    let one = ["image", "copy", "oci:image", "docker-archive:x.tar:a:1", "--platform", "arm64"];
    program.run(&one).good();
}
