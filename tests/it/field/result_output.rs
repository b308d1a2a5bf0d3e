//! Results that nobody can read: a full disk, a pipe whose reader went away.

use std::{
    fs::File,
    process::{Command, Stdio},
};

fn explain(stdout: Stdio) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgepost"));
    command.args(["explain", "E0402"]).env_clear().env("HOME", "/nowhere");
    let outcome = command.stdin(Stdio::null()).stdout(stdout).output().unwrap();
    (outcome.status.code().unwrap_or(-1), String::from_utf8(outcome.stderr).unwrap())
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (code, stderr) = explain(full.into());
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("failed to write the result to stdout"), "{stderr}");

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (code, stderr) = explain(writer.into());
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("broken pipe"), "{stderr}");

    let (code, stderr) = explain(Stdio::null());
    assert_eq!((code, stderr.as_str()), (0, ""));
}
