//! Power cuts, full disks and two people at once, each at a moment that nobody chose.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use edgepost::{image::Manifest, image::RawManifest, trust::Statement};
use serde_json::Value;
use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::support::{
    disk::SmallDisk,
    hub::Hub,
    image::{definition, layout, pattern, publish_hello, publish_pattern, write},
    link::Link,
    node::Node,
    program::Program,
    thief,
};

fn id(version: &str) -> String {
    format!("hello_{version}_{}", edgepost::types::Arch::of_this_machine())
}

/// Moments that nobody chose, and yet the same in each run.
fn moments(count: u32, longest: Duration) -> impl Iterator<Item = Duration> {
    (1..=count).map(move |it| longest * (it * 377 % 1000) / 1000)
}

/// Whether the exchange has the service; if so, a node can pull all of it by digest.
#[track_caller]
fn is_there_whole(hub: &Hub, version: &str) -> bool {
    let key = format!("service/{}", id(version));
    let (status, _) = hub.get(&format!("/v1/orgs/acme/edgepost/documents?key={key}"));
    let (seen, _) = hub.get(&format!("/v1/orgs/acme/services/{}", id(version)));
    assert_eq!(status, seen, "what hzn sees and what is signed differ");
    if status != 200 {
        return false;
    }
    let envelope = thief::newest(hub, &key);
    let said: Statement<Value> = serde_json::from_slice(envelope.payload()).unwrap();
    for image in said.body["images"].as_array().unwrap() {
        let digest = image["image"].as_str().unwrap().split_once('@').unwrap().1;
        let (status, bytes) = hub.pull(&format!("/v2/acme/hello/manifests/{digest}"));
        assert_eq!(status, 200, "{version} is listed and its manifest is not there");
        let raw = RawManifest::new(edgepost::image::media_type::OCI_MANIFEST, bytes);
        let Ok(Manifest::Image(manifest)) = raw.parse() else { panic!("no image manifest") };
        for blob in manifest.blobs() {
            let (status, bytes) = hub.pull(&format!("/v2/acme/hello/blobs/{}", blob.digest));
            assert_eq!((status, bytes.len() as u64), (200, blob.size), "{version} lacks a blob");
        }
    }
    true
}

#[test]
fn a_publish_that_is_killed_leaves_nothing_half_done() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    let link = Link::to(hub.address());
    let at = link.address().to_string();
    hub.log_in(&at, "push", &hub.push_password.clone());
    let login = format!("{at}:pull:{}", hub.pull_password);
    let (mut broken, mut whole) = (0, 0);

    for (number, moment) in (1..).zip(moments(20, Duration::from_millis(700))) {
        let version = format!("1.0.{number}");
        let image = folder.path().join(format!("image-{number}"));
        layout(&image, number, 2, 60_000);
        let written = definition(&version, &format!("{at}/acme/hello:{version}"));
        let file = write(&hub, "hello.json", &written);
        let source = format!("oci:{}", image.display());
        let arguments = ["publish", &file, "--source", &source, "-r", &login, "--json"];
        link.slow_to(300_000);
        let publish = hub.publisher.start(&arguments, &folder.path().join("publish.log"));
        thread::sleep(moment);
        publish.kill();
        link.slow_to(0);

        *(if is_there_whole(&hub, &version) { &mut whole } else { &mut broken }) += 1;
        let again = hub.publisher.run(&arguments).good().json();
        assert_eq!(again["seq"], 1, "it goes on, it does not begin again");
        assert!(is_there_whole(&hub, &version));
    }
    assert!(broken > 0, "no publish was broken off: {whole} were whole");
}

#[test]
fn what_a_hub_acknowledged_it_knows_after_sigkill() {
    let folder = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    let mut acknowledged = vec!["1.0.0".to_owned()];
    let mut seq = thief::stamp(&hub).seq;

    for (round, moment) in (1..).zip(moments(3, Duration::from_millis(500))) {
        let stop = AtomicBool::new(false);
        let go_on = |stop: &AtomicBool, hub: &Hub| {
            let versions = (0..).map(|number| format!("{round}.1.{number}"));
            let tried = versions.take_while(|_| !stop.load(Ordering::SeqCst));
            let outcomes = tried.map(|it| (publish_hello(hub, &it, 1000, &[]).code, it));
            let good = outcomes.filter(|(code, _)| *code == 0).map(|(_, it)| it);
            good.collect::<Vec<_>>()
        };
        let running = hub.take_running();
        let (running, good) = thread::scope(|scope| {
            let publishing = scope.spawn(|| go_on(&stop, &hub));
            thread::sleep(Duration::from_millis(300) + moment);
            let running = hub.replace(running);
            stop.store(true, Ordering::SeqCst);
            (running, publishing.join().unwrap())
        });
        hub.put_running(running);
        acknowledged.extend(good);

        for version in &acknowledged {
            assert!(is_there_whole(&hub, version), "{version} was acknowledged and is lost");
        }
        let now = thief::stamp(&hub).seq;
        assert!(now >= seq, "the stamp went back from {seq} to {now}");
        seq = now;
    }
    publish_hello(&hub, "9.0.0", 1000, &[]).good();
    assert!(thief::stamp(&hub).seq > seq);
    hub.publisher.run(&["service", "verify", &id("9.0.0"), "--trust-sha256", &hub.pin]).good();
}

#[test]
fn an_agent_that_is_killed_never_forgets_what_it_has_seen() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 200_000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    let mut before = BTreeMap::new();

    for (number, moment) in (1..).zip(moments(10, Duration::from_millis(400))) {
        let version = format!("1.0.{number}");
        publish_hello(&hub, &version, 200_000, &[]).good();
        publish_pattern(&hub, &version);
        let agent = node.start();
        thread::sleep(moment);
        agent.kill();

        let after = marks(&node.data());
        for (what, seen) in &before {
            assert!(after.get(what) >= Some(seen), "{what} went back from {seen}: {after:?}");
        }
        before = after;
    }
    node.settle().good();
    assert_eq!(node.services(), [format!("acme/{}", id("1.0.10"))]);
}

/// What the node has seen of each document, and of the stamp and the catalog.
fn marks(data: &Path) -> BTreeMap<String, u64> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = SqliteConnectOptions::new().filename(data.join("marks.db"));
    runtime.block_on(async {
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        let sql = "SELECT document, seq FROM marks";
        let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&mut database).await.unwrap();
        let sql = "SELECT marks FROM counters";
        let counters: Option<String> =
            sqlx::query_scalar(sql).fetch_optional(&mut database).await.unwrap();
        let counters: Value = serde_json::from_str(counters.as_deref().unwrap_or("{}")).unwrap();
        let mut all: BTreeMap<_, _> =
            rows.into_iter().map(|(document, seq)| (document, seq.unsigned_abs())).collect();
        for (name, value) in counters.as_object().into_iter().flatten() {
            all.extend(value.as_u64().map(|it| (name.clone(), it)));
        }
        all
    })
}

#[test]
fn of_two_who_publish_at_once_each_is_told_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let login = format!("{}:pull:{}", hub.registry(), hub.pull_password);
    let publish = |name: &str, version: &str, seed: u64| {
        let image = folder.path().join(name);
        layout(&image, seed, 1, 20_000);
        let written = definition(version, &format!("{}/acme/hello:{version}", hub.registry()));
        let file = write(&hub, &format!("{name}.json"), &written);
        let source = format!("oci:{}", image.display());
        hub.publisher.run(&["publish", &file, "--source", &source, "-r", &login, "--json"])
    };
    for round in 0..5 {
        let both = |version: &str, seeds: [u64; 2]| {
            thread::scope(|scope| {
                let one = scope.spawn(|| publish(&format!("{version}-a"), version, seeds[0]));
                let two = scope.spawn(|| publish(&format!("{version}-b"), version, seeds[1]));
                [one.join().unwrap(), two.join().unwrap()]
            })
        };
        // The same content: both are told that it is there, whoever was first.
        let version = format!("1.{round}.0");
        for outcome in both(&version, [round, round]) {
            let told = if outcome.code == 7 {
                publish(&format!("{version}-again"), &version, round)
            } else {
                outcome
            };
            assert_eq!(told.good().json()["seq"], 1);
        }
        // Other content: one wins, the other is told.
        let version = format!("2.{round}.0");
        let mut codes = both(&version, [round, round + 100]).map(|it| it.code);
        codes.sort_unstable();
        assert_eq!(codes, [0, 7]);
        assert!(is_there_whole(&hub, &version));
    }
}

#[test]
fn a_data_folder_that_is_none_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    fs::write(folder.path().join("file"), "mine").unwrap();
    let program = Program::at_home_in(folder.path());
    for data in ["file", "file/below"] {
        for server in ["hub", "exchange", "registry"] {
            let arguments = [server, "--data", data, "--listen", "127.0.0.1:0"];
            let told = program.run(&arguments).failed(1, "E0104");
            assert!(told.stderr.contains("file"), "{}", told.stderr);
        }
        let mut node = hub.publisher.with("EDGEPOST_NODE_AUTH", "n9:token");
        node.set("EDGEPOST_NODE_DATA", data);
        let register = ["agent", "register", "--pattern", "hello-everywhere", "--trust-sha256"];
        node.run(&[&register[..], &[&hub.pin]].concat()).failed(3, "E0304");
        node.run(&["agent", "run", "--once"]).failed(3, "E0304");
        node.run(&["agent", "status"]).failed(3, "E0304");
    }
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "mine");
    let nodes = hub.publisher.run(&["node", "list", "--json"]).good().stdout;
    assert!(!nodes.contains("n9"), "a node that could not be registered is not there: {nodes}");
}

#[test]
fn a_full_disk_of_the_hub_is_told_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("hub");
    let Some(disk) = SmallDisk::at(&data, 3000) else {
        return;
    };
    let mut hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();

    let start = Instant::now();
    let told = publish_hello(&hub, "2.0.0", 3_000_000, &[]);
    let told = told.failed(4, "E0404");
    assert!(told.stdout.contains("the registry's disk is full"), "{}", told.stdout);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert!(!is_there_whole(&hub, "2.0.0"));
    assert!(is_there_whole(&hub, "1.0.0"));

    // So full that not even a row fits.
    let _ = fs::write(data.join("filler"), vec![0; 4_000_000]);
    let file = write(&hub, "pattern.json", &pattern("1.0.0"));
    let told = hub.publisher.run(&["pattern", "publish", &file]);
    assert!(told.failed(5, "E0500").stderr.contains("disk is full"));
    hub.kill();
    disk.grow(64_000);
    hub.restart();
    assert!(is_there_whole(&hub, "1.0.0"));
    publish_hello(&hub, "2.0.0", 3_000_000, &[]).good();
    assert!(is_there_whole(&hub, "2.0.0"));
    hub.stop();
}

#[test]
fn a_full_disk_of_a_node_is_told_and_what_ran_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    publish_hello(&hub, "1.0.0", 1000, &[]).good();
    publish_pattern(&hub, "1.0.0");
    let data = folder.path().join("n1/data");
    let Some(disk) = SmallDisk::at(&data, 80_000) else {
        return;
    };
    let node = Node::register(&hub, "n1", &["--pattern", "hello-everywhere"]);
    node.settle().good();
    let _ = fs::write(data.join("filler"), vec![0; 81_000_000]);
    publish_hello(&hub, "2.0.0", 100_000, &[]).good();
    publish_pattern(&hub, "2.0.0");

    let told = node.settle();
    assert!([1, 3].contains(&told.code), "{}", told.stderr);
    assert!(told.stderr.contains("error[E"), "{}", told.stderr);
    assert_eq!(node.services(), [format!("acme/{}", id("1.0.0"))], "what ran goes on");

    fs::remove_file(data.join("filler")).unwrap();
    node.settle().good();
    assert_eq!(node.services(), [format!("acme/{}", id("2.0.0"))]);
    drop(disk);
}
