use std::os::unix::fs::PermissionsExt as _;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::types::ManualClock;

fn repository(path: &str) -> Repository {
    format!("r.example:5000/{path}").parse().unwrap()
}

fn memory(folder: &Path) -> Memory {
    Memory::at(folder, Arc::new(clock()))
}

fn clock() -> ManualClock {
    ManualClock::starting_at(Timestamp::UNIX_EPOCH)
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn who_has_a_blob_is_remembered_over_restarts_the_latest_first() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
    memory(folder.path()).learn(&repository("a"), [one, other]);
    memory(folder.path()).learn(&repository("b"), [one]);
    for index in 0..5 {
        memory(folder.path()).learn(&repository(&format!("many/{index}")), [other]);
    }

    let memory = memory(folder.path());
    let registry = repository("a").registry().clone();
    assert_eq!(memory.repositories_with(&registry, &one), [repository("b"), repository("a")]);
    let many = memory.repositories_with(&registry, &other);
    assert_eq!((many.len(), &many[0]), (4, &repository("many/4")));
    memory.forget(&repository("b"), &one);
    assert_eq!(memory.repositories_with(&registry, &one), [repository("a")]);
    let elsewhere = "s.example".parse().unwrap();
    assert_eq!(memory.repositories_with(&elsewhere, &one), []);
}

#[test]
fn a_torn_file_is_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let blob = Digest::of(b"1");
    memory(folder.path()).learn(&repository("a"), [blob]);
    let file = files(&folder.path().join("blobs")).pop().unwrap();
    fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(20).unwrap();

    let memory = memory(folder.path());
    let registry = repository("a").registry().clone();
    assert_eq!(memory.repositories_with(&registry, &blob), []);
    memory.learn(&repository("b"), [blob]);
    assert_eq!(memory.repositories_with(&registry, &blob), [repository("b")]);
}

#[test]
fn an_upload_is_gone_on_with_after_a_restart_until_a_day_has_passed() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, blob) = (clock(), Digest::of(b"1"));
    let memory = || Memory::at(folder.path(), Arc::new(clock.clone()));
    let url: url::Url = "https://r.example:5000/upload/1?_state=s".parse().unwrap();
    memory().session(&repository("a"), &blob).keep(&url);
    assert_eq!(memory().session(&repository("a"), &blob).url(), Some(url.clone()));
    assert_eq!(memory().session(&repository("b"), &blob).url(), None);
    clock.advance(SignedDuration::from_hours(25));
    assert_eq!(memory().session(&repository("a"), &blob).url(), None);

    memory().session(&repository("a"), &blob).keep(&url);
    memory().session(&repository("a"), &blob).forget();
    assert_eq!(files(&folder.path().join("uploads")), [""; 0].map(std::path::PathBuf::from));
}

#[test]
fn two_at_the_same_blob_do_not_share_a_session() {
    let folder = tempfile::tempdir().unwrap();
    let blob = Digest::of(b"1");
    let url = "https://r.example:5000/upload/1".parse().unwrap();
    let mut first = memory(folder.path()).session(&repository("a"), &blob);
    first.keep(&url);
    let mut second = memory(folder.path()).session(&repository("a"), &blob);
    assert_eq!(second.url(), None);
    second.keep(&"https://r.example:5000/upload/2".parse().unwrap());
    assert_eq!(first.url(), Some(url));
}

#[test]
fn what_is_kept_only_its_owner_may_read() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("transfers");
    let memory = memory(&folder);
    memory.learn(&repository("a"), [Digest::of(b"1")]);
    let url = "https://r.example:5000/upload/1?_state=s".parse().unwrap();
    memory.session(&repository("a"), &Digest::of(b"1")).keep(&url);
    for below in [folder.join("blobs"), folder.join("uploads")] {
        assert_eq!(fs::metadata(&below).unwrap().permissions().mode() & 0o777, 0o700);
        for file in files(&below) {
            assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}

#[test]
fn without_a_folder_memory_ends_with_the_process_and_none_is_none() {
    let blob = Digest::of(b"1");
    let registry = repository("a").registry().clone();
    let (here, none) = (Memory::default(), Memory::none());
    for memory in [&here, &none] {
        memory.learn(&repository("a"), [blob]);
        let url = "https://r.example:5000/upload/1".parse().unwrap();
        memory.session(&repository("a"), &blob).keep(&url);
    }
    assert_eq!(here.clone().repositories_with(&registry, &blob), [repository("a")]);
    assert!(here.session(&repository("a"), &blob).url().is_some());
    assert_eq!(none.repositories_with(&registry, &blob), []);
    assert!(none.session(&repository("a"), &blob).url().is_none());
}
