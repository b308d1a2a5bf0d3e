//! What other users of one machine, and of the network, can reach.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{SocketAddr, UdpSocket},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use edgepost::{
    agent::{
        Agent, AgentConfig, End,
        runtime::{
            Afterwards, Container, ContainerId, ContainerPlan, Nothing, Runtime, RuntimeError,
        },
    },
    registry::{
        protocol::{Reference, RepositoryName},
        server::{SharedImage, storage::Folder},
    },
    types::{Digest, NodeRef, PinnedImage},
};
use serde_json::Value;

use super::record_bound;
use crate::support::{
    hub::Hub,
    image::{publish_hello, publish_pattern},
    node::Node,
    program::{Program, Running},
};

/// The user `nobody` of Linux systems.
const OTHER_USER: u32 = 65_534;

/// An engine beside which another user of the machine looks at everything that can be reached while an
/// image is handed over.
#[derive(Debug, Default)]
struct WatchedEngine {
    nothing: Nothing,
    hand_overs: Mutex<Vec<HandOver>>,
}

/// One image that the engine took.
#[derive(Debug, Clone)]
struct HandOver {
    image: PinnedImage,
    /// What the engine got by the path that the agent gave it.
    parts: usize,
    /// Every request of the other user that was answered with content.
    leaks: Vec<String>,
    /// How many requests the other user made.
    tried: usize,
}

async fn status(client: &reqwest::Client, method: reqwest::Method, url: &str) -> u16 {
    client.request(method, url).send().await.expect("the hand-off answers").status().as_u16()
}

impl WatchedEngine {
    /// Takes an image as an engine does: the manifest, then its blobs.
    async fn take(client: &reqwest::Client, base: &str, digest: &Digest) -> usize {
        let get = async |kind: &str, digest: &str| {
            let answer = client.get(format!("{base}/{kind}/{digest}")).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{kind}/{digest}");
            let bytes = answer.bytes().await.unwrap();
            assert_eq!(Digest::of(&bytes).to_string(), digest);
            bytes
        };
        let manifest: Value =
            serde_json::from_slice(&get("manifests", &digest.to_string()).await).unwrap();
        let layers = manifest["layers"].as_array().unwrap().iter();
        let blobs: Vec<_> = layers.chain([&manifest["config"]]).collect();
        for blob in &blobs {
            get("blobs", blob["digest"].as_str().unwrap()).await;
        }
        1 + blobs.len()
    }

    async fn watch(&self, image: &PinnedImage) -> HandOver {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let root = format!("http://{}/v2", image.repository.registry());
        let path = image.repository.path();
        let (secret, name) = path.split_once('/').expect("a secret and a name");
        let base = format!("{root}/{path}");
        let parts = Self::take(&client, &base, &image.digest).await;
        let digest = image.digest;
        // What one can do without the path, and what the path does not open.
        let guess = "0".repeat(secret.len());
        let mut urls = vec![
            format!("{root}/_catalog"),
            format!("{root}/{secret}"),
            format!("{root}/{secret}/_catalog"),
            format!("{base}/tags/list"),
            format!("{base}/referrers/{digest}"),
            format!("{base}/manifests/latest"),
            format!("{base}/manifests/1.0.0"),
        ];
        for beginning in [name.to_owned(), format!("{guess}/{name}"), format!("../{name}")] {
            urls.push(format!("{root}/{beginning}/tags/list"));
            for kind in ["manifests", "blobs"] {
                urls.push(format!("{root}/{beginning}/{kind}/{digest}"));
            }
        }
        for earlier in self.hand_overs.lock().unwrap().iter() {
            urls.push(format!("{base}/manifests/{}", earlier.image.digest));
            urls.push(format!("{base}/blobs/{}", earlier.image.digest));
            let old_path = earlier.image.repository.path();
            urls.push(format!("{root}/{old_path}/manifests/{}", earlier.image.digest));
        }
        let mut leaks = Vec::new();
        for url in &urls {
            let status = status(&client, reqwest::Method::GET, url).await;
            if !matches!(status, 401 | 404) {
                leaks.push(format!("{status} {url}"));
            }
        }
        for method in [reqwest::Method::POST, reqwest::Method::PUT, reqwest::Method::DELETE] {
            let url = format!("{base}/manifests/{digest}");
            let status = status(&client, method.clone(), &url).await;
            if status < 400 {
                leaks.push(format!("{status} {method} {url}"));
            }
        }
        HandOver { image: image.clone(), parts, leaks, tried: urls.len() + 3 }
    }
}

#[async_trait]
impl Runtime for WatchedEngine {
    fn name(&self) -> &'static str {
        "watched"
    }

    async fn has_image(&self, manifest: &Digest) -> Result<bool, RuntimeError> {
        Ok(self.hand_overs.lock().unwrap().iter().any(|it| it.image.digest == *manifest))
    }

    async fn pull(&self, image: &PinnedImage) -> Result<(), RuntimeError> {
        let seen = self.watch(image).await;
        self.hand_overs.lock().unwrap().push(seen);
        Ok(())
    }

    async fn list(&self, node: &NodeRef) -> Result<Vec<Container>, RuntimeError> {
        self.nothing.list(node).await
    }

    async fn start(&self, plan: &ContainerPlan) -> Result<ContainerId, RuntimeError> {
        self.nothing.start(plan).await
    }

    async fn stop(&self, container: &Container, then: Afterwards) -> Result<(), RuntimeError> {
        self.nothing.stop(container, then).await
    }

    async fn revive(&self, container: &Container) -> Result<(), RuntimeError> {
        self.nothing.revive(container).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_users_of_the_machine_get_nothing_of_an_image_that_is_handed_to_the_engine() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, node) = tokio::task::block_in_place(|| {
        let hub = Hub::start(folder.path());
        publish_hello(&hub, "1.0.0", 5_000, &[]).good();
        publish_pattern(&hub, "1.0.0");
        let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
        (hub, node)
    });
    let engine = Arc::new(WatchedEngine::default());
    let config = AgentConfig::new(node.data())
        .runtime(Arc::clone(&engine) as Arc<dyn Runtime>)
        .watch(Duration::from_millis(20));
    let mut agent = Agent::open(config).await.unwrap();
    assert_eq!(agent.run_once().await.end, End::Settled);
    tokio::task::block_in_place(|| {
        publish_hello(&hub, "2.0.0", 5_000, &[]).good();
        publish_pattern(&hub, "2.0.0");
    });
    assert_eq!(agent.run_once().await.end, End::Settled);

    let seen = engine.hand_overs.lock().unwrap().clone();
    assert_eq!(seen.len(), 2, "{seen:?}");
    let secret = |it: &HandOver| it.image.repository.path().split_once('/').unwrap().0.to_owned();
    for it in &seen {
        assert_eq!(it.leaks, Vec::<String>::new());
        assert_eq!(it.parts, 4, "a manifest, a configuration and two layers");
        assert!(secret(it).len() == 64 && hex::decode(secret(it)).is_ok(), "{}", it.image);
        // The hand-off has ended with the engine's pull.
        let address = it.image.repository.registry().to_string();
        assert!(std::net::TcpStream::connect(&address).is_err(), "{address} still listens");
    }
    assert_ne!(secret(&seen[0]), secret(&seen[1]));
    let tried: usize = seen.iter().map(|it| it.tried).sum();
    record_bound(
        10,
        "hand-off, requests of another user answered with content",
        0,
        format!("0 of {tried}"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_off_that_is_dropped_serves_nothing_more() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("image");
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| crate::support::image::layout(&layout, 1, 1, 1_000)).join().unwrap();
        });
    });
    let store = Folder::open(folder.path().join("store")).unwrap();
    let name: RepositoryName = "acme/hello".parse().unwrap();
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let digest: Digest = index["manifests"][0]["digest"].as_str().unwrap().parse().unwrap();
    let bytes = fs::read(layout.join("blobs/sha256").join(digest.hex())).unwrap();
    let media_type = "application/vnd.oci.image.manifest.v1+json".to_owned();
    let raw = edgepost::image::RawManifest::new(media_type, bytes);
    store.put_manifest(&name, &raw, None).await.unwrap();
    assert!(store.manifest(&name, &Reference::Digest(digest)).await.unwrap().is_some());

    let shared = SharedImage::open(&store, &name, digest).await.unwrap();
    let url = format!("http://{}/v2/{}/manifests/{digest}", shared.address(), shared.repository());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(status(&client, reqwest::Method::GET, &url).await, 200);
    drop(shared);
    if let Ok(answer) = client.get(&url).send().await {
        assert_eq!(answer.status(), 404);
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn memory_of_a_server_reaches_neither_a_core_dump_nor_other_processes_of_its_user() {
    if !is_root() {
        eprintln!("skipped: only root can start a process of another user");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("edgepost");
    fs::copy(env!("CARGO_BIN_EXE_edgepost"), &program).unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&data, Some(OTHER_USER), Some(OTHER_USER)).unwrap();
    let mut hub = Command::new(&program)
        .args(["hub", "--json", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .env_clear()
        .env("HOME", &data)
        .current_dir(&data)
        .uid(OTHER_USER)
        .gid(OTHER_USER)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(hub.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let proc = format!("/proc/{}", hub.id());
    let limits = fs::read_to_string(format!("{proc}/limits")).unwrap_or_default();
    let owner = fs::metadata(format!("{proc}/environ")).map(|it| it.uid()).ok();
    let reads = |file: &str| {
        let mut cat = Command::new("head");
        cat.args(["-c", "1", &format!("{proc}/{file}")]).uid(OTHER_USER).gid(OTHER_USER);
        cat.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    };
    let readable: Vec<_> = ["environ", "maps", "mem"].into_iter().filter(|it| reads(it)).collect();
    hub.kill().unwrap();
    hub.wait().unwrap();

    assert!(line.contains("rootPassword"), "the hub starts and works: {line}");
    let core = limits.lines().find(|it| it.starts_with("Max core file size")).unwrap();
    let core: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"]);
    assert_eq!(owner, Some(0), "a process that can be dumped belongs to its user");
    assert!(readable.is_empty(), "its user reads {readable:?}");
}

/// An address of this machine that is not its loopback.
fn own_address() -> Option<SocketAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("203.0.113.1:9").ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback()).then_some(SocketAddr::from((own, 0)))
}

#[test]
fn plain_http_for_other_machines_needs_a_flag_that_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        for server in ["hub", "exchange", "registry"] {
            let arguments = [server, "--data", "data", "--listen", listen];
            let refused = program.run(&arguments).failed(3, "E0308");
            for remedy in ["--insecure-http", "--tls-cert"] {
                assert!(refused.stderr.contains(remedy), "{server} {listen}: {}", refused.stderr);
            }
        }
    }
    assert!(!folder.path().join("data").exists(), "a refused server makes nothing");

    let anonymous = ["registry", "--data", "data", "--listen", "0.0.0.0:0", "--anonymous"];
    let refused = program.run(&[&anonymous[..], &["--insecure-http"]].concat()).failed(3, "E0308");
    assert!(refused.stderr.contains("--insecure-anonymous"), "{}", refused.stderr);

    let listen = own_address().map_or("0.0.0.0:0".to_owned(), |it| it.to_string());
    let log = folder.path().join("log");
    let allowed = ["registry", "--json", "--data", "data", "--listen", &listen];
    let flags = ["--insecure-http", "--insecure-anonymous"];
    let mut running = program.start(&[&allowed[..], &flags].concat(), &log);
    let told: Value = serde_json::from_str(&running.first_line()).unwrap();
    assert!(told["registry"].is_string(), "{told}");
    assert!(told["registryAccounts"].is_null(), "{told}");
    running.stop();
    assert!(fs::read_to_string(&log).unwrap().contains("warning: plain HTTP"));
}

#[test]
fn loopback_and_tls_need_no_flag() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::at_home_in(folder.path());
    crate::support::peers::make_certificates(folder.path());
    let tls = ["--tls-cert", "server.crt", "--tls-key", "server.key"];
    let listen = own_address().map_or("0.0.0.0:0".to_owned(), |it| it.to_string());
    let loopback: &[&str] = &["--listen", "127.0.0.1:0", "--anonymous"];
    let secure = [&["--listen", &listen][..], &tls].concat();
    for more in [loopback, &secure, &["--listen", "[::ffff:127.0.0.1]:0"]] {
        let arguments = [&["registry", "--json", "--data", "data"], more].concat();
        let mut running = program.start(&arguments, &folder.path().join("log"));
        assert!(running.first_line().contains("registry"), "{more:?}");
        running.stop();
    }
}

#[test]
fn credentials_cross_no_network_in_plain_http_unless_a_flag_allows_it() {
    let Some(own) = own_address() else {
        eprintln!("skipped: this machine has no address but its loopback");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (_exchange, mut program, pin) = exposed_organization(folder.path(), own);
    let refused = program.run(&["node", "list"]).failed(3, "E0300");
    assert!(refused.stderr.contains("--insecure-http"), "{}", refused.stderr);
    program.run(&["node", "list", "--insecure-http"]).good();

    program.set("EDGEPOST_NODE_AUTH", "n1:n1-token");
    program.set("EDGEPOST_ENGINE", "none");
    let register = ["agent", "register", "--data", "node", "--trust-sha256", &pin];
    program.run(&register).failed(3, "E0300");
    program.run(&[&register[..], &["--insecure-http"]].concat()).good();
    // A node that is registered with plain HTTP goes on without a flag, and its log names the risk.
    let settled = program.run(&["agent", "run", "--once", "--data", "node"]);
    assert_eq!(settled.code, 0, "{}", settled.stderr);
    assert!(settled.stderr.contains("exchange.plain_http"), "{}", settled.stderr);
}

/// An exchange at an address that other machines reach, with organization `acme`, and the pin of its trust.
fn exposed_organization(folder: &Path, own: SocketAddr) -> (Running, Program, String) {
    fs::write(folder.join("password"), "root-secret\n").unwrap();
    let mut program = Program::at_home_in(folder);
    let listen = own.to_string();
    let serve = ["exchange", "--json", "--data", "data", "--listen", &listen, "--insecure-http"];
    let serve = [&serve[..], &["--root-password-file", "password"]].concat();
    let mut running = program.start(&serve, &folder.join("log"));
    let told: Value = serde_json::from_str(&running.first_line()).unwrap();
    program.set("EDGEPOST_EXCHANGE_URL", told["exchange"].as_str().unwrap());
    program.set("EDGEPOST_ORG", "acme");
    let root = program
        .with("EDGEPOST_USER_AUTH", "root/root:root-secret")
        .with("EDGEPOST_INSECURE_HTTP", "1");
    root.run(&["org", "create", "acme"]).good();
    root.run(&["user", "create", "ann", "--admin", "--password-file", "password"]).good();
    program.set("EDGEPOST_USER_AUTH", "ann:root-secret");
    let ann = program.with("EDGEPOST_INSECURE_HTTP", "true");
    ann.run(&["key", "create"]).good();
    let trust = ann.run(&["trust", "init", "--json"]).good().json();
    (running, program, trust["pin"].as_str().unwrap().to_owned())
}
