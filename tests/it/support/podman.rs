//! A Podman engine of our own: its images, containers and networks lie in the story's folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::peers::{has, record_skip, run};

/// Podman's service on a socket, ended with the story.
#[derive(Debug)]
pub struct Podman {
    folder: PathBuf,
    child: Child,
}

impl Podman {
    /// Starts one in `folder`; `None` where it is not installed.
    pub fn start(folder: &Path) -> Option<Self> {
        if !has("podman") {
            return None;
        }
        fs::create_dir_all(folder).expect("the folder can be made");
        // Podman asks for more open files and processes than a container may have inside of another.
        let files = most_open_files();
        let limits = format!(
            "[containers]\ndefault_ulimits = [\"nofile={files}:{files}\", \"nproc=4096:4096\"]\n"
        );
        fs::write(folder.join("containers.conf"), limits).expect("the folder is writable");
        let log = fs::File::create(folder.join("log")).expect("the log can be written");
        let mut service = command(folder);
        service.args(["system", "service", "--time=0"]).arg(socket(folder));
        let service = service.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = service.spawn().expect("podman starts");
        let podman = Self { folder: folder.to_owned(), child };
        podman.wait();
        Some(podman)
    }

    /// Starts one that runs containers; `None` where Podman is not installed, or cannot run a container on
    /// this machine (for example with hybrid cgroups), which is recorded as a skip.
    pub fn start_with_containers(folder: &Path) -> Option<Self> {
        let podman = Self::start(folder)?;
        match podman.run_empty_container() {
            Ok(()) => Some(podman),
            Err(reason) => {
                record_skip(&format!("Podman runs no container on this machine: {reason}"));
                None
            }
        }
    }

    /// Runs a container that ends at once, by Podman alone; an error is the last line that Podman prints.
    fn run_empty_container(&self) -> Result<(), String> {
        let root = self.folder.join("probe");
        fs::create_dir_all(root.join("bin")).expect("the folder can be made");
        let busybox = which("busybox").ok_or("busybox is not installed")?;
        fs::copy(busybox, root.join("bin/busybox")).expect("busybox can be copied");
        let mut probe = command(&self.folder);
        probe.args(["run", "--rm", "--rootfs"]).arg(&root).args(["/bin/busybox", "true"]);
        let output = probe.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let printed = String::from_utf8_lossy(&output.stderr);
        Err(printed.lines().last().unwrap_or("no output").to_owned())
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub fn socket(&self) -> String {
        socket(&self.folder)
    }

    /// What a command of Podman prints.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> String {
        run(command(&self.folder).args(arguments))
    }

    fn wait(&self) {
        for _ in 0..400 {
            if self.folder.join("podman.sock").exists() {
                return;
            }
            thread::sleep(Duration::from_millis(25));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("podman does not answer\n{log}");
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Layers may be mounted, and are not removed with the folder then.
        let _ = command(&self.folder).args(["rmi", "--all", "--force"]).output();
        let _ = command(&self.folder).args(["unmount", "--all", "--force"]).output();
    }
}

fn socket(folder: &Path) -> String {
    format!("unix://{}", folder.join("podman.sock").display())
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", folder.join("containers.conf"));
    for (option, name) in
        [("--root", "images"), ("--runroot", "run"), ("--network-config-dir", "networks")]
    {
        command.arg(option).arg(folder.join(name));
    }
    command
}

/// The path of a program on `PATH`.
fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|it| it.is_file())
}

/// How many files a process may open at most here.
fn most_open_files() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    hard.unwrap_or(1024)
}
