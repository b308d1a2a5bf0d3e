//! A shell in which commands are typed one after the other.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// What ends the output of a command, before its exit code.
const END: &str = "--- end of command ";

/// A shell that keeps its variables and its folder.
#[derive(Debug)]
pub struct Shell {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Shell {
    /// Starts a shell in `folder` with these variables and no others.
    pub fn start(folder: &Path, variables: &[(&str, String)]) -> Self {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).env_clear().current_dir(folder);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("bash starts");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut shell = Self { child, stdin, stdout };
        shell.type_line("exec 2>&1");
        shell
    }

    /// Types a command; gives its exit code and what it printed, errors included.
    pub fn type_line(&mut self, command: &str) -> (i32, String) {
        // In a group, so that a pipe in the command goes before the empty input.
        let typed = format!("{{ {command}\n}} </dev/null\nprintf '\\n{END}%d\\n' $?");
        writeln!(self.stdin, "{typed}").expect("bash reads");
        let mut printed = String::new();
        loop {
            let mut line = String::new();
            let bytes = self.stdout.read_line(&mut line).expect("bash prints text");
            assert!(bytes > 0, "the shell ended after `{command}`: {printed}");
            if let Some(code) = line.strip_prefix(END) {
                printed.pop();
                return (code.trim().parse().expect("an exit code"), printed);
            }
            printed.push_str(&line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
