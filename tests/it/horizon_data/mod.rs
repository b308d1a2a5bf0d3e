//! Horizon's own files and the vectors made with Horizon's own programs, read from a folder that is
//! no part of this repository: the one that `EDGEPOST_HORIZON_DATA` names.

mod compcheck;
mod files;
mod vectors;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::peers::record_skip;

/// The folder, if there is one on this machine; if not, the test says so.
pub fn folder() -> Option<PathBuf> {
    let folder = env::var_os("EDGEPOST_HORIZON_DATA")
        .map_or_else(|| PathBuf::from("../shared/data/horizon"), PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    record_skip("the folder of EDGEPOST_HORIZON_DATA is not there");
    None
}

/// The files below a folder with that ending, in order.
pub fn files_below(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut entries: Vec<_> =
        entries.map(|entry| entry.expect("a folder is readable").path()).collect();
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(files_below(&path, ending));
        } else if path.extension().is_some_and(|it| it == ending) {
            files.push(path);
        }
    }
    files
}

/// The lines of a vector file, each a JSON object.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).expect("a vector file is text");
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| serde_json::from_str(line).expect("a vector is JSON")).collect()
}
