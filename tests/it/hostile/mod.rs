//! Registries, and archives, that want to harm whoever reads them: each attack against the program
//! itself, which must end soon, in little memory, with a named error, and keep its secrets.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use edgepost::image::{Descriptor, media_type};
use serde_json::{Value, json};

use crate::support::{
    image::layout,
    liar::{Answer, Liar},
    program::{Outcome, Program},
};

mod archives;
mod bombs;
mod credentials;
mod endless;
mod lies;
mod slow;
mod tokens;

/// The most memory that the program may have, in KiB; without optimization it has some 45,000 at rest.
const MEMORY: u64 = 80_000;
/// What nobody but the registry may hear.
const PASSWORD: &str = "canary-password";
/// The token that it was sold for.
const TOKEN: &str = "canary-token";

/// Somebody with a login at a registry.
struct Victim {
    folder: tempfile::TempDir,
    program: Program,
    registry: String,
}

impl Victim {
    /// Somebody who trusts `registry` with a login, and speaks plain HTTP to it.
    fn of(registry: impl Display) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry.to_string();
        let docker = folder.path().join("docker");
        fs::create_dir_all(&docker).unwrap();
        let auth = STANDARD.encode(format!("reader:{PASSWORD}"));
        let file = json!({"auths": {registry.as_str(): {"auth": auth}}});
        fs::write(docker.join("config.json"), file.to_string()).unwrap();
        let mut program = Program::at_home_in(folder.path());
        program.set("EDGEPOST_PLAIN_HTTP", &registry);
        Self { folder, program, registry }
    }

    /// The same, where everything that is not on this machine goes by way of `proxy`.
    fn behind(mut self, proxy: &Liar) -> Self {
        for name in ["http_proxy", "https_proxy"] {
            self.program.set(name, format!("http://{}", proxy.address()));
        }
        self
    }

    fn image(&self) -> String {
        format!("{}/team/app:1", self.registry)
    }

    /// Copies the image `1` out of the registry.
    fn pull(&self) -> Outcome {
        self.program.run(&["image", "copy", &self.image(), "oci:out"])
    }

    /// Copies an image with a layer of `size` bytes into the registry.
    fn push(&self, size: u64) -> Outcome {
        let image = self.path("image");
        if !image.exists() {
            layout(&image, 1, 1, size);
        }
        self.program.run(&["image", "copy", "oci:image", &self.image()])
    }

    /// Lists the tags.
    fn tags(&self) -> Outcome {
        let repository = format!("{}/team/app", self.registry);
        self.program.run(&["registry", "tags", &repository, "--plain-http"])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Whether the program got away: it ended soon, with this code, in little memory, and told by these
/// words what happened.
#[track_caller]
fn got_away(outcome: &Outcome, code: &str, words: &[&str]) {
    let all = format!("{}\n{}", outcome.stdout, outcome.stderr);
    assert!(all.contains(&format!("error[{code}]")), "no {code} in\n{all}");
    for word in words {
        assert!(all.contains(word), "no `{word}` in\n{all}");
    }
    assert!(!all.contains("panicked"), "{all}");
    assert_ne!(outcome.code, 0, "{all}");
    unharmed(outcome);
}

/// Whether it ended soon, in little memory, and kept its secrets to itself.
#[track_caller]
fn unharmed(outcome: &Outcome) {
    let all = format!("{}\n{}", outcome.stdout, outcome.stderr);
    assert!(!told(&all), "{all}");
    assert!(outcome.took < Duration::from_mins(2), "{:?}\n{all}", outcome.took);
    assert!(outcome.memory < MEMORY, "{} KiB\n{all}", outcome.memory);
}

/// Whether a secret is in `text`, in plain or encoded.
fn told(text: &str) -> bool {
    let pair = format!("reader:{PASSWORD}");
    let encoded = [&pair, PASSWORD, TOKEN]
        .into_iter()
        .flat_map(|it| [STANDARD.encode(it), URL_SAFE_NO_PAD.encode(it)]);
    // Wherever it begins in a longer text, most of its encoding is one of these.
    let shifted = ["x", "xx"].map(|it| {
        let text = STANDARD.encode(format!("{it}{PASSWORD}"));
        text[4..text.len() - 4].to_owned()
    });
    let all = encoded.chain(shifted).chain([PASSWORD.to_owned(), TOKEN.to_owned()]);
    all.into_iter().any(|secret| text.contains(secret.trim_end_matches('=')))
}

/// Whether nobody was told a secret but `host`, among those who were spoken to through `proxy`.
#[track_caller]
fn only_told(proxy: &Liar, host: &str) {
    let own = format!("http://{host}/");
    for request in proxy.heard() {
        let mut words = request.split(' ').skip(1);
        let is_own = words.next().is_some_and(|target| target.starts_with(&own));
        assert!(is_own || !told(&request), "{request}");
        assert!(is_own || !request.to_lowercase().contains("authorization"), "{request}");
    }
}

/// All files below `folder`, with their lengths in bytes.
fn files_below(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, what) = (entry.path(), entry.metadata().unwrap());
        if what.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push((path, what.len()));
        }
    }
    files
}

/// The path of a request, wherever it goes.
fn path_of(request: &str) -> &str {
    let target = request.split(' ').nth(1).unwrap_or_default();
    match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => target,
    }
}

/// The `host:port` that a request by way of a proxy goes to.
fn host_of(request: &str) -> &str {
    let target = request.split(' ').nth(1).unwrap_or_default();
    let rest = target.split_once("://").map_or(target, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default()
}

const MANIFEST: &str = "content-type: application/vnd.oci.image.manifest.v1+json\r\n";
const INDEX: &str = "content-type: application/vnd.oci.image.index.v1+json\r\n";
const BASIC: &str = "www-authenticate: Basic realm=\"x\"\r\n";

/// An image of one layer, as a registry serves it.
#[derive(Clone)]
struct Served {
    config: Vec<u8>,
    layer: Vec<u8>,
}

impl Served {
    fn new(layer: &[u8]) -> Self {
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [Descriptor::of("", layer).digest]}
        });
        Self { config: config.to_string().into_bytes(), layer: layer.to_vec() }
    }

    fn layer(&self) -> Descriptor {
        Descriptor::of(media_type::OCI_LAYER_GZIP, &self.layer)
    }

    fn manifest(&self) -> Value {
        json!({
            "schemaVersion": 2,
            "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &self.config),
            "layers": [self.layer()]
        })
    }

    /// Whether `request` is for the layer.
    fn is_for_layer(&self, request: &str) -> bool {
        path_of(request).ends_with(&self.layer().digest.to_string())
    }

    /// What an honest registry answers.
    fn answer(&self, request: &str) -> Answer {
        self.answer_with(request, &self.manifest())
    }

    /// The same with another manifest.
    fn answer_with(&self, request: &str, manifest: &Value) -> Answer {
        let path = path_of(request);
        if path.contains("/manifests/") {
            Answer::of("200 OK", MANIFEST, manifest.to_string())
        } else if self.is_for_layer(request) {
            Answer::of("200 OK", "", &self.layer)
        } else if path.contains("/blobs/") {
            Answer::of("200 OK", "", &self.config)
        } else {
            Answer::of("200 OK", "", "{}")
        }
    }
}
