//! Files with secrets: modes, links, and parts that are missing at start.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::record_bound;
use crate::support::{
    hub::Hub,
    node::Node,
    program::{Program, Running},
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The files of a folder that others may read or write, and how many there are in all.
fn exposed(folder: &Path) -> (Vec<String>, usize) {
    let files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    let open = files.iter().filter(|path| mode(path) & 0o077 != 0);
    (open.map(|path| path.display().to_string()).collect(), files.len())
}

/// Starts an exchange in `folder`/data, and gives what it prints first.
fn start(folder: &Path, more: &[&str]) -> (Running, Value) {
    fs::write(folder.join("root"), "root-secret\n").unwrap();
    let own = ["exchange", "--json", "--data", "data", "--listen", "127.0.0.1:0"];
    let arguments = [&own, ["--root-password-file", "root"].as_slice(), more].concat();
    let log = folder.join("log");
    let mut running = Program::at_home_in(folder).start(&arguments, &log);
    let line = running.first_line();
    let first = serde_json::from_str(&line);
    let first = first.unwrap_or_else(|_| panic!("{line}{}", fs::read_to_string(log).unwrap()));
    (running, first)
}

#[test]
fn databases_and_keys_are_for_their_owner_alone_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_edgepost"), "hub"]);
    command.args(["--json", "--listen", "127.0.0.1:0", "--data"]).arg(&data);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
    assert!(line.contains("rootPassword"), "{line}");

    let (open, count) = exposed(&data);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(open.is_empty() && count >= 6, "{count} files, others may read {open:?}");
    assert_eq!(mode(&data), 0o700);
    record_bound(5, "files of a hub under umask 000 that others may read", 0, open.len());
}

#[test]
fn the_databases_of_a_node_are_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let node = Node::register(&hub, "n1", &["--policy", &empty_policy(folder.path())]);
    let (open, count) = exposed(&node.data());
    assert!(open.is_empty() && count >= 2, "{count} files, others may read {open:?}");
}

fn empty_policy(folder: &Path) -> String {
    let file = folder.join("node.policy.json");
    fs::write(&file, "{}").unwrap();
    file.display().to_string()
}

#[test]
fn a_data_folder_that_became_readable_is_closed_again_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = start(folder.path(), &[]);
    running.kill();
    let data = folder.path().join("data");
    let wide = [data.clone(), data.join("exchange.db"), data.join("exchange.db-wal")];
    chmod(&wide[0], 0o755);
    chmod(&wide[1], 0o644);
    chmod(&wide[2], 0o664);

    let (running, _) = start(folder.path(), &[]);
    for path in &wide {
        assert_eq!(mode(path) & 0o077, 0, "{}", path.display());
    }
    running.kill();
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("folder.mode_changed") && log.contains("file.mode_changed"), "{log}");
}

#[test]
fn a_folder_with_other_things_in_it_is_no_data_folder_while_others_may_enter_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("letter"), "dear").unwrap();
    chmod(&data, 0o755);
    let program = Program::at_home_in(folder.path());
    for server in ["hub", "exchange", "registry"] {
        let arguments = [server, "--data", "data", "--listen", "127.0.0.1:0"];
        let refused = program.run(&arguments).failed(1, "E0104");
        assert!(refused.stderr.contains("chmod 700 data"), "{}", refused.stderr);
    }
    assert_eq!(mode(&data), 0o755);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "nothing was made");
}

#[test]
fn a_server_that_lost_a_part_of_its_data_names_it_and_makes_no_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    hub.kill();
    let data = hub.data();
    let parts = [
        ("exchange.db", "database"),
        ("stamp-key.pem", "timestamp-key"),
        ("vault.key", "vault-key"),
        ("registry-accounts.json", "registry-accounts"),
        ("registry/blobs", "images"),
    ];
    let program = Program::at_home_in(folder.path());
    let arguments = ["hub", "--data", "hub", "--listen", "127.0.0.1:0"];
    for (file, part) in parts {
        let away = folder.path().join("away");
        fs::rename(data.join(file), &away).unwrap();
        let refused = program.run(&arguments).failed(1, "E0106");
        let flag = format!("--create-missing {part}");
        assert!(refused.stderr.contains(&flag), "{}", refused.stderr);
        assert!(!data.join(file).exists(), "a new {part} was made");
        fs::rename(&away, data.join(file)).unwrap();
    }

    // All is back, as from a backup; then one is made again on purpose.
    let first = hub.restart();
    assert!(first["rootPassword"].is_null() && first["registryAccounts"].is_null(), "{first}");
    hub.kill();
    fs::remove_file(data.join("stamp-key.pem")).unwrap();
    let arguments = [&arguments[..], &["--json", "--create-missing", "timestamp-key"]].concat();
    let mut running = program.start(&arguments, &folder.path().join("log"));
    assert!(running.first_line().contains("exchange"));
    assert!(data.join("stamp-key.pem").exists());
    record_bound(5, "lost parts of a hub that are made again in silence", 0, 0);
}

#[test]
fn a_copy_of_the_data_folder_starts_elsewhere_as_the_same_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    hub.stop();
    let restored = tempfile::tempdir().unwrap();
    let to = restored.path().join("hub");
    assert!(Command::new("cp").arg("-a").arg(hub.data()).arg(to).status().unwrap().success());
    let program = Program::at_home_in(restored.path());
    let arguments = ["hub", "--json", "--data", "hub", "--listen", "127.0.0.1:0"];
    let mut running = program.start(&arguments, &restored.path().join("log"));
    let first: Value = serde_json::from_str(&running.first_line()).unwrap();
    assert!(first["rootPassword"].is_null() && first["registryAccounts"].is_null(), "{first}");
}

#[test]
fn a_first_start_that_is_killed_at_any_moment_is_finished_by_the_next() {
    for moment in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::at_home_in(folder.path());
        let arguments = ["exchange", "--data", "data", "--listen", "127.0.0.1:0"];
        let running = program.start(&arguments, &folder.path().join("log"));
        thread::sleep(Duration::from_millis(moment * 12));
        running.kill();
        start(folder.path(), &[]).0.kill();
        assert!(!folder.path().join("data/.first-start-exchange").exists());
    }
}

#[test]
fn a_bundle_is_not_gathered_behind_a_planted_link() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let victim = folder.path().join("victim");
    fs::create_dir(&victim).unwrap();
    fs::write(victim.join("index.json"), "precious").unwrap();
    let planted = folder.path().join(".site.tar.partial");
    let arguments = ["bundle", "export", "site.tar", "--trust-sha256", &hub.pin];

    symlink(&victim, &planted).unwrap();
    let refused = hub.publisher.run(&arguments);
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains(".site.tar.partial"), "{}", refused.stderr);
    let kept: Vec<_> = fs::read_dir(&victim).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(kept, ["index.json"]);

    // So is a folder that others may put links into.
    fs::remove_file(&planted).unwrap();
    fs::create_dir(&planted).unwrap();
    chmod(&planted, 0o777);
    assert_ne!(hub.publisher.run(&arguments).code, 0);

    fs::remove_dir_all(&planted).unwrap();
    hub.publisher.run(&arguments).good();
}

#[test]
fn keys_are_not_put_into_the_current_folder_where_there_is_no_home() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::at_home_in(folder.path());
    program.unset("HOME");
    program.unset("EDGEPOST_HOME");
    for environment in [&program, &program.with("HOME", "."), &program.with("XDG_CONFIG_HOME", "x")]
    {
        let refused = environment.run(&["key", "create"]).failed(3, "E0300");
        assert!(refused.stderr.contains("HOME"), "{}", refused.stderr);
        let _ = environment.run(&["key", "list"]).failed(3, "E0300");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a file was made");

    // A key is still found by the path of its file, and a folder can be named.
    program.with("EDGEPOST_HOME", "here").run(&["key", "create"]).good();
    program.run(&["key", "show", "here/keys/default.key.pem"]).good();
}
