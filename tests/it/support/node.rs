//! A node: a folder of its own, and the agent that works in it.

use std::{fs, net::SocketAddr, path::PathBuf};

use serde_json::Value;

use super::{
    hub::Hub,
    program::{Outcome, Program, Running},
};

/// A registered node.
#[derive(Debug)]
pub struct Node {
    /// The program as the node's keeper uses it.
    pub program: Program,
    folder: PathBuf,
}

impl Node {
    /// Registers node `name` with more arguments, such as `--pattern NAME`.
    #[track_caller]
    pub fn register(hub: &Hub, name: &str, arguments: &[&str]) -> Self {
        let (node, told) = Self::try_to_register(hub, hub.publisher.clone(), name, arguments);
        told.good();
        node
    }

    /// The same where the exchange is, or seems to be, at `address`.
    #[track_caller]
    pub fn register_at(hub: &Hub, address: SocketAddr, name: &str, arguments: &[&str]) -> Self {
        let (node, told) = Self::try_to_register_at(hub, address, name, arguments);
        told.good();
        node
    }

    /// The same, with what becomes of it.
    pub fn try_to_register_at(
        hub: &Hub,
        address: SocketAddr,
        name: &str,
        arguments: &[&str],
    ) -> (Self, Outcome) {
        let url = format!("http://{address}/v1");
        let program = hub.publisher.with("EDGEPOST_EXCHANGE_URL", url);
        Self::try_to_register(hub, program, name, arguments)
    }

    /// The same with this value of `EDGEPOST_NODE_AUTH`.
    #[track_caller]
    pub fn register_with(hub: &Hub, name: &str, auth: &str, arguments: &[&str]) -> Self {
        let program = hub.publisher.clone();
        let (node, outcome) = Self::try_to_register_as(hub, program, name, auth, arguments);
        outcome.good();
        node
    }

    fn try_to_register(
        hub: &Hub,
        program: Program,
        name: &str,
        arguments: &[&str],
    ) -> (Self, Outcome) {
        let auth = format!("{name}:{name}-token");
        Self::try_to_register_as(hub, program, name, &auth, arguments)
    }

    fn try_to_register_as(
        hub: &Hub,
        program: Program,
        name: &str,
        auth: &str,
        arguments: &[&str],
    ) -> (Self, Outcome) {
        let folder = hub.folder().join(name);
        fs::create_dir_all(&folder).expect("the folder can be made");
        let mut node = Self { program, folder };
        node.program.set("EDGEPOST_NODE_AUTH", auth);
        node.program.set("EDGEPOST_NODE_DATA", node.data().display());
        node.program.set("EDGEPOST_ENGINE", "none");
        let all = [&["agent", "register", "--trust-sha256", &hub.pin], arguments].concat();
        let told = node.program.run(&all);
        (node, told)
    }

    /// The same node with a container engine.
    #[must_use]
    pub fn on_docker(mut self, socket: &str) -> Self {
        self.program.set("EDGEPOST_ENGINE", "docker");
        self.program.set("DOCKER_HOST", socket);
        self
    }

    /// Settles once.
    pub fn settle(&self) -> Outcome {
        self.program.run(&["-vvv", "agent", "run", "--once"])
    }

    /// Starts the agent, which goes on until it is ended.
    pub fn start(&self) -> Running {
        self.program.start(&["-vvv", "agent", "run"], &self.log())
    }

    /// What the node says of itself.
    #[track_caller]
    pub fn status(&self) -> Value {
        self.program.run(&["agent", "status", "--json"]).good().json()
    }

    /// The versions of `service` that the node has, or runs.
    #[track_caller]
    pub fn services(&self) -> Vec<String> {
        let status = self.status();
        let services = status["services"].as_array().cloned().unwrap_or_default();
        let running = services.iter().filter(|it| it["state"] == "running");
        let word = |it: &Value, name: &str| it["service"][name].as_str().unwrap_or("?").to_owned();
        let name = |it: &Value| {
            let [org, url, version, arch] =
                ["org", "url", "version", "arch"].map(|name| word(it, name));
            format!("{org}/{url}_{version}_{arch}")
        };
        running.map(name).collect()
    }

    /// Waits until the node has exactly these services, each in a settled state.
    #[track_caller]
    pub fn wait_for(&self, services: &[&str]) {
        for _ in 0..600 {
            // Before its first pass the agent has nothing to say.
            let has_run = self.program.run(&["agent", "status"]).code == 0;
            if has_run && self.services() == services {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let end = log.len().saturating_sub(4000);
        panic!(
            "the node has {:?}, not {services:?}\n{}",
            self.services(),
            &log[log.ceil_char_boundary(end)..]
        );
    }

    /// Where the agent's words to people go.
    pub fn log(&self) -> PathBuf {
        self.folder.join("agent.log")
    }

    /// The node's data.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}
