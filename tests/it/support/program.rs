//! The program itself, as a person would start it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

/// A command takes no longer than this, whatever happens to it.
const PATIENCE: Duration = Duration::from_mins(2);

/// The program with a home folder and an environment of its own.
#[derive(Debug, Clone)]
pub struct Program {
    environment: BTreeMap<String, String>,
    folder: PathBuf,
}

/// What a command left behind.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code.
    pub code: i32,
    /// What it printed as its result.
    pub stdout: String,
    /// What it told people.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
    /// The most memory it had, in KiB.
    pub memory: u64,
}

impl Program {
    /// The program at home in `folder`.
    pub fn at_home_in(folder: &Path) -> Self {
        let mut program = Self { environment: BTreeMap::new(), folder: folder.to_owned() };
        program.set("EDGEPOST_HOME", folder.join("home").display());
        program.set("DOCKER_CONFIG", folder.join("docker").display());
        program.set("HOME", folder.display());
        program.set("PATH", std::env::var("PATH").unwrap_or_default());
        program
    }

    /// Sets a variable of its environment.
    pub fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        self.environment.insert(name.to_owned(), format!("{value}"));
    }

    /// Takes a variable out of its environment.
    pub fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    /// The same program with one more variable.
    pub fn with(&self, name: &str, value: impl std::fmt::Display) -> Self {
        let mut program = self.clone();
        program.set(name, value);
        program
    }

    /// The same program, started in another folder.
    pub fn standing_in(&self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self.clone() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgepost"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    #[must_use]
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Self::end(self.command(arguments).spawn().expect("the program starts"))
    }

    /// Runs a command to its end, with `input` as its standard input.
    #[must_use]
    #[track_caller]
    pub fn run_told(&self, arguments: &[&str], input: &str) -> Outcome {
        let child = self.command(arguments).stdin(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        let mut stdin = child.stdin.take().expect("piped");
        // A command that refuses its arguments does not listen.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        Self::end(child)
    }

    #[track_caller]
    fn end(mut child: Child) -> Outcome {
        let (mut out, mut err) =
            (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let read_out = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).map(|_| text)
        });
        let read_err = std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).map(|_| text)
        });
        let start = Instant::now();
        let (code, memory) = watch(&mut child, PATIENCE);
        let took = start.elapsed();
        let text = |it: std::thread::JoinHandle<std::io::Result<String>>| {
            it.join().expect("the reader lives").expect("the output is text")
        };
        Outcome { code, stdout: text(read_out), stderr: text(read_err), took, memory }
    }

    /// Starts a command as [`Program::start`] does, which may have at most `descriptors` open files.
    pub fn start_limited(&self, descriptors: u32, arguments: &[&str], log: &Path) -> Running {
        let log = std::fs::File::create(log).expect("the log can be written");
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n $0; exec \"$@\""]).arg(descriptors.to_string());
        command.arg(env!("CARGO_BIN_EXE_edgepost")).args(arguments);
        command.env_clear().envs(&self.environment).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        Running { child: command.spawn().expect("the program starts") }
    }

    /// Starts a command that goes on until it is ended; what it tells people goes to `log`.
    pub fn start(&self, arguments: &[&str], log: &Path) -> Running {
        let log = std::fs::File::create(log).expect("the log can be written");
        let child = self.command(arguments).stderr(log).spawn().expect("the program starts");
        Running { child }
    }
}

/// Waits for a child; one that takes too long is killed, and the story fails.
#[track_caller]
fn wait(child: &mut Child, patience: Duration) -> i32 {
    watch(child, patience).0
}

/// The same, with the most memory that it was seen to have, in KiB.
#[track_caller]
fn watch(child: &mut Child, patience: Duration) -> (i32, u64) {
    let start = Instant::now();
    let status_file = format!("/proc/{}/status", child.id());
    let mut memory = 0;
    loop {
        let seen = std::fs::read_to_string(&status_file).unwrap_or_default();
        let peak = seen.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|it| it.trim().strip_suffix(" kB")?.parse().ok());
        memory = memory.max(peak.unwrap_or_default());
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            return (status.code().unwrap_or(-1), memory);
        }
        if start.elapsed() > patience {
            child.kill().expect("the child can be killed");
            panic!("the command took longer than {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Outcome {
    /// It went well.
    #[track_caller]
    pub fn good(self) -> Self {
        assert_eq!(self.code, 0, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// It ended with this exit code, and this error code on stderr or in its JSON.
    #[track_caller]
    pub fn failed(self, exit: i32, code: &str) -> Self {
        let all = format!("stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        assert_eq!(self.code, exit, "{all}");
        assert!(self.stderr.contains(code) || self.stdout.contains(code), "no {code} in\n{all}");
        self
    }

    /// Its result as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// A command that goes on.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// The first line of its result.
    pub fn first_line(&mut self) -> String {
        let out = self.child.stdout.take().expect("piped");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("the output is text");
        line
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, which is named as `kill` names it.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("kill exists");
        assert!(sent.success(), "process {id} has ended");
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the child can be waited for").is_none()
    }

    /// Ends it at once, as a power cut would (SIGKILL).
    pub fn kill(mut self) {
        self.child.kill().expect("the child can be killed");
        self.child.wait().expect("the child can be waited for");
    }

    /// Asks it to end (SIGTERM), and gives its exit code.
    pub fn stop(mut self) -> i32 {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").arg(&id).status().expect("kill exists");
        assert!(sent.success(), "process {id} is gone already");
        wait(&mut self.child, PATIENCE)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
