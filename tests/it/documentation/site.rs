//! A newcomer's machine: a shell at home in a folder of its own, an engine, and a registry with a private CA.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    page::{Step, root},
    shell::Shell,
};
use crate::support::peers::{self, DockerRegistry, free_port};

/// How long a server may take to listen, or a service to run.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
/// The words that the pages use for what each reader has to fill in.
const PLACEHOLDERS: [(&str, Shown); 6] = [
    ("SITE_ROOT_PASSWORD", Shown::After("site-hub", "root's password, not shown again: ")),
    ("SITE_PUSH_PASSWORD", Shown::After("site-hub", "push:")),
    ("ROOT_PASSWORD", Shown::After("hub", "root's password, not shown again: ")),
    ("PUSH_PASSWORD", Shown::After("hub", "push:")),
    ("PULL_PASSWORD", Shown::After("hub", "pull:")),
    ("PULLER_PASSWORD", Shown::Known("pull-secret")),
];

/// Where a reader finds what a placeholder means.
#[derive(Debug, Clone, Copy)]
enum Shown {
    /// In what the hub of this folder has printed, after these words.
    After(&'static str, &'static str),
    /// On paper.
    Known(&'static str),
}

/// A machine on which the pages are typed.
#[derive(Debug)]
pub struct Site {
    shell: Shell,
    folder: PathBuf,
    engine: String,
    registry: DockerRegistry,
    hubs: [u16; 2],
    /// The names of the servers that run, such as `hub`, with their process ids.
    servers: Vec<(String, String)>,
    agents: Vec<(String, String)>,
    pin: String,
}

impl Site {
    /// A machine whose home is `folder`; `None` where a peer is missing.
    pub fn start(folder: &Path, engine: &str) -> Option<Self> {
        let registry = DockerRegistry::start(&folder.join("registry"))?;
        let hubs = [free_port(), free_port()];
        let work = folder.join("work");
        copy_folder(&root().join("examples"), &work.join("examples"));
        let hzn = work.join("examples/hello/hzn.json");
        let text = fs::read_to_string(&hzn).expect("the example has variables");
        let text = text.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", hubs[0]));
        fs::write(hzn, text).expect("the folder is writable");
        fs::copy(registry.ca(), work.join("ca.crt")).expect("the folder is writable");
        fs::write(work.join("pusher.password"), "push-secret\n").expect("the folder is writable");
        let private = fs::Permissions::from_mode(0o600);
        fs::set_permissions(work.join("pusher.password"), private).expect("the file is ours");

        let program = Path::new(env!("CARGO_BIN_EXE_edgepost"));
        let programs = program.parent().expect("the program is in a folder");
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
        let home = folder.display().to_string();
        let variables = [
            ("PATH", path),
            ("HOME", home),
            ("LANG", "C.UTF-8".to_owned()),
            ("DOCKER_HOST", engine.to_owned()),
            ("DOCKER_BUILDKIT", "0".to_owned()),
        ];
        let shell = Shell::start(&work, &variables);
        import_busybox(folder, engine);
        let (servers, agents) = (Vec::new(), Vec::new());
        let (engine, pin) = (engine.to_owned(), String::new());
        Some(Self { shell, folder: work, engine, registry, hubs, servers, agents, pin })
    }

    /// Types a command, which must be good and print what the page says.
    #[track_caller]
    pub fn type_step(&mut self, step: &Step) {
        let command = self.fill_in(&step.command);
        let printed = if let Some(name) = name_of_server(&step.command) {
            self.start_server(step, &command, &name)
        } else {
            let (code, printed) = self.shell.type_line(&command);
            assert_eq!(code, 0, "{}: {command}\n{printed}", step.place);
            printed
        };
        if step.command == "edgepost trust init" {
            let pin = printed.lines().find(|line| is_pin(line)).expect("a pin");
            pin.clone_into(&mut self.pin);
        }
        let expected = step.prints.iter().map(|line| self.fill_in(line));
        let mut lines = printed.lines().map(str::trim_end);
        for expected in expected.filter(|it| it != "…") {
            let expected = expected.trim_end();
            let found = lines.any(|line| line == expected);
            assert!(found, "{}: {command}\nprints no line `{expected}`:\n{printed}", step.place);
        }
    }

    /// Stops the agents that run: the next page may need their folders.
    pub fn stop_agents(&mut self) {
        for (_, process) in std::mem::take(&mut self.agents) {
            self.shell.type_line(&format!("kill {process}; wait {process}"));
        }
    }

    /// Starts what runs until it is stopped, and waits until it does.
    fn start_server(&mut self, step: &Step, command: &str, name: &str) -> String {
        let log = self.folder.join(format!("{name}.log"));
        let typed = format!("{command} > {} 2>&1 & echo $!", log.display());
        let (_, process) = self.shell.type_line(&typed);
        let process = process.trim().to_owned();
        let is_agent = step.command.contains("agent run");
        let list = if is_agent { &mut self.agents } else { &mut self.servers };
        list.push((name.to_owned(), process));
        let start = Instant::now();
        loop {
            let printed = fs::read_to_string(&log).unwrap_or_default();
            let runs = if is_agent {
                let status = format!("edgepost agent status --data ./{name}");
                self.shell.type_line(&status).1.lines().any(|line| line.ends_with(" running"))
            } else {
                printed.contains("org create")
            };
            if runs {
                return printed;
            }
            assert!(start.elapsed() < LONGEST_WAIT, "{}: {command}\n{printed}", step.place);
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Text of a page, as it is on this machine.
    fn fill_in(&self, text: &str) -> String {
        let mut text = text
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{}", self.hubs[0]))
            .replace(":8443", &format!(":{}", self.hubs[1]))
            .replace("registry.example:5000", &self.registry.address().to_string());
        for (word, shown) in PLACEHOLDERS {
            if text.contains(word) {
                text = text.replace(word, &self.look_up(shown));
            }
        }
        text.replace("PIN", &self.pin)
    }

    fn look_up(&self, shown: Shown) -> String {
        let (hub, before) = match shown {
            Shown::Known(known) => return known.to_owned(),
            Shown::After(hub, before) => (hub, before),
        };
        let log = fs::read_to_string(self.folder.join(format!("{hub}.log")));
        let log = log.expect("the hub was started before");
        let rest = log.split(before).nth(1).expect("the hub prints it");
        rest.split_whitespace().next().expect("the hub prints it").to_owned()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop_agents();
        for (_, process) in std::mem::take(&mut self.servers) {
            self.shell.type_line(&format!("kill {process}; wait {process}"));
        }
        for node in ["node1", "node2", "node3"] {
            let label = format!("label=edgepost.node=demo/{node}");
            let docker = format!("docker --host {}", self.engine);
            let list = format!("{docker} ps --all --quiet --filter {label}");
            self.shell.type_line(&format!("{docker} rm --force $({list})"));
        }
        let registries =
            [self.fill_in("127.0.0.1:8080"), format!("{}/acme", self.registry.address())];
        for registry in registries {
            let docker = format!("docker --host {}", self.engine);
            let list = format!("{docker} images --quiet --filter reference={registry}/*");
            self.shell.type_line(&format!("{docker} rmi --force $({list})"));
        }
    }
}

/// The folder of what the command starts and does not end; `None` for any other command.
fn name_of_server(command: &str) -> Option<String> {
    let is_server =
        command.starts_with("edgepost hub") || command.starts_with("edgepost agent run");
    let data = command.split("--data ./").nth(1).filter(|_| is_server)?;
    data.split_whitespace().next().map(str::to_owned)
}

fn is_pin(line: &str) -> bool {
    line.len() == 64 && line.bytes().all(|it| it.is_ascii_hexdigit())
}

/// The base image of the examples, which a newcomer's engine fetches.
fn import_busybox(folder: &Path, engine: &str) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
    let busybox = busybox.iter().find(|it| it.is_file()).expect("busybox-static is installed");
    let context = folder.join("busybox");
    fs::create_dir(&context).expect("the folder is writable");
    fs::copy(busybox, context.join("busybox")).expect("the folder is writable");
    let dockerfile = "FROM scratch\nCOPY busybox /bin/\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n";
    fs::write(context.join("Dockerfile"), dockerfile).expect("the folder is writable");
    peers::run(
        Command::new("docker")
            .env("DOCKER_BUILDKIT", "0")
            .args(["--host", engine, "build", "--quiet", "--tag", "busybox"])
            .arg(&context)
            .stderr(Stdio::null()),
    );
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is writable");
    for entry in fs::read_dir(from).expect("the folder exists") {
        let entry = entry.expect("the folder is readable");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(from, to).expect("the folder is writable");
        }
    }
}
