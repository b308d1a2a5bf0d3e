//! Real peers: Debian's docker-registry, a Docker engine, skopeo.

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::authority::Authority;

/// The accounts of the registry: `pusher`/`push-secret` and `puller`/`pull-secret`, by bcrypt at cost 4.
const HTPASSWD: &str = "\
pusher:$2y$04$yhvd0uLqE079XTrHgwT5zeJ9wIrtc0sxv2t7sBh5Z5t6MuYsxgALy
puller:$2y$04$rQwDcF3ETuDYXx8qWYtioe/2z0WWaB8PjGeN8mFhMfs3i2iuMGRx2
";

/// The same, but that `puller`'s password is `rotated-secret`.
const ROTATED: &str = "\
pusher:$2y$04$yhvd0uLqE079XTrHgwT5zeJ9wIrtc0sxv2t7sBh5Z5t6MuYsxgALy
puller:$2b$04$ryNvO0UbQI2gplyiKpjKquWnbL8PdQzFzU92wzFgxRp05T89AD6Zm
";

/// Whether peers must be there: `tests/run` says so. Elsewhere a story without its peer is skipped, and
/// says it.
pub fn required() -> bool {
    std::env::var("EDGEPOST_TEST_PEERS").is_ok_and(|it| it == "required")
}

/// The private Docker engine that `tests/run` started.
pub fn docker() -> Option<String> {
    let engine = std::env::var("EDGEPOST_TEST_DOCKER").ok().filter(|it| !it.is_empty());
    assert!(engine.is_some() || !required(), "EDGEPOST_TEST_DOCKER is not set");
    if engine.is_none() {
        record_skip("no Docker engine; tests/run starts one");
    }
    engine
}

/// Records that a test is skipped, and why: one line, printed and appended to the file that
/// `EDGEPOST_TEST_SKIPPED` names, since the output of a test that passes is not shown.
pub fn record_skip(reason: &str) {
    eprintln!("skipped: {reason}");
    let Some(path) = std::env::var_os("EDGEPOST_TEST_SKIPPED") else { return };
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("the list of skips can be opened");
    file.write_all(format!("{reason}\n").as_bytes()).expect("the list of skips can be written");
}

/// Whether `program` can be started.
pub fn has(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    assert!(found || !required(), "{program} is not installed");
    if !found {
        record_skip(&format!("{program} is not installed; tests/run installs it"));
    }
    found
}

/// Debian's docker-registry with TLS from a CA of its own, and basic auth if nothing else is said.
#[derive(Debug)]
pub struct DockerRegistry {
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl DockerRegistry {
    /// Starts one that keeps its data in `folder`; `None` where it is not installed.
    pub fn start(folder: &Path) -> Option<Self> {
        let accounts = folder.join("htpasswd");
        let auth = format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", accounts.display());
        fs::create_dir_all(folder).expect("the folder can be made");
        fs::write(accounts, HTPASSWD).expect("the folder is writable");
        Self::start_asking(folder, &auth)
    }

    /// Starts one that asks everybody for what `auth`, a part of its configuration, says.
    pub fn start_asking(folder: &Path, auth: &str) -> Option<Self> {
        if !has("docker-registry") {
            return None;
        }
        fs::create_dir_all(folder).expect("the folder can be made");
        make_certificates(folder);
        let port = free_port();
        write_config(folder, port, auth);
        let child = spawn(folder);
        let registry = Self { folder: folder.to_owned(), port, child };
        registry.wait();
        Some(registry)
    }

    /// Starts it again on the same port, after [`DockerRegistry::kill`].
    pub fn restart(&mut self) {
        self.child = spawn(&self.folder);
        self.wait();
    }

    /// Ends it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.child.kill().expect("the child can be killed");
        self.child.wait().expect("the child can be waited for");
    }

    /// Changes the password of `puller` to `rotated-secret`, while it runs.
    pub fn rotate(&self) {
        fs::write(self.folder.join("htpasswd"), ROTATED).expect("the folder is writable");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its CA's certificate.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.crt")
    }

    fn wait(&self) {
        wait_for(self.address(), &self.folder.join("log"));
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path) -> Child {
    let log = fs::File::create(folder.join("log")).expect("the log can be written");
    Command::new("docker-registry")
        .arg("serve")
        .arg(folder.join("config.yml"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("docker-registry starts")
}

fn write_config(folder: &Path, port: u16, auth: &str) {
    let at = |name: &str| folder.join(name).display().to_string();
    let config = format!(
        "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
         http:\n  addr: 127.0.0.1:{port}\n  tls: {{certificate: {}, key: {}}}\n{auth}",
        at("data"),
        at("server.crt"),
        at("server.key"),
    );
    fs::write(folder.join("config.yml"), config).expect("the folder is writable");
}

/// A CA, and a certificate by it for 127.0.0.1: `ca.crt`, `server.crt`, `server.key`.
pub fn make_certificates(folder: &Path) {
    let ca = Authority::new();
    let server = ca.server(&["127.0.0.1", "localhost"]);
    let write = |name: &str, text: String| {
        fs::write(folder.join(name), text).expect("the folder is writable");
    };
    write("ca.crt", ca.pem());
    write("server.crt", server.certificate);
    write("server.key", server.key);
    let owner_only = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("server.key"), owner_only).expect("the key is ours");
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
    listener.local_addr().expect("a listener has an address").port()
}

/// Waits until a peer listens at `address`; says what is in its `log` if it never does.
#[track_caller]
pub fn wait_for(address: SocketAddr, log: &Path) {
    for _ in 0..400 {
        if TcpStream::connect(address).is_ok() {
            return;
        }
        thread::sleep(Duration::from_millis(25));
    }
    let log = fs::read_to_string(log).unwrap_or_default();
    panic!("nobody listens at {address}\n{log}");
}

/// Runs a peer's command to its end, which must be good, and gives what it printed.
#[track_caller]
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the peer starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout).trim().to_owned()
}
