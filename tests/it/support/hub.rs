//! A hub in a process of its own, with an organization ready to publish in.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    peers::free_port,
    program::{Program, Running},
};

/// A running hub, and a publisher who is at home in it.
#[derive(Debug)]
pub struct Hub {
    folder: PathBuf,
    address: SocketAddr,
    running: Option<Running>,
    /// The program as the hub's root user uses it.
    pub root: Program,
    /// The program as the organization's administrator uses it.
    pub publisher: Program,
    /// The pin of the organization's trust.
    pub pin: String,
    /// The password of the registry account `push`.
    pub push_password: String,
    /// The password of the registry account `pull`.
    pub pull_password: String,
}

impl Hub {
    /// Starts a hub in `folder`, with organization `acme`, administrator `ann`, a key and trust.
    pub fn start(folder: &Path) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (running, first) = spawn(folder, address);
        let text = |value: &Value| value.as_str().expect("the first start tells it").to_owned();
        let root_password = text(&first["rootPassword"]);
        let mut publisher = Program::at_home_in(folder);
        publisher.set("EDGEPOST_EXCHANGE_URL", format!("http://{address}/v1"));
        publisher.set("EDGEPOST_ORG", "acme");
        let root = publisher.with("EDGEPOST_USER_AUTH", format!("root/root:{root_password}"));
        root.run(&["org", "create", "acme"]).good();
        fs::write(folder.join("password"), "ann-secret\n").expect("the folder is writable");
        root.run(&["user", "create", "ann", "--admin", "--password-file", "password"]).good();
        publisher.set("EDGEPOST_USER_AUTH", "ann:ann-secret");
        publisher.run(&["key", "create"]).good();
        let trust = publisher.run(&["trust", "init", "--json"]).good().json();
        let mut hub = Self {
            folder: folder.to_owned(),
            address,
            running: Some(running),
            root,
            publisher,
            pin: text(&trust["pin"]),
            push_password: text(&first["registryAccounts"]["push"]),
            pull_password: text(&first["registryAccounts"]["pull"]),
        };
        hub.log_in(&hub.registry(), "push", &hub.push_password.clone());
        hub
    }

    /// Its registry's `host:port`.
    pub fn registry(&self) -> String {
        self.address.to_string()
    }

    /// The folder of everything in this story.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The hub's own data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("hub")
    }

    /// Writes a Docker login file for the publisher, as `docker login` does.
    pub fn log_in(&mut self, registry: &str, user: &str, password: &str) {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let folder = self.folder.join("docker");
        fs::create_dir_all(&folder).expect("the folder can be made");
        let auth = STANDARD.encode(format!("{user}:{password}"));
        let file = serde_json::json!({"auths": {registry: {"auth": auth}}});
        fs::write(folder.join("config.json"), file.to_string()).expect("the folder is writable");
    }

    /// The hub's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the hub answers to the administrator.
    pub fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.ask(reqwest::Method::GET, path, ("acme/ann", "ann-secret"), None)
    }

    /// What the hub answers to the administrator who puts `body`.
    pub fn put(&self, path: &str, body: &Value) -> (u16, Vec<u8>) {
        self.ask(reqwest::Method::PUT, path, ("acme/ann", "ann-secret"), Some(body))
    }

    /// What the hub answers to somebody else.
    pub fn get_as(&self, name: &str, secret: &str, path: &str) -> (u16, Vec<u8>) {
        self.ask(reqwest::Method::GET, path, (name, secret), None)
    }

    /// What the hub answers to the administrator who posts `body`.
    pub fn post(&self, path: &str, body: &Value) -> (u16, Vec<u8>) {
        self.ask(reqwest::Method::POST, path, ("acme/ann", "ann-secret"), Some(body))
    }

    /// What the hub answers to a request of somebody else.
    pub fn ask_as(
        &self,
        login: (&str, &str),
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, Vec<u8>) {
        self.ask(method, path, login, body)
    }

    /// What the hub's registry answers to a node's login.
    pub fn pull(&self, path: &str) -> (u16, Vec<u8>) {
        self.ask(reqwest::Method::GET, path, ("pull", &self.pull_password), None)
    }

    fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        (user, password): (&str, &str),
        body: Option<&Value>,
    ) -> (u16, Vec<u8>) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
        let url = format!("http://{}{path}", self.address);
        runtime.block_on(async {
            let client = reqwest::Client::builder().build().expect("a client can be made");
            let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*";
            let mut request = client.request(method, url).basic_auth(user, Some(password));
            request = request.header("accept", accept);
            if let Some(body) = body {
                let body = body.to_string();
                request = request.header("content-type", "application/json").body(body);
            }
            let answer = request.send().await.expect("the hub answers");
            let status = answer.status().as_u16();
            (status, answer.bytes().await.expect("the answer ends").to_vec())
        })
    }

    /// Ends the hub at once (SIGKILL).
    pub fn kill(&mut self) {
        self.running.take().expect("the hub runs").kill();
    }

    /// Gives its process to a story that ends it while others use the hub.
    pub fn take_running(&mut self) -> Running {
        self.running.take().expect("the hub runs")
    }

    /// Ends `running` at once (SIGKILL), and starts the hub again on the same address and data.
    pub fn replace(&self, running: Running) -> Running {
        self.replace_after(running, || (), &[])
    }

    /// Ends `running`, makes a change while no process serves, and starts the hub again with `more` arguments.
    pub fn replace_after(&self, running: Running, change: impl FnOnce(), more: &[&str]) -> Running {
        running.kill();
        change();
        spawn_with(&self.folder, self.address, more).0
    }

    /// Takes its process back.
    pub fn put_running(&mut self, running: Running) {
        self.running = Some(running);
    }

    /// Starts it again, on the same address and data.
    pub fn restart(&mut self) -> Value {
        let (running, told) = spawn(&self.folder, self.address);
        self.running = Some(running);
        told
    }

    /// Ends it in order (SIGTERM), and gives its exit code.
    pub fn stop(&mut self) -> i32 {
        self.running.take().expect("the hub runs").stop()
    }
}

fn spawn(folder: &Path, address: SocketAddr) -> (Running, Value) {
    spawn_with(folder, address, &[])
}

fn spawn_with(folder: &Path, address: SocketAddr, more: &[&str]) -> (Running, Value) {
    let program = Program::at_home_in(folder);
    let data = folder.join("hub").display().to_string();
    let listen = address.to_string();
    let own = ["hub", "--json", "-vvv", "--data", &data, "--listen", &listen];
    let arguments = [&own, more].concat();
    let mut running = program.start(&arguments, &folder.join("hub.log"));
    let line = running.first_line();
    let told = serde_json::from_str(&line).unwrap_or_else(|_| {
        panic!(
            "the hub says {line:?}\n{}",
            fs::read_to_string(folder.join("hub.log")).unwrap_or_default()
        )
    });
    (running, told)
}
