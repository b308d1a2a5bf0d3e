//! Who may import whom. The list below is the architecture; this test keeps it true.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Every module, lowest layer first, with the modules it may import.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("audit", &["types"]),
    ("authority", &["types", "text_file"]),
    ("claim", &[]),
    ("data_parts", &[]),
    ("disk_space", &[]),
    ("listener", &["types", "authority", "private_file", "text_file"]),
    // It lets audit lines through, which have a bound of their own.
    ("log_limiter", &["audit"]),
    ("login", &["types", "recent_map"]),
    ("private_file", &[]),
    ("recent_map", &[]),
    ("proxies", &[]),
    ("text_file", &[]),
    ("sign", &["types"]),
    ("document", &["types"]),
    ("image", &["types"]),
    ("trust", &["types", "sign"]),
    ("registry::protocol", &["types", "image"]),
    (
        "registry::client",
        &["types", "authority", "image", "proxies", "text_file", "registry::protocol"],
    ),
    (
        "registry::server",
        &[
            "types",
            "audit",
            "image",
            "claim",
            "disk_space",
            "login",
            "listener",
            "registry::protocol",
        ],
    ),
    ("exchange::api", &["types", "sign", "trust", "document"]),
    (
        "exchange::store",
        &[
            "types",
            "data_parts",
            "disk_space",
            "private_file",
            "text_file",
            "sign",
            "trust",
            "document",
            "exchange::api",
        ],
    ),
    (
        "exchange::client",
        &["types", "authority", "proxies", "sign", "trust", "document", "exchange::api"],
    ),
    (
        "exchange::server",
        &[
            "types",
            "sign",
            "trust",
            "document",
            "audit",
            "claim",
            "data_parts",
            "login",
            "listener",
            "recent_map",
            "exchange::api",
            "exchange::store",
        ],
    ),
    (
        // The client against the server: a test of both, which may not import each other.
        "exchange::tests",
        &[
            "types",
            "sign",
            "trust",
            "document",
            "exchange::api",
            "exchange::store",
            "exchange::client",
            "exchange::server",
        ],
    ),
    (
        "publish",
        &[
            "types",
            "sign",
            "trust",
            "document",
            "image",
            "registry::protocol",
            "registry::client",
            "exchange::api",
            "exchange::client",
        ],
    ),
    (
        "bundle",
        &["types", "sign", "trust", "document", "image", "registry::client", "exchange::client"],
    ),
    (
        "agent",
        &[
            "types",
            "bundle",
            "claim",
            "private_file",
            "sign",
            "trust",
            "document",
            "image",
            "registry::protocol",
            "registry::client",
            "registry::server",
            "exchange::api",
            "exchange::client",
        ],
    ),
    (
        "hub",
        &[
            "types",
            "audit",
            "claim",
            "data_parts",
            "login",
            "listener",
            "registry::server",
            "exchange::api",
            "exchange::store",
            "exchange::server",
        ],
    ),
    (
        "cli",
        &[
            "types",
            "audit",
            "authority",
            "claim",
            "data_parts",
            "log_limiter",
            "login",
            "private_file",
            "proxies",
            "text_file",
            "authority",
            "listener",
            "sign",
            "document",
            "image",
            "trust",
            "registry::protocol",
            "registry::client",
            "registry::server",
            "exchange::api",
            "exchange::store",
            "exchange::client",
            "exchange::server",
            "publish",
            "bundle",
            "agent",
            "hub",
        ],
    ),
];

/// A file longer than this holds two nouns.
const LONGEST: usize = 500;

#[test]
fn modules_import_only_downwards() {
    let mut broken = Vec::new();
    for (module, may_import) in MAY_IMPORT {
        for file in files_of(module) {
            let text = fs::read_to_string(&file).expect("a source file is readable");
            let mut object = |why: String| broken.push(format!("{}: {why}", file.display()));
            for path in text.split("crate::").skip(1).flat_map(expand) {
                match layer_of(&path) {
                    None => object(format!("crate::{path} is in no layer")),
                    Some(layer) if layer == *module || may_import.contains(&layer) => (),
                    Some(layer) => object(format!("{module} may not import {layer}")),
                }
            }
            if text.contains("super::super") {
                object("write crate:: instead of super::super".to_owned());
            }
        }
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_file_belongs_to_a_layer() {
    let listed: BTreeSet<_> = MAY_IMPORT.iter().flat_map(|(module, _)| files_of(module)).collect();
    let facades = ["lib.rs", "main.rs", "registry/mod.rs", "exchange/mod.rs"]
        .map(|file| Path::new("src").join(file));
    let lost: Vec<_> = rust_files(Path::new("src"))
        .into_iter()
        .filter(|file| !listed.contains(file) && !facades.contains(file))
        .collect();
    assert!(lost.is_empty(), "in no layer: {lost:?}");
}

#[test]
fn a_file_holds_one_noun() {
    let long: Vec<_> = ["src", "tests"]
        .into_iter()
        .flat_map(|folder| rust_files(Path::new(folder)))
        .map(|file| {
            (fs::read_to_string(&file).expect("a source file is readable").lines().count(), file)
        })
        .filter(|(lines, _)| *lines > LONGEST)
        .collect();
    assert!(long.is_empty(), "over {LONGEST} lines: {long:?}");
}

#[test]
fn no_test_file_is_forgotten() {
    let main = fs::read_to_string("tests/it/main.rs").expect("the test crate has a root");
    for file in fs::read_dir("tests/it").expect("the folder is readable") {
        let path = file.expect("the folder is readable").path();
        let name = path.file_stem().expect("a file has a name").to_string_lossy();
        assert!(name == "main" || main.contains(&format!("mod {name};")), "{name} is not listed");
    }
}

/// A module is a folder of files, or one file.
fn files_of(module: &str) -> Vec<PathBuf> {
    let folder = Path::new("src").join(module.replace("::", "/"));
    if folder.is_dir() { rust_files(&folder) } else { vec![folder.with_extension("rs")] }
}

fn layer_of(path: &str) -> Option<&'static str> {
    let within = |layer: &str| path == layer || path.starts_with(&format!("{layer}::"));
    MAY_IMPORT.iter().map(|(layer, _)| *layer).find(|layer| within(layer))
}

/// The paths that a use tree names: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let stem_len =
        tree.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(tree.len());
    let (stem, rest) = tree.split_at(stem_len);
    let Some(group) = rest.strip_prefix('{') else {
        return vec![stem.to_owned()];
    };

    let mut depth = 1;
    let end = group
        .find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        })
        .expect("braces are balanced");
    let mut depth = 0;
    group[..end]
        .split(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ',' && depth == 0
        })
        .map(str::trim)
        .filter(|branch| !branch.is_empty())
        .flat_map(expand)
        .map(|branch| format!("{stem}{branch}"))
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("every layer has a folder");
    let mut files = Vec::new();
    for path in entries.map(|entry| entry.expect("a folder is readable").path()) {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn use_trees_expand() {
    assert_eq!(expand("a::B;"), ["a::B"]);
    assert_eq!(expand("{a::{self, b::C}, d};"), ["a::self", "a::b::C", "d"]);
}
