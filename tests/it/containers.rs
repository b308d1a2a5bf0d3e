//! What a container gets from its definition, and what becomes of it, in a real Docker engine.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{hub::Hub, image::write, node::Node, peers, program::Outcome};

/// What every container of these stories runs: it says what it sees, by HTTP, until it is told to end.
const SERVE: &str = r#"#!/bin/sh
trap 'sleep ${LAST_WORDS:-0}; exit 0' TERM
name=$1 port=$2
echo "$name" >/www/name
env >/www/env
id >/www/id
cat /proc/self/mounts >/www/mounts
grep CapBnd /proc/self/status >/www/capabilities
[ ! -d /data ] || echo started >>/data/starts
[ ! -d /config ] || { cat /config/greeting; touch /config/mark; } >/www/config 2>&1
httpd -p "$port" -h /www
while :; do sleep 60 & wait $!; done
"#;

const DOCKERFILE: &str = r#"FROM scratch
COPY busybox serve /bin/
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN mkdir -p -m 1777 /tmp /www /data && chown 1000:1000 /data
ENV ORIGIN=image COLOR=image
ENTRYPOINT ["/bin/serve"]
CMD ["image", "7000"]
"#;

/// A hub, the engine that images are built in and containers run in, and one node.
pub struct Site<'a> {
    hub: Hub,
    engine: &'a str,
    /// The node's name. Stories share an engine, so that each has a node of its own.
    node: &'a str,
}

/// A container of the engine that goes with this value, whatever becomes of the story.
struct Foreign<'a>(&'a Site<'a>, String);

impl Drop for Foreign<'_> {
    fn drop(&mut self) {
        let rm = |what: &[&str]| {
            let mut command = Command::new("docker");
            let _ = command.args(["--host", self.0.engine]).args(what).output();
        };
        rm(&["rm", "--force", &self.1]);
        rm(&["volume", "rm", "--force", &self.0.volume()]);
    }
}

impl<'a> Site<'a> {
    pub fn start(folder: &Path, engine: &'a str, node: &'a str) -> Self {
        let site = Self { hub: Hub::start(folder), engine, node };
        let context = folder.join("context");
        fs::create_dir(&context).unwrap();
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new);
        let busybox = busybox.iter().find(|it| it.is_file()).expect("busybox-static is installed");
        fs::copy(busybox, context.join("busybox")).unwrap();
        fs::write(context.join("serve"), SERVE).unwrap();
        peers::run(Command::new("chmod").arg("755").arg(context.join("serve")));
        fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
        peers::run(
            Command::new("docker")
                .env("DOCKER_BUILDKIT", "0")
                .args(["--host", engine, "build", "--quiet", "--tag", &site.image()])
                .arg(&context)
                .stderr(Stdio::null()),
        );
        site
    }

    pub fn docker(&self, arguments: &[&str]) -> String {
        peers::run(Command::new("docker").args(["--host", self.engine]).args(arguments))
    }

    pub fn image(&self) -> String {
        format!("{}/acme/{}:1.0.0", self.hub.registry(), self.node)
    }

    fn volume(&self) -> String {
        format!("edgepost-{}", self.node)
    }

    pub fn register(&self, arguments: &[&str]) -> Node {
        let all = [&["--pattern", "everything"], arguments].concat();
        Node::register(&self.hub, self.node, &all).on_docker(self.engine)
    }

    /// What tells the node's containers and networks from all others.
    fn ours(&self) -> String {
        format!("label=edgepost.node=acme/{}", self.node)
    }

    /// Starts a container that is none of the node's.
    fn foreign(&'a self) -> Foreign<'a> {
        let label = "edgepost.node=acme/another";
        Foreign(self, self.docker(&["run", "--detach", "--label", label, &self.image()]))
    }

    /// Publishes a service with these containers and more fields.
    pub fn publish(&self, url: &str, version: &str, containers: &Value, more: &Value) -> Outcome {
        let mut definition = json!({
            "label": url, "url": url, "version": version, "arch": edgepost::types::Arch::of_this_machine(),
            "sharable": "singleton", "public": false, "deployment": {"services": containers},
        });
        definition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let file = write(&self.hub, &format!("{url}-{version}.json"), &definition);
        let source = format!("docker:{}", self.engine);
        let login = format!("{}:pull:{}", self.hub.registry(), self.hub.pull_password);
        self.hub.publisher.run(&["publish", &file, "--source", &source, "-r", &login])
    }

    /// Publishes pattern `everything` with one version of one service.
    pub fn publish_pattern(&self, url: &str, version: &str, inputs: &Value) {
        let pattern = json!({
            "label": "Everything",
            "services": [{
                "serviceUrl": url, "serviceOrgid": "acme", "serviceArch": "*",
                "serviceVersions": [{"version": version}],
            }],
            "userInput": inputs,
        });
        let file = write(&self.hub, "everything.json", &pattern);
        self.hub.publisher.run(&["pattern", "publish", &file]).good();
    }

    /// The names and ids of the node's containers that run.
    fn running(&self) -> Vec<String> {
        let format = "{{.Names}} {{.ID}}";
        let all = self.docker(&["ps", "--no-trunc", "--filter", &self.ours(), "--format", format]);
        let mut all: Vec<_> = all.lines().map(str::to_owned).collect();
        all.sort();
        all
    }

    /// The id of the container that a service calls `name`.
    pub fn container(&self, name: &str) -> String {
        let label = format!("label=edgepost.container={name}");
        self.docker(&["ps", "--quiet", "--filter", &self.ours(), "--filter", &label])
    }

    /// Nothing of the node is left in the engine.
    #[track_caller]
    pub fn is_clear(&self) {
        assert_eq!(self.docker(&["ps", "--all", "--quiet", "--filter", &self.ours()]), "");
        assert_eq!(self.docker(&["network", "ls", "--quiet", "--filter", &self.ours()]), "");
    }
}

/// The states of the node's services, as `url version state`.
fn states(report: &Value) -> Vec<String> {
    let word = |it: &Value| it.as_str().unwrap_or("?").to_owned();
    let line = |it: &Value| {
        let service = &it["service"];
        [&service["url"], &service["version"], &it["state"]].map(word).join(" ")
    };
    let mut all: Vec<_> = report["services"].as_array().unwrap().iter().map(line).collect();
    all.sort();
    all
}

/// What a container's page says, asked for on loopback.
#[track_caller]
fn page(port: u16, path: &str) -> String {
    let ask = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        write!(stream, "GET /{path} HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    };
    for _ in 0..100 {
        if let Some(body) = ask() {
            return body;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("nobody answers on port {port}");
}

/// The containers of service `web`, whose `front` begins with `entrypoint`.
fn web(site: &Site<'_>, port: u16, config: &Path, entrypoint: &str) -> Value {
    json!({
        "front": {
            "image": site.image(),
            "entrypoint": [entrypoint],
            "command": ["front", "8080"],
            "environment": ["COLOR=definition", "SHAPE=round = yes"],
            "ports": [{"HostPort": format!("{port}:8080/tcp"), "HostIP": "127.0.0.1"}],
            "binds": [format!("{}:/data", site.volume()), format!("{}:/config:ro", config.display())],
            "tmpfs": {"/scratch": "size=1m"},
            "cap_add": ["NET_ADMIN"],
            "user": "1000:1000",
            "max_memory_mb": 64,
        },
        "back": {"image": site.image(), "command": ["back", "9090"]},
    })
}

#[test]
fn a_service_has_what_its_definition_says_from_its_start_to_its_withdrawal() {
    let Some(engine) = peers::docker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path(), &engine, "life");
    let foreign = site.foreign();
    let port = peers::free_port();
    let config = folder.path().join("config");
    fs::create_dir(&config).unwrap();
    peers::run(Command::new("chmod").arg("777").arg(folder.path()).arg(&config));
    fs::write(config.join("greeting"), "hello\n").unwrap();

    // A service that requires another, with values from three places.
    let store = json!({"store": {"image": site.image(), "command": ["store", "7070"]}});
    site.publish("store", "1.0.0", &store, &json!({})).good();
    let input = |name: &str, default: &str| json!({"name": name, "type": "string", "label": "", "defaultValue": default});
    let asked = ["ONE", "TWO", "THREE"].map(|it| input(it, "definition"));
    let more = json!({
        "userInput": asked,
        "requiredServices": [{
            "url": "store", "org": "acme", "versionRange": "[1.0.0,2.0.0)",
            "arch": edgepost::types::Arch::of_this_machine(),
        }],
    });
    site.publish("web", "1.0.0", &web(&site, port, &config, "/bin/serve"), &more).good();
    let values = |names: &[&str], value: &str| {
        let inputs: Vec<_> = names.iter().map(|it| json!({"name": it, "value": value})).collect();
        json!([{"serviceOrgid": "acme", "serviceUrl": "web", "inputs": inputs}])
    };
    let of_pattern = values(&["TWO", "THREE"], "pattern");
    site.publish_pattern("web", "1.0.0", &of_pattern);
    let of_node = write(&site.hub, "values.json", &values(&["THREE"], "node"));
    let folder_of_host = format!("host-path={}:ro", config.display());
    let allowed = ["--allow", &folder_of_host, "--allow", "capability=NET_ADMIN"];
    let node = site.register(&[&["--user-input", &of_node], &allowed[..]].concat());

    let agent = node.start();
    let arch = edgepost::types::Arch::of_this_machine();
    let both = [format!("acme/store_1.0.0_{arch}"), format!("acme/web_1.0.0_{arch}")];
    node.wait_for(&[&both[0], &both[1]]);

    let environment = page(port, "env");
    for line in [
        "ORIGIN=image",
        "COLOR=definition",
        "SHAPE=round = yes",
        "ONE=definition",
        "TWO=pattern",
        "THREE=node",
        "HZN_NODE_ID=life",
        "HZN_ORGANIZATION=acme",
        "HZN_PATTERN=acme/everything",
        &format!("HZN_ARCH={arch}"),
    ] {
        assert!(environment.lines().any(|it| it == line), "{line} is not in\n{environment}");
    }
    assert_eq!(page(port, "name"), "front\n");
    assert!(page(port, "id").starts_with("uid=1000 gid=1000"), "{}", page(port, "id"));
    let told = page(port, "config");
    assert!(told.starts_with("hello\n") && told.contains("Read-only"), "{told}");
    assert!(page(port, "mounts").lines().any(|it| it.starts_with("tmpfs /scratch ")));
    let capabilities = page(port, "capabilities");
    let bits = u64::from_str_radix(capabilities.split_whitespace().last().unwrap(), 16).unwrap();
    assert!(bits & (1 << 12) != 0, "NET_ADMIN is not in {capabilities}");
    let front = site.container("front");
    assert_eq!(site.docker(&["inspect", "--format", "{{.HostConfig.Memory}}", &front]), "67108864");
    for (name, port) in [("back", "9090"), ("store", "7070")] {
        let url = format!("http://{name}:{port}/name");
        assert_eq!(site.docker(&["exec", &front, "wget", "-q", "-O", "-", &url]), name);
    }

    // Nothing that happens to the agent happens to what it runs.
    let ids = site.running();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert_eq!(agent.stop(), 0);
    assert_eq!(site.running(), ids);
    let before = node.status();
    let agent = node.start();
    while node.status()["at"] == before["at"] {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    agent.kill();
    assert_eq!(site.running(), ids);
    node.settle().good();
    assert_eq!(site.running(), ids);

    // An update that does not start: the old version comes back, and everybody is told.
    site.publish("web", "2.0.0", &web(&site, port, &config, "/bin/false"), &more).good();
    site.publish_pattern("web", "2.0.0", &of_pattern);
    node.settle().failed(1, "E0100");
    let expected = ["store 1.0.0 running", "web 1.0.0 running", "web 2.0.0 rolled-back"];
    assert_eq!(states(&node.status()), expected);
    let shown = site.hub.publisher.run(&["node", "show", "life", "--json"]).good().json();
    assert_eq!(states(&shown["report"]), expected);
    assert_eq!(site.running(), ids);
    assert_eq!(page(port, "name"), "front\n");

    // Withdrawn: all of the node's goes but the data, and nothing of anybody else's.
    site.hub.publisher.run(&["pattern", "remove", "everything", "--force"]).good();
    node.settle().failed(9, "E0900");
    site.is_clear();
    let volume = format!("{}:/data", site.volume());
    let see = ["run", "--rm", "--volume", &volume, "--entrypoint", "cat"];
    let starts = site.docker(&[&see[..], &[&site.image(), "/data/starts"]].concat());
    assert_eq!(starts, "started\nstarted", "once at first, once after going back");
    let running = site.docker(&["inspect", "--format", "{{.State.Running}}", &foreign.1]);
    assert_eq!(running, "true");
}

#[test]
fn a_privileged_service_runs_only_where_the_node_allows_it() {
    let Some(engine) = peers::docker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let site = Site::start(folder.path(), &engine, "privilege");
    // Where the engine itself is confined it cannot grant privileges; the network of the host is one too.
    let run = ["--host", &engine, "run", "--rm", "--privileged", "--entrypoint", "true"];
    let can = Command::new("docker").args(run).arg(site.image()).output().unwrap().status.success();
    let (field, value) = if can { ("privileged", json!(true)) } else { ("network", json!("host")) };
    let root = json!({"root": {"image": site.image(), "command": ["root", "0"], (field): value}});
    site.publish("root", "1.0.0", &root, &json!({})).good();
    site.publish_pattern("root", "1.0.0", &json!([]));
    let allowed = json!({"name": "openhorizon.allowPrivileged", "value": true});
    let policy = json!({"properties": [allowed], "constraints": []});
    let policy = write(&site.hub, "allows.json", &policy);

    let node = site.register(&[]);
    let told = node.settle().failed(9, "E0900");
    assert!(told.stderr.contains("openhorizon.allowPrivileged"), "{}", told.stderr);
    site.is_clear();

    let node = site.register(&["--policy", &policy]);
    node.settle().good();
    let format = "{{.HostConfig.Privileged}} {{.HostConfig.NetworkMode}}";
    let has = site.docker(&["inspect", "--format", format, &site.container("root")]);
    assert!(has.contains(if can { "true" } else { "host" }), "{has}");

    node.program.run(&["agent", "unregister"]).good();
    site.is_clear();
}

#[test]
fn what_runs_goes_on_without_exchange_registry_and_agent() {
    let Some(engine) = peers::docker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site::start(folder.path(), &engine, "alone");
    let publish = |site: &Site<'_>, version: &str| {
        let environment = ["LAST_WORDS=3".to_owned(), format!("VERSION={version}")];
        let plain = json!({"plain": {"image": site.image(), "environment": environment}});
        site.publish("plain", version, &plain, &json!({})).good();
        site.publish_pattern("plain", version, &json!([]));
    };
    publish(&site, "1.0.0");
    let node = site.register(&[]);
    node.settle().good();
    let ids = site.running();

    site.hub.kill();
    node.settle().failed(5, "E0500");
    assert_eq!(site.running(), ids);

    // Not even what went by itself needs them to come back.
    site.docker(&["rm", "--force", &site.container("plain")]);
    node.settle().failed(5, "E0500");
    assert_eq!(site.running().len(), 1);

    // An agent that is ended between the end of the old version and the start of the new one starts it
    // before it goes.
    site.hub.restart();
    publish(&site, "2.0.0");
    let agent = node.start();
    let begun = std::time::Instant::now();
    while !fs::read_to_string(node.log()).unwrap().contains("ensuring the images") {
        assert!(begun.elapsed().as_secs() < 60, "the agent ensures no images");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(agent.stop(), 0);
    assert_eq!(site.running().len(), 1);
    node.settle().good();
    assert_eq!(states(&node.status()), ["plain 2.0.0 running"]);

    node.program.run(&["agent", "unregister"]).good();
    site.is_clear();
}
